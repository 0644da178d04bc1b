"""`vole test`: builds a configuration and runs its suites.

Meson knows which tests there are (`meson test` works too); we run them ourselves, because we count
single Catch2 test cases, survive the crash of one, and start everything the way a configuration
needs (an emulator, no address randomisation, more time).

What a test program may read from its environment:
    VOLE_TEST_WRAPPER     what must stand before a program of this build to start it, or ""
    VOLE_TEST_SLOWDOWN    how many times slower than usual this run may be (a whole number)
    VOLE_TEST_SCALE       a factor for iteration counts; from the user, not set here
    VOLE_TEST_LONG        "1" for --long: stress tests go on for minutes
    VOLE_TEST_SANITIZER   the sanitizers of this build, or ""
"""

import os
import shlex
import sys
from dataclasses import dataclass, field

import builds
import catch2
from console import EXIT_USAGE, Failure, Stopwatch, environment, say, shown

SUITES = ("unit", "behaviour", "panic", "time", "synctest", "explore", "net", "growth", "preempt", "stress",
          "proof", "faults", "fuzz", "death", "race", "gdb", "examples", "layers", "model", "consumer", "arch")
CATCH2_PROGRAMS = ("vole-unit", "vole-behaviour", "vole-stress", "vole-death", "vole-race", "vole-arch",
                   "vole-panic", "vole-panic-faults",
                   "vole-time", "vole-time-wall", "vole-time-simulated", "vole-synctest", "vole-explore", "vole-net",
                   "vole-net-fake", "vole-net-kqueue",
                   "vole-growth", "vole-growth-arm64", "vole-growth-copying", "vole-preempt",
                   "vole-preempt-O0", "vole-preempt-O3", "vole-preempt-growing", "vole-net-examples",
                   "vole-proof", "vole-proof-copying", "vole-faults")
# These are about the sources, not about what a compiler made of them: gcc, native, once.
SOURCE_SUITES = ("layers", "model", "consumer")
# What proves by machine: `--suite proof --long` means all of it.
PROOF_SUITES = ("proof", "explore", "model", "faults", "fuzz")
# Native, and not under sanitizers: see test/gdb/meson.build.
PLAIN_SUITES = ("gdb",)
# Under the thread sanitizer: see test/race/meson.build.
THREAD_SUITES = ("race",)
# For --fail-calls: what may fail now and then without anybody's noticing (test/faults/README.md), one call in so many.
HARMLESS_FAULTS = (
    ("send", 5, ""), ("recv", 5, ""), ("read", 7, ""), ("write", 7, ""), ("writev", 5, ""),
    ("accept", 3, ":4"), ("sendfile", 4, ":4"), ("splice", 4, ":4"),  # EINTR; what else they say is reported
    ("poll_wait", 7, ""), ("poll_look", 5, ""), ("futex_wait", 5, ""), ("timer_settime", 10, ""),
    ("close", 5, ""), ("munmap", 5, ""), ("mincore", 3, ""), ("getrlimit", 2, ""))
SKIPPED = 77  # exit status of a test that cannot run here; its last line says why
LONG_FACTOR = 60
# Seconds that one test case may take before it is called hung, and the most that is made of it where
# things are slow. The programs' own patience (test/support/scale.hpp) ends earlier, and says more.
CASE_LIMIT, CASE_LIMIT_MOST = 120, 360


@dataclass
class Tally:
    passed: int = 0
    skipped: int = 0
    failures: list = field(default_factory=list)  # (suite, name, detail, command to repeat it)


def slowdown(config):
    if config.arch:
        return 10
    if "thread" in config.sanitize:
        return 8
    return 4 if config.sanitize else 1


