"""What net_driver.py measures with: servers as processes, and the three programs that put load on
them (net-load, wrk, redis-benchmark). Each load gives numbers by name: server_ns, client_ns,
p50_ns, p99_ns, rate. The first two are CPU time of all threads, user and system, over requests.
"""

import json
import math
import re
import resource
import select
import socket
import subprocess
import tempfile
import time


class Server:
    """A server that runs until the end of a `with`. Its first line of output ends in the port, unless
    its command wants to be told: then one word is {port}."""

    def __init__(self, command, env, cpus):
        self.port = free_port() if "{port}" in command else 0
        command = [str(self.port) if word == "{port}" else word for word in command]
        self.errors = tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen([*on_cpus(cpus), *command], env=env, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.errors, text=True)
        self.pid = self.process.pid

    def __enter__(self):
        if not (answers(self.port) if self.port else self.read_port()):
            self.stop()
            raise RuntimeError("the server does not listen" + self.said())
        return self

    def read_port(self):
        ready, _, _ = select.select([self.process.stdout], [], [], 10)
        line = self.process.stdout.readline().strip() if ready else ""
        port = line.rpartition(":")[2]  # the examples say "listening on HOST:PORT"
        self.port = int(port) if port.isdigit() else 0
        return self.port != 0

    def __exit__(self, kind, problem, trace):
        ended = self.process.poll()
        self.stop()
        if ended is not None:
            raise RuntimeError(f"the server ended with {ended}" + self.said())

    def stop(self):
        self.process.stdin.close()
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def said(self):
        self.errors.seek(0)
        tail = self.errors.read().strip().splitlines()[-3:]
        return ": " + " | ".join(tail) if tail else ""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def answers(port):
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return True
        except OSError:
            time.sleep(0.1)
    return False


def on_cpus(cpus):
    return ["taskset", "-c", ",".join(map(str, cpus))] if cpus else []


def run_tool(command, timeout):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          errors="replace", timeout=timeout, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"exit status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def under_load(load, row, server, cpus, options):
    command = [*on_cpus(cpus), str(load), row.tool, "--port", str(server.port), "--pid",
               str(server.pid), "--conns", str(row.conns), "--seconds", str(options.seconds),
               "--warmup", str(min(0.3, options.seconds))]
    found = json.loads(run_tool(command, options.timeout))
    for name in ("p50", "p99", "max"):
        if name + "_us" in found:
            found[name + "_ns"] = found.pop(name + "_us") * 1e3
    return found


def cpu_ns(pid):
    """What clock_getcpuclockid(3) makes of a process."""
    return time.clock_gettime_ns((~pid << 3) | 2)


def children_ns():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (usage.ru_utime + usage.ru_stime) * 1e9


def counted(server, command, timeout):
    """(output, CPU time of the server, CPU time of the command)."""
    client, before = children_ns(), cpu_ns(server.pid)
    text = run_tool(command, timeout)
    return text, cpu_ns(server.pid) - before, children_ns() - client


def wrk_time(text, percent):
    found = re.search(rf"^\s*{percent}%\s+([\d.]+)(us|ms|s)\s*$", text, re.MULTILINE)
    return float(found[1]) * {"us": 1e3, "ms": 1e6, "s": 1e9}[found[2]]


def under_wrk(row, server, cpus, options):
    """One thread of wrk; it takes whole seconds."""
    command = [*on_cpus(cpus), "wrk", "-t1", f"-c{row.conns}", f"-d{math.ceil(options.seconds)}s",
               "--latency", f"http://127.0.0.1:{server.port}/"]
    text, spent, client = counted(server, command, options.timeout)
    errors = re.findall(r"(Socket errors: .*|Non-2xx.*)", text)
    if errors:
        raise RuntimeError("; ".join(errors))
    requests = max(1, int(re.search(r"(\d+) requests in", text)[1]))
    return {"requests": requests, "server_ns": spent / requests, "client_ns": client / requests,
            "p50_ns": wrk_time(text, 50), "p99_ns": wrk_time(text, 99),
            "rate": float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])}


def under_redis(row, server, cpus, options):
    """redis-benchmark counts requests, not seconds. A first run gives GET something to get."""
    command = [*on_cpus(cpus), "redis-benchmark", "-p", str(server.port), "-c", str(row.conns),
               "--csv"]
    run_tool([*command, "-t", "set", "-n", "1000"], options.timeout)
    requests = int(options.seconds * (100_000 if row.depth == 1 else 800_000))
    text, spent, client = counted(server, [*command, "-t", row.command, "-n", str(requests),
                                           "-P", str(row.depth)], options.timeout)
    head, line = [line.replace('"', "").split(",") for line in text.strip().splitlines()[-2:]]
    found = dict(zip(head, line))
    return {"requests": requests, "server_ns": spent / requests, "client_ns": client / requests,
            "p50_ns": float(found["p50_latency_ms"]) * 1e6,
            "p99_ns": float(found["p99_latency_ms"]) * 1e6, "rate": float(found["rps"])}
