"""Runs the benchmarks of Vole, Go, Boost and std side by side and prints one table.

Noise on a shared machine only ever adds time, so every number is the minimum of several rounds,
and a round runs the sides one after the other (vole, go, boost, std, vole, ...): whatever slows
the machine for a while slows all of them. Each measurement is a process of its own.

Standard library only. `main` takes the arguments without the program's name and returns the exit
status: 0 if everything that is installed ran, 1 if something failed or, with --check, a target was
missed, 2 for a wrong argument.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SIDES = ("vole", "go", "boost", "std")
PROCS_VARIABLE = {"vole": "VOLE_MAXPROCS", "go": "GOMAXPROCS", "boost": "BENCH_PROCS",
                  "std": "BENCH_PROCS"}
# Sides whose program Meson builds, and why one may be missing.
BUILT = {"boost": "not installed (Debian package libboost-fiber-dev)", "std": "not built"}
GIB = 1 << 30
KIB = 1 << 10


class Row:
    """One benchmark. `targets` maps a peer to the ratio of times that we promise to stay under."""

    def __init__(self, name, what, targets=None, names=None, counters=None, single=False,
                 memory=None, most_rounds=99, stacks=False, counter_targets=None):
        self.name = name
        self.what = what
        self.targets = targets or {}
        self.names = names or {}  # where a side calls it something else
        self.counters = counters or {}  # name: (unit, absolute target or None)
        self.counter_targets = counter_targets or {}  # name: what `targets` is for the time
        self.single = single  # one thread by nature: run with one P only
        self.memory = memory or {}  # side: what must be free to run it
        self.most_rounds = most_rounds
        self.stacks = stacks  # Vole's is in the program with growing stacks

    def name_for(self, side):
        return self.names.get(side, self.name)


CROWD_MEMORY = {"vole": 6 * GIB, "go": 4 * GIB, "boost": 9 * GIB}
BYTES_EACH = {"bytes_each": ("B", 4.7 * KIB)}
ROWS = [
    Row("switch_raw", "one context switch", {"boost": 1.2}, single=True),
    Row("switch_raw_sites", "the same from two call sites", single=True),
    Row("yield", "one gosched, two goroutines", {"go": 0.3}),
    Row("spawn_exit", "start, run, end, wait", {"go": 0.4}),
    Row("pingpong", "one hop, unbuffered", {"go": 0.4}),
    Row("pingpong_pairs", "one hop, 32 pairs at once"),
    Row("pingpong_locked", "one hop between two threads"),
    Row("buffered", "one item, capacity 128", {"go": 0.6}),
    Row("select_ready_2", "one select of 2, ready", {"go": 0.6}),
    Row("select_ready_8", "one select of 8, ready", {"go": 0.6}),
    Row("select_blocked_2", "select of 2 parks, + ack", {"go": 0.5}),
    Row("select_blocked_8", "select of 8 parks, + ack", {"go": 0.5}),
    Row("mutex", "lock and unlock, alone", {"go": 0.9}),
    Row("mutex_contended", "lock and unlock, 64 goroutines", {"go": 1.0}),
    Row("skynet", "a tree of a million leaves", {"go": 0.5},
        memory={"go": 4 * GIB, "boost": 12 * GIB}, most_rounds=5),
    Row("parked", "create and park a million", {"go": 1.0}, counters=BYTES_EACH,
        memory=CROWD_MEMORY, most_rounds=5),
    Row("parked_nogc", "the same, Go's collector off", memory=CROWD_MEMORY, most_rounds=5,
        names={"vole": "parked", "boost": ""}),
    Row("steal_balance", "one task of a burst of 1024", counters={"work_ns": ("ns", None)}),
    Row("recursion_first", "100,000 levels, new stack", {"go": 1.0}, stacks=True),
    Row("recursion_again", "the same a second time", {"go": 1.0}, stacks=True),
    Row("recursion_copying", "the first by moving the stack", stacks=True,
        counters={"copy_ns_per_kib": ("ns", None)}),
    Row("hot_split", "a call over a segment's end", single=True, stacks=True,
        counters={"extra_ns": ("ns", 6.0)}),
    Row("preempt_delay", "p99 wait behind a loop", {"go": 1.0}, most_rounds=3,
        counters={"p50_ms": ("ms", None), "p99_ms": ("ms", 20.0)}),
    Row("preempt_hogs", "goroutines of 50 ms", most_rounds=1,
        counters={"wall_over_cpu": ("", 1.05), "threads": ("", 70)}),
    Row("preempt_cost", "one stop by signal", single=True,
        counters={"handoff_ns": ("ns", None), "extra_ns": ("ns", 2000)}),
    Row("preempt_injected", "the same, injected", single=True),
    Row("throw_catch", "throw through 5 frames", most_rounds=3,
        counters={"over_thread": ("", 1.05)}),
    Row("panic_recover", "panic and recover"),
    Row("defer_call", "a deferred call"),
    Row("coro_next", "a value from a coroutine", {"boost": 1.3, "go": 0.33}),
    Row("coro_create", "one made, asked once, stopped", {"go": 0.7}),
    Row("rw_read", "a reader's lock and unlock, alone", {"go": 0.7}),
    Row("rw_read_shared", "the same, 8 goroutines", {"go": 0.7}),
    Row("rw_mixed", "the same, every 16th writes", {"go": 0.7}),
    Row("cond_pingpong", "one turn of two", {"go": 0.7}),
    Row("once", "once that is over", {"go": 0.7}),
    Row("pool", "get and put, 8 goroutines", {"go": 0.7}),
    Row("map_read_mostly", "sync_map, 1 of 16 stores", {"go": 0.7}),
    Row("map_write_heavy", "sync_map, 1 of 2 stores", {"go": 0.7}),
    Row("semaphore", "acquire and release, alone", {"go": 0.7}),
    Row("semaphore_contended", "the same, 8 for 2 places", {"go": 0.7}),
    Row("context_cancel", "a context made and cancelled", {"go": 0.7}),
    Row("context_children", "with 1000 children", {"go": 0.7}),
    Row("group_1000", "a group of 1000 tasks", {"go": 0.7}),
    Row("parked_dense", "a million, libraries used", stacks=True, most_rounds=5,
        memory={"vole": 4 * GIB, "go": 10 * GIB}, counters={"bytes_each": ("B", 2.4 * KIB)}),
    Row("timer_create_stop", "a timer made, stopped, dropped", {"go": 0.6}),
    Row("timer_func_create_stop", "the same with a function", {"go": 0.6}),
    Row("timer_reset", "a pending timer set anew", {"go": 0.6}),
    Row("timers_pending", "start one of a million", {"go": 0.6},
        counters={"bytes_each": ("B", None), "stop_ns": ("ns", None)}),
    Row("after_select", "a ready receive with time-out", {"go": 0.6}),
    Row("sleepers", "p99 oversleep of 100,000", {"go": 0.6}, counters={"p50_us": ("us", None)},
        counter_targets={"p50_us": {"go": 0.6}}, memory={"vole": GIB, "go": GIB}),
    Row("sleep_short", "mean oversleep of 50 us", {"go": 0.6}, most_rounds=3),
    Row("ticker_drift", "mean lateness of 1 ms ticks", {"go": 0.6}, most_rounds=3,
        counters={"since_due_us": ("us", None)}),
    # Go 1.19 has no synctest. Go 1.27 was measured on such a machine: 43 ms for the 100,000.
    Row("virtual_sleeps", "100,000 in a bubble; target 0.6 of Go 1.27's 430 ns each",
        counters={"sleep_ns": ("ns", 0.6 * 430)}),
]


def quiet(command, **options):
    """Output of a command that may fail; then ''."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              text=True, check=False, **options)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def first_match(pattern, path):
    try:
        found = re.search(pattern, Path(path).read_text(errors="replace"), re.MULTILINE)
    except OSError:
        return ""
    return found.group(1).strip() if found else ""


