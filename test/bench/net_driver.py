"""Runs the servers of net/ (Vole, Go, a hand-written epoll loop, blocking threads) under load, and the example that
speaks Redis's protocol beside Redis, and prints one table.

Rounds are interleaved as in driver.py: each measurement is a server of its own, and a round has the
sides one after the other. CPU time per request and memory are the minimum of all rounds, for noise
only adds; latencies and rates are the median. Every side serves the same load, and there is one
thread that makes it.

Standard library only. `main` takes the arguments without the program's name and returns the exit
status: 0 if everything that is installed ran, 1 if something failed or, with --check, a target was
missed, 2 for a wrong argument.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import driver
import net_loads

HERE = Path(__file__).resolve().parent
SIDES = ("vole", "go", "epoll", "threads", "redis")
PROCS_VARIABLE = {"vole": "VOLE_MAXPROCS", "go": "GOMAXPROCS"}  # the others take no notice
TOOL_CONNECTIONS = 64  # wrk's and redis-benchmark's
REDIS = ["redis-server", "--port", "{port}", "--bind", "127.0.0.1", "--save", "", "--appendonly",
         "no", "--loglevel", "warning"]
PACKAGES = (("wrk", "wrk", "wrk"), ("redis", "redis-server", "redis-server"),
            ("redis-benchmark", "redis-benchmark", "redis-tools"))  # (name here, program, package)

# What is measured: (its line in the table, how rounds become one number, how that is shown).
QUANTITIES = {
    "server_ns": ("", min, driver.shown_time),  # the line of the row itself
    "client_ns": ("client", min, driver.shown_time),
    "p50_ns": ("p50", statistics.median, driver.shown_time),
    "p99_ns": ("p99", statistics.median, driver.shown_time),
    "rate": ("rate", statistics.median, lambda v: f"{v:.0f}/s"),
    "bytes_each": ("", min, lambda v: f"{v:.0f} B"),
    "bytes_used": ("after use", min, lambda v: f"{v:.0f} B"),
}


class Row:
    """One benchmark: a server's mode, what puts load on it, and the ratios that we promise."""

    def __init__(self, name, mode, tool, conns, targets, most_rounds=99, command="", depth=1):
        self.name = name
        self.mode = mode  # what the server is to be
        self.tool = tool  # echo, http, idle: modes of net-load; or wrk, or redis-benchmark
        self.conns = conns
        self.targets = targets  # quantity: {peer: at most}
        self.most_rounds = most_rounds
        self.command = command  # redis-benchmark's
        self.depth = depth

    def procs(self, options):
        return options.procs[:1] if self.tool == "idle" else options.procs


def promised(**cpu):
    return {"server_ns": cpu, "p99_ns": {"go": 1.0}}


def all_rows(options):
    rows = []
    for name, tool, targets in (("echo", "echo", promised(go=0.8, epoll=1.1)),
                                ("hello", "http", promised(go=0.9, epoll=1.08)),
                                ("http", "http", promised(go=0.6))):
        rows += [Row(f"{name} {n}", name, tool, n, targets) for n in options.conns]
        if tool == "http":
            rows.append(Row(f"{name} wrk", name, "wrk", TOOL_CONNECTIONS, targets))
    for command in ("get", "set"):
        rows += [Row(f"redis {command}" + (f" x{depth}" if depth > 1 else ""), "redis",
                     "redis-benchmark", TOOL_CONNECTIONS, {}, command=command, depth=depth)
                 for depth in (1, 16)]
    idle = {"bytes_each": {"go": 1.0}, "bytes_used": {"go": 1.0}}
    rows.append(Row(f"idle {options.idle}", "idle", "idle", options.idle, idle, most_rounds=3))
    return rows


def find_servers(build_dir, wanted):
    """{side: {mode: command}}, the load generator, {what: why it is missing}."""
    bench_dir = driver.build_vole(build_dir) / "net"
    ours, loop = str(bench_dir / "vole-net-bench"), str(bench_dir / "net-epoll")
    servers = {"vole": {"echo": [ours, "echo"], "hello": [ours, "hello"],
                        "http": [str(bench_dir / "net-http")], "redis": [str(bench_dir / "net-resp")]},
               "epoll": {"echo": [loop, "echo"], "hello": [loop, "hello"]},
               "threads": {mode: [str(bench_dir / "net-threads"), mode] for mode in ("echo", "hello")},
               "redis": {"redis": REDIS}}
    # On stacks that grow, where the compiler can do that.
    small = bench_dir / "vole-net-dense"
    servers["vole"]["idle"] = [str(small), "echo"] if small.exists() else servers["vole"]["echo"]
    servers["epoll"]["idle"] = servers["epoll"]["echo"]
    missing = {}
    if "go" in wanted:
        program, why = driver.build_go(bench_dir, HERE / "net" / "go", "net-go")
        if why:
            missing["go"] = why
        else:
            servers["go"] = {mode: [str(program), mode] for mode in ("echo", "hello", "http")}
            servers["go"]["idle"] = servers["go"]["echo"]
    missing.update({side: "not built" for side in ("vole", "epoll", "threads")
                    if not Path(servers[side]["echo"][0]).exists()})
    missing.update({name: f"not installed (Debian package {package})"
                    for name, program, package in PACKAGES if shutil.which(program) is None})
    missing = {name: why for name, why in missing.items() if name not in SIDES or name in wanted}
    return ({side: servers[side] for side in SIDES if side in wanted and side in servers
             and side not in missing}, bench_dir / "net-load", missing)


