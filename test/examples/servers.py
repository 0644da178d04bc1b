#!/usr/bin/env python3
"""Starts an example server and checks how it behaves, by raw sockets and by clients that nobody here wrote.

    servers.py http|resp|proxy PROGRAM [HELPER]

PROGRAM is the server. The checks are in servers_http.py, servers_resp.py and servers_proxy.py; here is what they
share. A client program (curl, wrk, redis-cli, redis-benchmark) that is missing: its checks are left out, with a notice
on standard output.
"""
import contextlib
import importlib
import os
import re
import resource
import select
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import traceback

SLOWDOWN = float(os.environ.get("VOLE_TEST_SLOWDOWN") or 1)
PATIENCE = 60 * SLOWDOWN  # how soon a hang is called one; decides nothing else
# Who runs us names the program that runs foreign executables (an emulator).
WRAPPER = shlex.split(os.environ.get("VOLE_TEST_WRAPPER") or os.environ.get("MESON_EXE_WRAPPER", ""))


class Mismatch(Exception):
    """What was seen is not what was to be seen."""


class LeftOut(Exception):
    """This machine lacks something that the check needs."""


def equal(seen, expected, what=""):
    if seen != expected:
        raise Mismatch(f"{what + ': ' if what else ''}{seen!r}, expected {expected!r}")


def true(holds, what):
    if not holds:
        raise Mismatch(what)


class Server:
    """A running server. Leaving the `with` stops it, which must end well."""

    def __init__(self, program, *flags, files=None):
        def limit_files():
            if files:
                resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

        self.process = subprocess.Popen([*WRAPPER, program, *map(str, flags)], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, preexec_fn=limit_files)
        self.errors = b""
        self.expected_errors = ""  # a regular expression
        line = self.process.stdout.readline().decode()
        found = re.fullmatch(r"listening on (127\.0\.0\.1):(\d+)\n", line)
        if not found:
            self.process.kill()
            raise Mismatch(f"the server said {line!r}; {self.process.communicate()[1].decode()}")
        self.address = (found[1], int(found[2]))
        self.name = f"{found[1]}:{found[2]}"
        self.port = found[2]

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind:
            self.process.kill()
            text = self.process.communicate()[1].decode(errors="replace")
            if text:
                print("--- the server's standard error:", text, sep="\n")
            return
        if self.process.poll() is None:
            self.tell_to_stop()
        self.must_end()

    def tell_to_stop(self):
        self.process.send_signal(signal.SIGTERM)

    def must_end(self):
        try:
            self.errors += self.process.communicate(timeout=PATIENCE)[1]
        except subprocess.TimeoutExpired as hang:
            self.process.send_signal(signal.SIGABRT)
            raise Mismatch("the server does not end") from hang
        text = self.errors.decode(errors="replace")
        equal(self.process.returncode, 0, f"exit status, with {text!r}")
        true(re.fullmatch(self.expected_errors, text, re.DOTALL), f"standard error: {text!r}")

    def read_errors_until(self, pattern):
        """Waits for something on standard error."""
        descriptor = self.process.stderr.fileno()
        while not re.search(pattern, self.errors.decode(errors="replace")):
            true(select.select([descriptor], [], [], PATIENCE)[0], f"no {pattern} on standard error")
            more = os.read(descriptor, 65536)
            true(more, f"standard error ends before {pattern}")
            self.errors += more

    def connect(self, **options):
        return Wire(self.address, **options)

    def refuses(self):
        """Waits until nobody listens any more."""
        def refused():
            try:
                socket.create_connection(self.address, PATIENCE).close()
            except ConnectionRefusedError:
                return True
            except ConnectionResetError:
                pass
            return False
        until(refused, "the server still listens")


class Wire:
    """A connection, byte by byte."""

    def __init__(self, address, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pending = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data.encode() if isinstance(data, str) else data)

    def end(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """Closes with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def fill(self):
        """One recv; how much it was."""
        data = self.socket.recv(1 << 20)
        self.pending += data
        return len(data)

    def take(self, n):
        while len(self.pending) < n:
            true(self.fill(), f"the connection ends after {self.pending!r}, {n} bytes were to come")
        data, self.pending = self.pending[:n], self.pending[n:]
        return data

    def take_until(self, mark):
        while mark not in self.pending:
            true(self.fill(), f"the connection ends after {self.pending!r}, before {mark!r}")
        data, _, self.pending = self.pending.partition(mark)
        return data

    def rest(self):
        """Everything up to the end."""
        while self.fill():
            pass
        data, self.pending = self.pending, b""
        return data

    def must_end(self):
        equal(self.rest(), b"", "at the end of the connection")

    def ends(self):
        """As must_end, but a reset will do."""
        with contextlib.suppress(ConnectionResetError):
            self.must_end()


def until(holds, what):
    """Asks again and again."""
    end = time.monotonic() + PATIENCE
    while not holds():
        true(time.monotonic() < end, what)


def client(name, *arguments, feed=None):
    """What a client program prints; it must succeed."""
    if shutil.which(name) is None:
        raise LeftOut(f"{name} is missing")
    done = subprocess.run([name, *map(str, arguments)], input=feed, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=4 * PATIENCE, check=False)
    text = f"{shlex.join([name, *map(str, arguments)])}: {done.stderr.decode(errors='replace')}"
    equal(done.returncode, 0, text)
    return done.stdout


def bad_arguments(program):
    """A sentence on standard error and exit status 2."""
    for arguments in (["--nonsense", "1"], ["--listen"], ["--grace", "soon"], ["--max-connections", "-1"]):
        done = subprocess.run([*WRAPPER, program, *arguments], capture_output=True, check=False)
        equal(done.returncode, 2, shlex.join(arguments))
        equal(done.stdout, b"", shlex.join(arguments))
        true(arguments[0].encode() in done.stderr.splitlines()[0], f"standard error: {done.stderr!r}")
    done = subprocess.run([*WRAPPER, program, "--listen", "127.0.0.1:99999"], capture_output=True, check=False)
    equal((done.returncode, done.stdout), (1, b""), "a port that is none")


def main():
    name, *programs = sys.argv[1:]
    module = importlib.import_module("servers_" + name)
    checks = [getattr(module, f) for f in dir(module) if f.startswith("check_")]
    failed = 0
    for check in checks:
        try:
            check(*programs)
        except LeftOut as notice:
            print(f"left out: {check.__name__}: {notice}")
        except Exception as error:  # pylint: disable=broad-except
            failed += 1
            print(f"FAILED {check.__name__} ({check.__doc__}): {error!r}")
            traceback.print_exc(file=sys.stdout)
    print(f"{len(checks)} checks, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.modules["servers"] = sys.modules["__main__"]  # one set of exceptions
    sys.exit(main())