# ---- what is there


def build_vole(build_dir):
    """The directory that holds the programs, after ninja has had its say."""
    if not (build_dir / "build.ninja").exists():
        raise SystemExit(f"bench: {build_dir} is no build directory; set one up with\n"
                         f"  meson setup -Dbench=true -Dbuildtype=release {build_dir} {ROOT}")
    options = json.loads((build_dir / "meson-info" / "intro-buildoptions.json").read_text())
    if not any(o["name"] == "bench" and o["value"] for o in options):
        subprocess.run(["meson", "configure", str(build_dir), "-Dbench=true"], check=True,
                       stdout=subprocess.DEVNULL)
    done = subprocess.run(["ninja", "-C", str(build_dir)], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        sys.stderr.write(done.stdout)
        raise SystemExit(1)
    return build_dir / "test" / "bench"


def build_go(bench_dir, folder=HERE / "go", name="go-bench"):
    """(program, why there is none)."""
    if shutil.which("go") is None:
        return None, "not installed (Debian package golang-go)"
    program = bench_dir / name
    env = {**os.environ, "GOPROXY": "off", "GOFLAGS": "", "GOTOOLCHAIN": "local", "GOWORK": "off",
           "GOCACHE": str((bench_dir / "go-cache").resolve())}
    done = subprocess.run(["go", "build", "-buildvcs=false", "-o", str(program.resolve()), "."],
                          cwd=folder, env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        return None, "did not build: " + done.stdout.strip().replace("\n", " ")
    return program, ""


def find_programs(build_dir, wanted):
    """{side: program}, {side: why it is missing}."""
    bench_dir = build_vole(build_dir)
    programs, missing = {"vole": bench_dir / "vole-bench"}, {}
    if (bench_dir / "vole-stack-bench").exists():
        programs["vole stacks"] = bench_dir / "vole-stack-bench"
    if not programs["vole"].exists():
        raise SystemExit("bench: vole-bench was not built (is Google Benchmark installed?)")
    if "go" in wanted:
        program, why = build_go(bench_dir)
        if program:
            programs["go"] = program
        else:
            missing["go"] = why
    for side, why in BUILT.items():
        if side in wanted and (bench_dir / f"{side}-bench").exists():
            programs[side] = bench_dir / f"{side}-bench"
        elif side in wanted:
            missing[side] = why
    return programs, missing


def describe(build_dir, programs):
    """Machine, kernel, compiler and peers: what the numbers depend on."""
    compiler = ""
    try:
        commands = json.loads((build_dir / "compile_commands.json").read_text())
        words = [w for w in commands[0]["command"].split() if not w.endswith("ccache")]
        compiler = quiet([words[0], "--version"]).split("\n", maxsplit=1)[0]
    except (OSError, LookupError, ValueError):
        pass
    project = json.loads(quiet(["meson", "introspect", str(build_dir), "--projectinfo"]) or "{}")
    options = json.loads((build_dir / "meson-info" / "intro-buildoptions.json").read_text())
    value = {o["name"]: o["value"] for o in options}
    info = {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": {
            "architecture": platform.machine(),
            "cpu": first_match(r"^model name\s*:\s*(.*)$", "/proc/cpuinfo"),
            "cpus": len(os.sched_getaffinity(0)),
            "memory_kib": int(first_match(r"^MemTotal:\s*(\d+)", "/proc/meminfo") or 0),
        },
        "kernel": platform.release(),
        "system": first_match(r'^PRETTY_NAME="?([^"\n]*)', "/etc/os-release"),
        "libc": " ".join(platform.libc_ver()),
        "compiler": compiler,
        "build": {k: value.get(k) for k in ("buildtype", "optimization", "b_ndebug", "b_lto")},
        "vole": project.get("version", ""),
        "google_benchmark": quiet(["pkg-config", "--modversion", "benchmark"]),
        "go": None,
        "boost": None,
        "std": None,
    }
    if "go" in programs:
        info["go"] = quiet(["go", "env", "GOVERSION"])
    if "boost" in programs:
        version = first_match(r'^#define BOOST_LIB_VERSION "([^"]*)"',
                              "/usr/include/boost/version.hpp")
        info["boost"] = version.replace("_", ".")
    if "std" in programs:
        info["std"] = f"the library of {compiler}, {info['libc']}"
    return info


# ---- measuring


class Results:
    """All measurements, and why some are missing."""

    def __init__(self):
        self.raw = {}  # (row name, procs, side): list of {"ns": ..., counters}
        self.absent = {}  # the same key: a word for the table
        self.failures = []

    def add(self, key, measurement):
        self.raw.setdefault(key, []).append(measurement)

    def best(self, key, what="ns"):
        values = [m[what] for m in self.raw.get(key, []) if what in m]
        if not values:
            return None
        return min(values)

    def balance(self, key):
        """Of a burst of tasks: the part of all Ps' time that was work; 1 is perfect, at no cost."""
        work, wall = self.best(key, "work_ns"), self.best(key)
        return work / (wall * key[1]) if work and wall else None


def measure(program, side, name, procs, min_time, timeout, counters):
    env = {**os.environ, PROCS_VARIABLE[side]: str(procs)}
    command = [str(program), f"--benchmark_filter=^{name}/", f"--benchmark_min_time={min_time}",
               "--benchmark_format=json"]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, errors="replace", timeout=timeout, check=False)
    if done.returncode != 0:
        tail = done.stderr.strip().splitlines()[-3:]
        raise RuntimeError(f"exit status {done.returncode}: " + " | ".join(tail))
    found = json.loads(done.stdout)["benchmarks"] if done.stdout.strip() else []
    if not found:
        return None
    result = {"ns": found[0]["real_time"]}
    result.update({c: found[0][c] for c in counters if c in found[0]})
    return result