# ---- measuring


def placement(procs, options):
    """(CPUs of the server, of the client); apart with --pin, where there are enough."""
    if not options.pin:
        return [], []
    cpus = sorted(os.sched_getaffinity(0))
    return cpus[:procs], cpus[-1:]


def measure(servers, load, side, row, procs, options):
    env = dict(os.environ)
    if side in PROCS_VARIABLE:
        env[PROCS_VARIABLE[side]] = str(procs)
    server_cpus, client_cpus = placement(procs, options)
    with net_loads.Server(servers[side][row.mode], env, server_cpus) as server:
        if row.tool == "wrk":
            return net_loads.under_wrk(row, server, client_cpus, options)
        if row.tool == "redis-benchmark":
            return net_loads.under_redis(row, server, client_cpus, options)
        found = net_loads.under_load(load, row, server, client_cpus, options)
    if found["errors"]:
        raise RuntimeError(f"{found['errors']} of {row.conns} connections failed")
    return found


def run_all(rows, servers, load, options, results):
    turns = [(number, row, procs) for row in rows for procs in row.procs(options)
             for number in range(min(options.rounds, row.most_rounds))]
    turns.sort(key=lambda t: t[0])
    for done, (number, row, procs) in enumerate(turns):
        if sys.stderr.isatty():
            print(f"\r\x1b[Kround {number + 1}/{options.rounds}  {row.name}  procs {procs}"
                  f"  ({done * 100 // len(turns)}%)", end="", file=sys.stderr, flush=True)
        for side in servers:
            key = (row.name, procs, side)
            if row.mode not in servers[side] or key in results.absent:
                continue
            try:
                results.add(key, measure(servers, load, side, row, procs, options))
            except (RuntimeError, ValueError, KeyError, TypeError, OSError) as problem:
                results.absent[key] = "failed"
                results.failures.append(f"{side} {row.name}, procs {procs}: {problem}")
            except subprocess.TimeoutExpired:
                results.absent[key] = "hung"
                results.failures.append(f"{side} {row.name}, procs {procs}: nothing after "
                                        f"{options.timeout} s")
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)


# ---- the table


def value(results, row, procs, side, quantity):
    """All rounds as one number, or None."""
    found = [m[quantity] for m in results.raw.get((row.name, procs, side), []) if quantity in m]
    return QUANTITIES[quantity][1](found) if found else None


def verdicts(results, row, procs, quantity):
    """[(peer, ratio, target, met)]"""
    ours = value(results, row, procs, "vole", quantity)
    found = []
    for peer, target in row.targets.get(quantity, {}).items():
        theirs = value(results, row, procs, peer, quantity)
        if ours is not None and theirs:
            found.append((peer, ours / theirs, target, ours / theirs <= target))
    return found


def lines_of(row, procs, sides, missing, results):
    """[(cells up to the ratios, verdicts)]"""
    lines = []
    for quantity, (name, _, shown) in QUANTITIES.items():
        values = {side: value(results, row, procs, side, quantity) for side in sides}
        if all(v is None for v in values.values()):
            continue
        other = {s: "absent" if s in missing else results.absent.get((row.name, procs, s), "-")
                 for s in sides}
        cells = [other[s] if values[s] is None else shown(values[s]) for s in sides]
        lines.append(([f"  {name}" if name else row.name, str(procs), *cells,
                       *driver.ratios(values, sides)], verdicts(results, row, procs, quantity)))
    return lines


def table(rows, servers, missing, options, results):
    """(lines, number of targets met, number missed)."""
    modes = {row.mode for row in rows}
    sides = [s for s in SIDES if modes & set(servers.get(s, ()))
             or (s in missing and (s != "redis" or "redis" in modes))]
    head = ["benchmark", "procs", *sides, *("/" + s for s in sides if s != "vole"), "target", ""]
    body, passed = [], []
    for row in rows:
        for procs in row.procs(options):
            for cells, judged in lines_of(row, procs, sides, missing, results):
                wanted = [f"<= {target:g} {peer}" for peer, _, target, _ in judged]
                body.append([*cells, " ".join(wanted),
                             " ".join("met" if ok else "MISSED" for *_, ok in judged)])
                passed += [ok for *_, ok in judged]
    return driver.aligned(head, body), passed.count(True), passed.count(False)