def sanitizer_environment(config):
    """Options of the sanitizers' runtimes; the user's own come last and win."""
    options = {
        # Stacks of goroutines are no stacks for the leak detector, what only they hold would be
        # called leaked.
        "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0:handle_abort=0"
                        if "address" in config.sanitize else "",
        "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1"
                        if "thread" in config.sanitize else "",
        "UBSAN_OPTIONS": "print_stacktrace=1" if "undefined" in config.sanitize else "",
    }
    return {name: ":".join(filter(None, (value, os.environ.get(name))))
            for name, value in options.items() if value}


def faults_of_round(number):
    """VOLE_DEBUG for a round of --fail-calls: other calls each time."""
    plans = "+".join(f"{row}%{one_in}/{number}{error}" for row, one_in, error in HARMLESS_FAULTS)
    return ",".join(filter(None, (os.environ.get("VOLE_DEBUG"), "fail=" + plans)))


def test_environment(config, long, fault_round=0):
    env = {
        "VOLE_TEST_WRAPPER": shlex.join(config.wrapper),
        "VOLE_TEST_SLOWDOWN": str(slowdown(config)),
        "VOLE_TEST_SANITIZER": ",".join(config.sanitize),
    }
    if long:
        env["VOLE_TEST_LONG"] = "1"
    if fault_round:
        env["VOLE_DEBUG"] = faults_of_round(fault_round)
    return {**env, **sanitizer_environment(config)}


def _suites_of(test):
    return [suite.split(":")[-1] for suite in test["suite"]]


def check_suites(names):
    for name in names:
        if name not in SUITES:
            raise Failure(f"unknown suite '{name}'; known: {', '.join(SUITES)}", EXIT_USAGE)


def suites_for(config, asked, long=False):
    if asked:
        more = PROOF_SUITES if long and "proof" in asked else ()
        return list(dict.fromkeys((*asked, *more)))
    plain = not config.arch and not config.sanitize
    left_out = () if config == builds.Config() else SOURCE_SUITES
    left_out += () if plain else PLAIN_SUITES
    left_out += () if "thread" in config.sanitize else THREAD_SUITES
    return [s for s in SUITES if s not in left_out]


def _time_limit(test, config, long):
    limit = test["timeout"] if test["timeout"] > 0 else 600
    return limit * slowdown(config) * (LONG_FACTOR if long else 1)


def _case_limit(config, long):
    return min(CASE_LIMIT * slowdown(config), CASE_LIMIT_MOST) * (LONG_FACTOR if long else 1)


def _is_catch2(test):
    return os.path.basename(test["cmd"][0]) in CATCH2_PROGRAMS