def procs_of(row, options):
    return [1] if row.single else options.procs


def available_memory():
    return int(first_match(r"^MemAvailable:\s*(\d+)", "/proc/meminfo") or 0) * KIB


def run_all(rows, programs, options, results):
    measurements = []
    for row in rows:
        for procs in procs_of(row, options):
            for number in range(min(options.rounds, row.most_rounds)):
                measurements.append((number, row, procs))
    # A whole round of everything before the next: minutes lie between two looks at one thing.
    measurements.sort(key=lambda m: m[0])
    for done, (number, row, procs) in enumerate(measurements):
        if sys.stderr.isatty():
            print(f"\r\x1b[Kround {number + 1}/{options.rounds}  {row.name}  procs {procs}"
                  f"  ({done * 100 // len(measurements)}%)", end="", file=sys.stderr, flush=True)
        for side in SIDES:
            key = (row.name, procs, side)
            name = row.name_for(side)
            program = programs.get("vole stacks" if side == "vole" and row.stacks else side)
            if side not in programs or program is None or not name or key in results.absent:
                continue
            if row.memory.get(side, 0) > available_memory():
                results.absent[key] = "no memory"
                continue
            try:
                measurement = measure(program, side, name, procs, options.min_time,
                                      options.timeout, row.counters)
            except (RuntimeError, ValueError, KeyError) as problem:
                results.absent[key] = "failed"
                results.failures.append(f"{side} {row.name}, procs {procs}: {problem}")
            except subprocess.TimeoutExpired:
                results.absent[key] = "hung"
                results.failures.append(f"{side} {row.name}, procs {procs}: nothing after "
                                        f"{options.timeout} s")
            else:
                if measurement is None:
                    results.absent[key] = "-"  # no equivalent there
                else:
                    results.add(key, measurement)
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)


