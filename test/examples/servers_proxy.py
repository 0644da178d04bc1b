"""How the TCP proxy behaves. Run by servers.py; the HTTP server stands behind it in some checks."""
import contextlib
import hashlib
import socket
import threading
import time

from servers import PATIENCE, SLOWDOWN, Server, Wire, bad_arguments, client, equal, true, until
from servers_http import HELLO, ask, get


class Target:
    """A server of our own: calls serve(wire) for each connection, in a thread."""

    def __init__(self, serve):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.name = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.serve = serve
        self.failures = []
        self.threads = []
        self.accepting = threading.Thread(target=self.accept)
        self.accepting.start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.threads.append(threading.Thread(target=self.run, args=(connection,)))
            self.threads[-1].start()

    def run(self, connection):
        wire = Wire.__new__(Wire)
        connection.settimeout(PATIENCE)
        wire.socket, wire.pending = connection, b""
        try:
            with wire:
                self.serve(wire)
        except Exception as error:  # pylint: disable=broad-except
            self.failures.append(error)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.accepting.join()
        for thread in self.threads:
            thread.join()
        if not kind:
            equal(self.failures, [], "in the target")


def check_arguments(program, _):
    """bad arguments"""
    bad_arguments(program)


def check_http(program, http):
    """requests pass, by curl too"""
    with Server(http) as behind, Server(program, "--target", behind.name) as server:
        with server.connect() as wire:
            for _ in range(3):
                equal(ask(wire, get()).body, HELLO)
        equal(client("curl", "-sS", f"http://{server.name}/"), HELLO)


def check_half_close(program, _):
    """the end of one direction is passed on, and the other one goes on"""
    def serve(wire):
        request = wire.rest()  # all of it: the end must come through
        wire.send(hashlib.sha256(request).hexdigest())
        wire.send(request[::-1])

    body = bytes(range(256)) * 40_000
    with Target(serve) as target, Server(program, "--target", target.name) as server:
        for size in (0, 1, len(body)):
            with server.connect() as wire:
                wire.send(body[:size])
                wire.end()
                equal(wire.take(64).decode(), hashlib.sha256(body[:size]).hexdigest())
                true(wire.rest() == body[:size][::-1], "the answer differs")

    def end_first(wire):
        wire.send("greeting")
        wire.end()
        equal(wire.rest(), b"and the other way round")

    with Target(end_first) as target, Server(program, "--target", target.name) as server:
        with server.connect() as wire:
            equal(wire.rest(), b"greeting")
            wire.send("and the other way round")


def check_dial_failures(program, _):
    """nobody at the other end, or nobody who answers"""
    unused = socket.create_server(("127.0.0.1", 0))
    name = "127.0.0.1:%d" % unused.getsockname()[1]
    unused.close()
    with Server(program, "--target", name) as server:
        server.expected_errors = rf"proxy: {name}: Connection refused\n"
        with server.connect() as wire:
            wire.ends()
    with contextlib.ExitStack() as stack:
        # A queue that is full: the kernel drops what asks to be let in.
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        name = "127.0.0.1:%d" % full.getsockname()[1]
        server = stack.enter_context(Server(program, "--target", name, "--dial", 0.2))
        server.expected_errors = rf"proxy: {name}: i/o timeout\n"
        with server.connect() as wire:
            wire.ends()


def check_resets(program, _):
    """a reset on one side ends the other"""
    def reset(wire):
        wire.take(5)
        wire.reset()

    with Target(reset) as target, Server(program, "--target", target.name) as server:
        with server.connect() as wire:
            wire.send("hello")
            wire.ends()

    def wait(wire):
        wire.take(5)
        wire.send("seen")
        wire.ends()

    with Target(wait) as target, Server(program, "--target", target.name) as server:
        wire = server.connect()
        wire.send("hello")
        wire.take(4)
        wire.reset()
        target.threads[0].join(PATIENCE)
        true(not target.threads[0].is_alive(), "the target has not noticed")


def check_idle(program, _):
    """a silent pair is cut; one with something to say in one direction is not"""
    idle = 0.5 * SLOWDOWN
    times = 40

    def serve(wire):
        if wire.take(1) == b"t":  # talks for four times the limit
            for _ in range(times):
                time.sleep(4 * idle / times)
                wire.send("x")
        wire.ends()

    with Target(serve) as target, Server(program, "--target", target.name, "--idle", idle) as server:
        began = time.monotonic()
        with server.connect() as silent, server.connect() as busy:
            silent.send("s")
            busy.send("t")
            silent.ends()
            true(time.monotonic() - began >= idle, "it was cut too early")
            equal(busy.take(times), b"x" * times)
            busy.ends()


def check_shutdown(program, http):
    """told to stop: accepts nothing more, and gives what is open some time"""
    with Server(http) as behind, Server(program, "--target", behind.name, "--grace", 30 * SLOWDOWN) as server:
        with server.connect() as wire:
            equal(ask(wire, get()).body, HELLO)
            server.tell_to_stop()
            server.refuses()
            equal(ask(wire, get()).body, HELLO)
        server.must_end()
    with Server(http) as behind, Server(program, "--target", behind.name, "--grace", 0.2) as server:
        with server.connect() as wire:
            equal(ask(wire, get()).body, HELLO)
            server.tell_to_stop()
            wire.ends()
        server.must_end()


def check_connection_limit(program, http):
    """more connections than allowed wait for their turn"""
    with Server(http) as behind, \
            Server(program, "--target", behind.name, "--max-connections", 1) as server:
        with server.connect() as one, server.connect() as two:
            equal(ask(one, get()).body, HELLO)
            two.send(get("/stats"))
            one.socket.close()
            true(b"connections 2\n" in ask(two, "").body, "the second one is the second one")


def check_storm(program, http):
    """connections come and go: nothing is kept"""
    with Server(http) as behind, Server(program, "--target", behind.name) as server:
        for _ in range(10):
            wires = [server.connect() for _ in range(50)]
            for n, wire in enumerate(wires):
                wire.send(get())
                if n % 5 == 0:
                    wire.reset()
            for n, wire in enumerate(wires):
                if n % 5:
                    equal(ask(wire, "").body, HELLO)
                    wire.socket.close()
        with behind.connect() as wire:
            until(lambda: b"open 1\n" in ask(wire, get("/stats")).body, "connections stay behind")


def check_wrk(program, http):
    """wrk through the proxy"""
    with Server(http) as behind, Server(program, "--target", behind.name) as server:
        text = client("wrk", "-t1", "-c50", "-d1s", f"http://{server.name}/").decode()
        true("requests in" in text and "Socket errors" not in text and "Non-2xx" not in text, text)