def as_json(info, rows, options, missing, results):
    measured = []
    for row in rows:
        for procs in row.procs(options):
            keys = {side: (row.name, procs, side) for side in SIDES}
            entry = {"benchmark": row.name, "mode": row.mode, "load": row.tool,
                     "connections": row.conns, "procs": procs, "sides": {}, "targets": []}
            for side, key in keys.items():
                if key in results.raw:
                    values = {q: value(results, row, procs, side, q) for q in QUANTITIES}
                    entry["sides"][side] = {
                        "values": {q: v for q, v in values.items() if v is not None},
                        "raw": results.raw[key]}
                elif key in results.absent:
                    entry["sides"][side] = {"absent": results.absent[key]}
            for quantity in row.targets:
                for peer, ratio, target, ok in verdicts(results, row, procs, quantity):
                    entry["targets"].append({"quantity": quantity, "peer": peer, "ratio": ratio,
                                             "at_most": target, "met": ok})
            if entry["sides"]:
                measured.append(entry)
    return {"format": 1, **info, "absent": missing, "rounds": options.rounds,
            "seconds": options.seconds, "pinned": options.pin, "failures": results.failures,
            "results": measured}


def numbers(text):
    found = [int(n) for n in text.split(",")]
    if min(found) < 1:
        raise ValueError
    return found


def arguments(argv):
    parser = argparse.ArgumentParser(
        prog="bench net", description="Vole's net beside Go's and a hand-written epoll loop.")
    parser.add_argument("name", nargs="*", help="only benchmarks whose name contains NAME: "
                        "echo, hello (HTTP by hand), http (all of HTTP/1.1), wrk, idle, redis")
    parser.add_argument("--build-dir", type=Path, default=driver.ROOT / "build" / "release")
    parser.add_argument("--json", metavar="FILE", help="write everything measured to FILE")
    parser.add_argument("--conns", type=numbers, default=[1, 64, 1000],
                        help="numbers of connections (default 1,64,1000)")
    parser.add_argument("--procs", type=numbers, default=[1, 2],
                        help="numbers of the servers' Ps (default 1,2)")
    parser.add_argument("--rounds", type=int, help="how often each is measured (5)")
    parser.add_argument("--seconds", type=float, help="of one measurement (1)")
    parser.add_argument("--idle", type=int, default=20000, help="idle connections (20000)")
    parser.add_argument("--pin", action="store_true",
                        help="server on the first CPUs, client on the last")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 0.3 s: a first look")
    parser.add_argument("--only", metavar="SIDES", default=",".join(SIDES),
                        help="which of " + ",".join(SIDES) + " to run")
    parser.add_argument("--timeout", type=int, default=120, help="seconds until one run is hung")
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    options = parser.parse_args(argv)
    options.rounds = options.rounds or (2 if options.quick else 5)
    options.seconds = options.seconds or (0.3 if options.quick else 1.0)
    options.only = options.only.split(",")
    if not set(options.only) <= set(SIDES):
        parser.error("--only takes some of " + ",".join(SIDES))
    # The server needs as many descriptors as the client.
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    if files != resource.RLIM_INFINITY:
        options.idle = min(options.idle, files - 100)
    options.rows = [r for r in all_rows(options)
                    if not options.name or any(part in r.name for part in options.name)]
    if not options.rows:
        parser.error("no benchmark has such a name")
    return options


def main(argv):
    try:
        options = arguments(argv)
    except SystemExit as stop:  # argparse has said why
        return stop.code
    servers, load, missing = find_servers(options.build_dir, options.only)
    rows = [r for r in options.rows if r.tool not in missing]
    info = driver.describe(options.build_dir, servers)
    results = driver.Results()
    try:
        run_all(rows, servers, load, options, results)
    except KeyboardInterrupt:
        print("\ninterrupted: what was measured so far", file=sys.stderr)
    lines, met, missed = table(rows, servers, missing, options, results)
    print("\n".join(driver.heading(info, servers, missing)))
    for what, why in missing.items():
        if what != "go":  # the heading has said so
            print(f"{what} is absent: {why}")
    print("\n".join(["", *lines, ""]))
    print(f"{met} of {met + missed} targets met; {options.rounds} interleaved rounds: CPU time and "
          "memory are the least of them, latency and rate the median")
    for failure in results.failures:
        print("failed: " + failure)
    if options.json:
        text = json.dumps(as_json(info, rows, options, missing, results), indent=1)
        Path(options.json).write_text(text + "\n", encoding="utf-8")
    return 1 if results.failures or (options.check and missed) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