# ---- the table


def shown_time(ns):
    for unit, factor in (("s", 1e9), ("ms", 1e6), ("us", 1e4)):
        if ns >= factor:
            return f"{ns / (1e3 if unit == 'us' else factor):.4g} {unit}"
    return f"{ns:.1f} ns" if ns >= 10 else f"{ns:.2f} ns"


def shown_counter(value, unit):
    if not unit:
        return f"{value:.3g}"
    return f"{value:.0f} {unit}" if value >= 100 else f"{value:.1f} {unit}"


def shown_ratio(ratio):
    return f"{ratio:.2f}" if ratio >= 0.01 else f"{ratio:.1g}"


def verdicts(row, procs, results):
    """[(peer or '', ratio or value, target, met)] for one line of the table."""
    found = []
    ours = results.best((row.name, procs, "vole"))
    for peer, target in row.targets.items():
        theirs = results.best((row.name, procs, peer))
        if ours and theirs:
            found.append((peer, ours / theirs, target, ours / theirs <= target))
    return found


def counter_verdicts(row, counter, procs, results):
    """The same for one counter; without a peer, the value itself is what the target is for."""
    found = []
    ours = results.best((row.name, procs, "vole"), counter)
    target = row.counters[counter][1]
    if ours is not None and target is not None:
        found.append(("", ours, target, ours <= target))
    for peer, at_most in row.counter_targets.get(counter, {}).items():
        theirs = results.best((row.name, procs, peer), counter)
        if ours is not None and theirs:
            found.append((peer, ours / theirs, at_most, ours / theirs <= at_most))
    return found