class Run:
    """One `vole test`: what to run, how, and what came of it."""

    def __init__(self, config, suites, repeat, long, selection, verbose, faults):
        self.config, self.suites, self.repeat, self.faults = config, suites, repeat, faults
        self.round = 1
        self.long, self.selection, self.verbose = long, selection, verbose
        self.tallies = {suite: Tally() for suite in suites}
        self.tests = builds.introspect(config, "tests")

    def tests_of(self, suite):
        return [t for t in self.tests if suite in _suites_of(t)]

    def environment(self):
        return test_environment(self.config, self.long, self.round if self.faults else 0)

    def again(self, suite, name=""):
        """A command line that repeats this."""
        words = ["./tools/vole", "test", "--suite", suite]
        if self.config.arch:
            words += ["--arch", self.config.arch]
        if self.config.compiler != "gcc":
            words += ["--compiler", self.config.compiler]
        if self.config.sanitize:
            words += ["--sanitize", ",".join(self.config.sanitize)]
        if self.long:
            words.append("--long")
        if self.faults:
            words.append("--fail-calls")
        return shown([*words, name] if name else words)

    def record(self, suite, name, passed, detail, again):
        tally = self.tallies[suite]
        if passed:
            tally.passed += 1
            if self.verbose:
                print(f"  ok      {suite}: {name}", flush=True)
            return
        tally.failures.append((suite, name, detail, again))
        print(f"  FAILED  {suite}: {name}", flush=True)
        for line in detail.splitlines():
            print("          " + line, flush=True)

    def run_suite(self, suite):
        tests = self.tests_of(suite)
        selection = list(self.selection)
        if suite == "arch" and not tests:
            # The conformance test of a port is a part of the unit program, by tag.
            tests, selection = self.tests_of("unit"), selection or ["[arch]"]
        if not tests:
            self.record(suite, "(suite)", False, "the build has no test of this suite",
                        self.again(suite))
            return
        for test in tests:
            if _is_catch2(test):
                self._run_catch2(suite, test, selection)
            elif not selection or any(s in test["name"] for s in selection):
                self._run_plain(suite, test)

    def _run_catch2(self, suite, test, selection):
        env = {**test["env"], **self.environment()}
        outcome = catch2.run(
            [*self.config.wrapper, *test["cmd"]], _time_limit(test, self.config, self.long),
            _case_limit(self.config, self.long), env, selection, test.get("workdir"),
            lambda c: self.record(suite, c.name, c.passed, c.detail,
                                  self.again(suite, catch2.escaped(c.name))))
        if not outcome.cases and not self.selection:
            self.record(suite, test["name"], False, "no test case in it", self.again(suite))

    def _run_plain(self, suite, test):
        command = list(test["cmd"])
        if not os.path.basename(command[0]).startswith("python"):
            command = [*self.config.wrapper, *command]
        elif "thread" in self.config.sanitize:
            command = [*self.config.wrapper, *command]  # no randomisation is inherited
        env = environment({**test["env"], **self.environment()})
        status, output = catch2.execute(command, _time_limit(test, self.config, self.long), env,
                                        test.get("workdir"))
        if status == SKIPPED:
            self.tallies[suite].skipped += 1
            print(f"  SKIPPED {suite}: {test['name']}: {output.strip().rpartition(chr(10))[2]}", flush=True)
            return
        self.record(suite, test["name"], status == 0,
                    f"{catch2.ended(status)}\n{catch2.tail(output)}",
                    self.again(suite, test["name"]))

    def report(self, watch):
        failures = [f for tally in self.tallies.values() for f in tally.failures]
        passed = sum(tally.passed for tally in self.tallies.values())
        if failures:
            print("\nFailed:")
            for suite, name, _, again in failures:
                print(f"  {suite}: {name}\n      again: {again}")
        print(f"\n{'suite':12} {'passed':>7} {'failed':>7}    (build/{self.config.name}, {watch})")
        for suite, tally in self.tallies.items():
            print(f"{suite:12} {tally.passed:7} {len(tally.failures):7}")
        print(f"{passed} passed, {len(failures)} failed", flush=True)
        if skipped := sum(tally.skipped for tally in self.tallies.values()):
            say(f"{skipped} tests were skipped, for the reasons above")
        elif not failures and not passed:
            say("no test matches " + shown(self.selection))
        return 1 if failures or not passed else 0


def _targets(config, suites):
    """What ninja must make for these suites, by the names it knows."""
    files = {t["id"]: t["filename"] for t in builds.introspect(config, "targets")}
    wanted = set()
    for test in builds.introspect(config, "tests"):
        in_suites = _suites_of(test)
        if set(in_suites) & set(suites) or ("arch" in suites and "unit" in in_suites):
            for target in test["depends"]:
                wanted.update(os.path.relpath(f, config.dir) for f in files[target])
    return sorted(wanted)


def test(config, suites, repeat=1, long=False, selection=(), verbose=False, faults=False):
    check_suites(suites)
    suites = suites_for(config, suites, long)
    builds.ensure(config, lambda: _targets(config, suites))
    watch = Stopwatch()
    run = Run(config, suites, repeat, long, selection, verbose, faults)
    try:
        for run.round in range(1, repeat + 1):
            if repeat > 1:
                print(f"round {run.round} of {repeat}", flush=True)
            for suite in suites:
                say(f"suite {suite} (build/{config.name})")
                run.run_suite(suite)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        run.report(watch)
        return 130
    return run.report(watch)