def shown_sides(rows, missing, options, results):
    """Those that have a column: what is missing is said, what has nothing to show takes no room."""
    keys = [(row.name, procs, side) for row in rows for procs in procs_of(row, options)
            for side in SIDES]
    busy = {key[2] for key in keys if key in results.raw or results.absent.get(key, "-") != "-"}
    return [side for side in SIDES if side in busy or side in missing]


def ratios(values, sides):
    """Vole's value over that of each peer."""
    ours = values.get("vole")
    return [shown_ratio(ours / values[side]) if ours and values[side] else ""
            for side in sides if side != "vole"]


def time_line(row, procs, sides, missing, results):
    """The cells of a benchmark's own line, up to the ratios."""
    best = {side: results.best((row.name, procs, side)) for side in sides}
    cells = [row.name, str(procs)]
    for side in sides:
        if best[side] is not None:
            cells.append(shown_time(best[side]))
        elif side in missing:
            cells.append("absent")
        else:
            cells.append(results.absent.get((row.name, procs, side), "-"))
    return cells + ratios(best, sides)


def counter_line(row, counter, procs, sides, results):
    """The same for one of its counters."""
    unit = row.counters[counter][0]
    values = {side: results.best((row.name, procs, side), counter) for side in sides}
    return ["  " + counter, str(procs),
            *("" if values[s] is None else shown_counter(values[s], unit) for s in sides),
            *ratios(values, sides)]


def balance_line(row, procs, sides, results):
    values = [results.balance((row.name, procs, side)) for side in sides]
    return ["  balance", str(procs), *("" if v is None else f"{v:.3f}" for v in values),
            *ratios(dict.fromkeys(sides), sides)]


def judged_lines(row, procs, sides, missing, results):
    """[(cells up to the ratios, unit, verdicts)] of one benchmark."""
    lines = [(time_line(row, procs, sides, missing, results), "", verdicts(row, procs, results))]
    for counter, (unit, _) in row.counters.items():
        if counter == "work_ns":
            # An ingredient, not a result.
            lines.append((balance_line(row, procs, sides, results), "", []))
        else:
            lines.append((counter_line(row, counter, procs, sides, results), unit,
                          counter_verdicts(row, counter, procs, results)))
    return lines


def table(rows, missing, options, results):
    """(lines, number of targets met, number missed)."""
    sides = shown_sides(rows, missing, options, results)
    head = ["benchmark", "procs", *sides, *("/" + side for side in sides if side != "vole"),
            "target", ""]
    body, passed = [], []
    for row in rows:
        for procs in procs_of(row, options):
            keys = [(row.name, procs, side) for side in SIDES]
            if not any(key in results.raw or key in results.absent for key in keys):
                continue
            for cells, unit, judged in judged_lines(row, procs, sides, missing, results):
                wanted = [f"<= {target:g} {peer or unit}".rstrip() for peer, _, target, _ in judged]
                passed += [ok for *_, ok in judged]
                body.append([*cells, " ".join(wanted),
                             " ".join("met" if ok else "MISSED" for *_, ok in judged)])
    return aligned(head, body), passed.count(True), passed.count(False)


def aligned(head, body):
    """Lines of a table: names on the left, targets and verdicts on the right, numbers between."""
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]
    left = {0, len(head) - 2, len(head) - 1}

    def line(cells):
        return "  ".join(c.ljust(w) if i in left else c.rjust(w)
                         for i, (c, w) in enumerate(zip(cells, widths))).rstrip()

    return [line(head), line(["-" * w for w in widths]), *map(line, body)]


def heading(info, programs, missing):
    machine = info["machine"]
    lines = [f"{machine['cpu'] or machine['architecture']}, {machine['cpus']} CPUs, "
             f"{info['system']}, kernel {info['kernel']}",
             f"vole {info['vole']}: {info['compiler']}, "
             f"-O{info['build']['optimization']}"
             + (", assertions on" if str(info["build"]["b_ndebug"]) != "true" else "")]
    for side, name in (("go", "Go"), ("boost", "Boost"), ("std", "std")):
        if side in programs:
            lines.append(f"{side}: {info[side]}")
        elif side in missing:
            lines.append(f"{side}: {name} is absent: {missing[side]}")
    return lines


def as_json(info, rows, options, missing, results):
    measured = []
    for row in rows:
        for procs in procs_of(row, options):
            entry = {"benchmark": row.name, "operation": row.what, "procs": procs,
                     "sides": {}, "targets": []}
            for side in SIDES:
                key = (row.name, procs, side)
                if key in results.raw:
                    best = {what: results.best(key, what) for what in results.raw[key][0]}
                    if "work_ns" in best:
                        best["balance"] = results.balance(key)
                    entry["sides"][side] = {"best": best, "raw": results.raw[key]}
                elif key in results.absent:
                    entry["sides"][side] = {"absent": results.absent[key]}
            for peer, ratio, target, ok in verdicts(row, procs, results):
                entry["targets"].append({"peer": peer, "ratio": ratio, "at_most": target,
                                         "met": ok})
            for counter, (unit, _) in row.counters.items():
                for peer, value, target, ok in counter_verdicts(row, counter, procs, results):
                    shown = {"peer": peer, "ratio": value} if peer else {"unit": unit,
                                                                         "value": value}
                    entry["targets"].append({"counter": counter, **shown, "at_most": target,
                                             "met": ok})
            if entry["sides"]:
                measured.append(entry)
    return {"format": 1, **info, "absent": missing, "rounds": options.rounds,
            "min_time_s": options.min_time, "failures": results.failures,
            "results": measured}


def arguments(argv):
    parser = argparse.ArgumentParser(
        prog="bench", description="Vole's benchmarks beside Go's, Boost's and std's, as one table.")
    parser.add_argument("name", nargs="*",
                        help="only benchmarks whose name contains NAME: "
                             + ", ".join(r.name for r in ROWS))
    parser.add_argument("--build-dir", type=Path, default=ROOT / "build" / "release")
    parser.add_argument("--json", metavar="FILE", help="write everything measured to FILE")
    parser.add_argument("--procs", default="1,2", help="numbers of Ps (default 1,2)")
    parser.add_argument("--rounds", type=int, help="rounds of which the minimum counts (5)")
    parser.add_argument("--min-time", type=float, help="seconds of one measurement (0.1)")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 0.03 s: a first look")
    parser.add_argument("--only", metavar="SIDES", default=",".join(SIDES),
                        help="which of " + ",".join(SIDES) + " to run")
    parser.add_argument("--timeout", type=int, default=120, help="seconds until one run is hung")
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    options = parser.parse_args(argv)
    try:
        options.procs = [int(p) for p in options.procs.split(",")]
    except ValueError:
        parser.error("--procs takes numbers with commas between them")
    if min(options.procs) < 1:
        parser.error("--procs takes positive numbers")
    options.rounds = options.rounds or (2 if options.quick else 5)
    options.min_time = options.min_time or (0.03 if options.quick else 0.1)
    options.only = options.only.split(",")
    if not set(options.only) <= set(SIDES):
        parser.error("--only takes some of " + ",".join(SIDES))
    options.rows = [r for r in ROWS
                    if not options.name or any(part in r.name for part in options.name)]
    if not options.rows:
        parser.error("no benchmark has such a name; there are: " + ", ".join(r.name for r in ROWS))
    return options


def main(argv):
    try:
        options = arguments(argv)
    except SystemExit as stop:  # argparse has said why
        return stop.code
    programs, missing = find_programs(options.build_dir, options.only)
    programs = {side: p for side, p in programs.items() if side.split()[0] in options.only}
    info = describe(options.build_dir, programs)
    results = Results()
    try:
        run_all(options.rows, programs, options, results)
    except KeyboardInterrupt:
        print("\ninterrupted: what was measured so far", file=sys.stderr)
    lines, met, missed = table(options.rows, missing, options, results)
    print("\n".join([*heading(info, programs, missing), "", *lines, ""]))
    if met + missed:
        print(f"{met} of {met + missed} targets met; each number is the least of "
              f"{options.rounds} interleaved rounds")
    for failure in results.failures:
        print("failed: " + failure)
    if options.json:
        text = json.dumps(as_json(info, options.rows, options, missing, results), indent=1)
        Path(options.json).write_text(text + "\n", encoding="utf-8")
    return 1 if results.failures or (options.check and missed) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
