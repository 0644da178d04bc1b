#!/usr/bin/env python3
"""Runs gdb on the programs beside this file, and reads what vole-gdb.py has it say.

    check.py CASE        the functions below whose names begin with case_

Environment: GDB, PROGRAM, PLAIN, UNKNOWN, GROWING, LINKED (several), SCRIPT, OBJCOPY are paths; meson.build
sets them. Exit status 77: not run, and why is on the last line.
"""

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM = os.environ["PROGRAM"]
# gdb takes scripts out of programs in trusted places only.
TRUSTING = ["-iex", "set auto-load safe-path /"]


def gdb(*words, commands=(), options=TRUSTING):
    """What gdb says, one command after the other, each announced by a line ">>> COMMAND"."""
    call = [os.environ["GDB"], "-nx", "-q", "-batch", *options]
    for setting in ("pagination off", "width 0", "debuginfod enabled off", "disable-randomization off"):
        call += ["-iex", "set " + setting]
    for command in commands:
        call += ["-ex", f"echo >>> {command}\\n", "-ex", command]
    call += list(words)
    done = subprocess.run(call, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=100,
                          stderr=subprocess.STDOUT, errors="replace", check=False)
    print(done.stdout, flush=True)
    return done.stdout


def stopped(*arguments, commands, program=PROGRAM, **more):
    """The program under gdb, until it calls gdb_stop()."""
    return gdb("--args", program, *arguments,
               commands=["break gdb_stop", "run", *commands], **more)


def said(text, command):
    """What came after the last time that `command` was given."""
    return text.rpartition(f">>> {command}\n")[2].split("\n>>> ")[0]


def must(condition, what):
    if not condition:
        sys.exit("FAILED: " + what)


def must_match(pattern, text):
    found = re.search(pattern, text, re.MULTILINE)
    must(found, f"nothing matches {pattern!r} there")
    return found


def must_follow(text, *names):
    """These words, in this order."""
    at = 0
    for name in names:
        found = text.find(name, at)
        must(found >= 0, f"{name!r} does not come after {names[:names.index(name)]} there")
        at = found + len(name)


def address(text, name):
    return must_match(rf"^{name} (0x[0-9a-f]+)$", text)[1]


def number_of(text, name):
    """Of a goroutine."""
    return must_match(rf'^[* ] +(\d+) "{name}" ', text)[1]


# Of the sender: what it inherited.
LABELS = "{route: /send, tenant: ann}"


def check_list(text, fresh=True):
    """`info goroutines` of program kinds."""
    a, b, mutex = (address(text, name) for name in ("receiver", "sender", "locker"))
    told = said(text, "info goroutines")
    for line in (rf'"receiver" \[chan receive\]  on {a}  receives$',
                 rf'"sender" {LABELS} \[chan send\]  on {b}  sends$',
                 rf'"selector" \[select\]  on {a}, {b}  selects$',
                 rf'"locker" \[sync\.Mutex\.Lock\]  on {mutex} <.*the_mutex>  locks$',
                 r'"forgotten" \[chan receive \(nil chan\)\]  receives$',
                 rf'"owner" \[chan receive, locked to thread\]  on {a}  receives$',
                 r'"blocker" \[syscall\]  thread \d+ \(LWP \d+\)  .*read.*$',
                 *([r'"fresh" \[runnable\]  it has not begun; it will call .*$'] if fresh else [])):
        must_match(r"^  +\d+ " + line, told)
    must(told.count('"') == (16 if fresh else 14), "each is there once")


def case_list():
    text = stopped("kinds", commands=["info goroutines"])
    check_list(text)
    must_match(r"^\* +1 \[running\]  thread \d+ \(LWP \d+\)  gdb_stop$", text)


PARKED = ("vole::v0::detail::chan_recv", "receives (", "program.cpp:", "receives_deeper (", "receives_deeper (",
          "receives_deeper (", "run_body", "vole_gostart")


def case_parked():
    commands = ["info goroutines", "goroutine 2 bt", "goroutine 2 bt 2", "goroutine 2 bt -1",
                "goroutine 2 info registers", "goroutine 2 p depth",
                "goroutine 4", "goroutine 3 bt", "goroutine 2 frame apply level 0 p $pc"]
    text = stopped("kinds", commands=commands)
    must(number_of(text, "receiver") == "2" and number_of(text, "selector") == "4", "the numbers")
    whole = said(text, "goroutine 2 bt")
    must_match(rf'\Agoroutine 2 "receiver" \[chan receive\] on {address(text, "receiver")}, '
               r"created by .*one_of_each.* in goroutine 1:\n#0  0x", whole)
    must_follow(whole, *PARKED)
    must("gdb_stop" not in whole, "the thread's own frames are hidden")
    numbers = [int(n) for n in re.findall(r"^#(\d+) ", whole, re.MULTILINE)]
    must(numbers == list(range(len(numbers))), f"numbered from 0: {numbers}")
    must(re.findall(r"^#(\d+)", said(text, "goroutine 2 bt 2"), re.MULTILINE) == ["0", "1"], "two")
    must_match(rf"^#{numbers[-1]} .*vole_gostart", said(text, "goroutine 2 bt -1"))
    level = must_match(r"^#(\d+) .* receives \(", whole)[1]
    registers = said(text, "goroutine 2 info registers")
    must_match(r"^rax +<not saved>", registers)
    must_match(r"^rip +0x[0-9a-f]+ .*<vole::v0::detail::", registers)
    must_match(r"No symbol \"depth\" in current context", said(text, "goroutine 2 p depth"))
    must_follow(said(text, "goroutine 4"), "selects (", "run_body", "vole_gostart")
    must_match(rf'\Agoroutine 3 "sender" {LABELS} \[chan send\] on 0x', said(text, "goroutine 3 bt"))
    # One of them.
    outer = int(level) + 1
    chosen, applied = f"goroutine 2 frame {outer}", f"goroutine 2 frame apply level {level}-{outer} p $sp"
    text = stopped("kinds", commands=[chosen, applied, "goroutine 2 frame 99"])
    must_match(rf"^#{outer} .* receives_deeper \(.*\) at .*program\.cpp", said(text, chosen))
    must_match(rf"^#{level} .* receives \((.|\n)*= \(void \*\) 0x(.|\n)*^#{outer} .* receives_deeper \("
               r"(.|\n)*= \(void \*\) 0x", said(text, applied))
    must_match(r"^Goroutine 2 has no frame 99\.$", said(text, "goroutine 2 frame 99"))


def case_running():
    text = stopped("kinds", commands=["up", "goroutine 1 bt", "frame", "goroutine 8 bt"])
    must(said(text, "goroutine 1 bt").startswith("goroutine 1 [running]:\n#0  gdb_stop ()"), "itself")
    must_follow(said(text, "goroutine 1 bt"), "gdb_stop", "one_of_each", "main_entry", "vole_gostart")
    must_follow(said(text, "goroutine 8 bt"), '"blocker" [syscall]', "read", "reads (", "run_body",
                "vole_gostart")


def case_selection():
    """Looking at goroutines changes nothing: thread, frame, registers, settings."""
    looks = ["thread", "frame", "output $rip", "output $rax", "show backtrace past-main"]
    visits = ["goroutine all bt", "goroutine 2 bt", "goroutine 8 bt", "info goroutines", "goroutine 2 p $rsp",
              "goroutine 2 p no_such_thing", "goroutine 2 p $rbx = 1"]
    text = stopped("kinds", commands=["up", *looks, "echo ===\\n", *visits, *looks, "bt"])
    before, _, after = text.partition("===\n")
    for look in looks:
        must(said(before, look) == said(after, look), f"{look}: {said(before, look)}, {said(after, look)}")
    must_match("Attempt to assign to an unmodifiable value", said(text, "goroutine 2 p $rbx = 1"))
    must_follow(said(text, "bt"), "gdb_stop", "one_of_each", "vole_gostart")
    # From main, whose caller gdb does not look for; and from another thread.
    text = stopped("kinds", commands=["thread 1", "goroutine 2 bt", "thread", "thread apply 1 bt"])
    must_follow(said(text, "goroutine 2 bt"), *PARKED)
    must_match(r"Current thread is 1 ", said(text, "thread"))
    must_match(r" main \(", said(text, "thread apply 1 bt"))
    text = gdb("--args", PROGRAM, "kinds", commands=["break main", "run", "info goroutines", "info vole",
                                                     "goroutine all bt"])
    must_match("There are no goroutines", said(text, "info goroutines"))


def case_scheduler():
    told = said(stopped("kinds", commands=["info vole"]), "info vole")
    for line in (r"^The world is running\.$", r"^1 Ps:$", r"^  P0    running, M\d+, 1 queued$",
                 r"^  any P  0 queued, 0 preempted on their threads$",
                 r"^  M\d+ +thread \d+ \(LWP \d+\): runs goroutine 1$",
                 r"^  M\d+ +thread \d+ \(LWP \d+\): goroutine 8, in blocking\(\)$",
                 r"^  M\d+ +thread \d+ \(LWP \d+\): waits for its goroutine 7$",
                 r"^9 goroutines: .*\b1 chan receive, locked to thread\b"):
        must_match(line, told)


def case_frozen():
    text = stopped("frozen", commands=["info goroutines", "info vole", "goroutine all bt"])
    line = must_match(r"^  +(\d+) \[runnable, preempted\]  thread \d+ \(LWP \d+\)  computes$",
                      said(text, "info goroutines"))
    must_match(rf"holds goroutine {line[1]}, preempted", said(text, "info vole"))
    stack = must_match(rf"(?s)^goroutine {line[1]} \[runnable, preempted\]\n.*?\n\n",
                       said(text, "goroutine all bt") + "\n\n")[0]
    must_follow(stack, "<signal handler called>", "computes ", "computes_deeper ", "run_body", "vole_gostart")


def check_crowd(text, n):
    common, other = address(text, "common"), address(text, "other")
    told = said(text, "goroutine all bt")
    groups = told.strip().split("\n\n")
    must(len(groups) == 4, f"{len(groups)} groups")
    must_match(rf"\A{n - 3} goroutines: 2, 3, 4, 5, 6, \.\.\. \[chan receive\]\n    {n - 6} on {common}\n"
               rf"    3 on {other}\n#", groups[0])
    must_follow(groups[0], "recv", "in receives at", "in receives_deeper at", "in vole_gostart")
    must(groups[0].count("in receives_deeper") == 1, "not deeper")
    must_match(rf"\A2 goroutines: 11, 13 {{tenant: ann}} \[chan receive\]\n    2 on {common}\n", groups[1])
    deeper = groups[2] if "[chan receive]" in groups[2] else groups[3]
    must_match(rf"\Agoroutine 9 \[chan receive\]\n    1 on {common}\n", deeper)
    must(deeper.count("in receives_deeper") == 2, "deeper")


def case_crowd():
    text = stopped("crowd", "10000", commands=["goroutine all bt", "goroutine 10001 bt", "info vole"])
    check_crowd(text, 10000)
    must_follow(said(text, "goroutine 10001 bt"), "receives (", "run_body", "vole_gostart")
    must_match(r"^10001 goroutines: 10000 chan receive, 1 running$", said(text, "info vole"))


def case_attach():
    with subprocess.Popen([PROGRAM, "kinds", "wait"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as program:
        try:
            lines = ""
            while "ready\n" not in lines:
                lines += program.stdout.readline()
            text = lines + gdb("-p", str(program.pid), commands=["info goroutines", "goroutine 2 bt"])
        finally:
            program.kill()
    # Its main goroutine reads, so that one begins and ends.
    check_list(text, fresh=False)
    must_follow(said(text, "goroutine 2 bt"), *PARKED)


def case_gcore():
    """A core file that gdb has written."""
    with tempfile.TemporaryDirectory(prefix="vole-gdb-") as scratch:
        core = Path(scratch) / "core"
        told = stopped("kinds", commands=[f"vole-gcore {core}"])
        size = core.stat().st_size
        must(size < 2**30, f"reserved memory is written out: {size} bytes")
        text = told + gdb(PROGRAM, str(core), commands=["info goroutines", "goroutine 2 bt", "info vole"])
    check_list(text)
    must_follow(said(text, "goroutine 2 bt"), *PARKED)
    must_match(r"runs goroutine 1$", said(text, "info vole"))


def case_core():
    """A core file that the kernel has written, of ten thousand goroutines."""
    with tempfile.TemporaryDirectory(prefix="vole-gdb-") as scratch:
        def allow_core():
            hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
            resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))

        done = subprocess.run([PROGRAM, "crowd", "10000", "abort"], cwd=scratch, preexec_fn=allow_core,
                              stdout=subprocess.PIPE, text=True, check=False)
        must(done.returncode == -signal.SIGABRT, f"abort, not {done.returncode}")
        cores = list(Path(scratch).glob("core*"))
        if not cores:
            skip("the kernel writes no core file here (see core_pattern and ulimit -c)")
        text = done.stdout + gdb(PROGRAM, str(cores[0]), commands=["goroutine all bt", "goroutine 10001 bt"])
    check_crowd(text, 10000)
    must_follow(said(text, "goroutine 10001 bt"), "receives (", "run_body", "vole_gostart")


def case_undebugged():
    """Without debug information: symbols and unwind tables are enough."""
    with tempfile.TemporaryDirectory(prefix="vole-gdb-") as scratch:
        bare = Path(scratch) / "bare"
        for keep in ([], ["--keep-section=.debug_gdb_scripts"]):
            subprocess.run([os.environ["OBJCOPY"], "--strip-debug", *keep, PROGRAM, bare], check=True)
            by_hand = [] if keep else ["-x", os.environ["SCRIPT"]]
            text = stopped("kinds", program=str(bare), options=[*TRUSTING, *by_hand],
                           commands=["info goroutines", "goroutine 2 bt", "info line gdb_stop"])
            must_match("^No line number information", said(text, "info line gdb_stop"))
            check_list(text)
            must_follow(said(text, "goroutine 2 bt"), "vole::v0::detail::chan_recv", "in receives ()",
                        "in receives_deeper ()", "in receives_deeper ()", "in vole_gostart ()")


def case_linkers():
    """The script is in the program, whoever links it."""
    for program in [PROGRAM, *os.environ["LINKED"].split()]:
        text = stopped("kinds", program=program, commands=["info auto-load python-scripts", "goroutine 2 bt"])
        must_match(r"^Yes +vole-gdb\.py *$", text)
        must_follow(said(text, "goroutine 2 bt"), *PARKED)


def case_growing():
    """A stack of several segments."""
    text = stopped(program=os.environ["GROWING"], commands=["info goroutines", "goroutine 2 bt"])
    must_match(r'"grown" \[chan receive\]  on 0x[0-9a-f]+  receives_deeper$', said(text, "info goroutines"))
    whole = said(text, "goroutine 2 bt")
    must(whole.count(" receives_deeper (") == 61, "all of them")
    must_follow(whole, "__morestack", "run_body", "vole_gostart")


def case_errors():
    def refused(wanted, command, *words, **more):
        told = said(gdb(*words, commands=[*more.pop("first", ()), command], **more), command)
        must(told.strip() == wanted, f"{command}: {told!r}, not {wanted!r}")

    none = ("There is no Vole in this program (or its symbols were stripped: vole_debug_layout is not among "
            "them).")
    by_hand = ["-x", os.environ["SCRIPT"]]
    ready = ["break gdb_stop", "run"]
    for command in ("info goroutines", "info vole", "goroutine 1 bt"):
        refused(none, command, os.environ["PLAIN"], first=ready, options=by_hand)
        refused("The program is not being run.", command, PROGRAM)
        refused("The Vole in this program has debug layout version 4711; this script knows version 3. Source "
                "the vole-gdb.py that came with that Vole.", command, os.environ["UNKNOWN"], first=ready,
                options=by_hand)
    kinds = ("--args", PROGRAM, "kinds")
    usage = 'Usage: goroutine N CMD, or goroutine all CMD. "info goroutines" lists them.'
    for command, wanted in (("goroutine 12345 bt", "There is no goroutine 12345."), ("goroutine", usage),
                            ("goroutine bt", usage), ("goroutine -1 bt", usage),
                            ("goroutine 2 frobnicate", 'Undefined command: "frobnicate".  Try "help".'),
                            ("goroutine 2 step", 'Not with a goroutine: "step". It can be looked at only.')):
        refused(wanted, command, *kinds, first=ready)
    told = said(stopped("kinds", commands=["goroutine 9 bt"]), "goroutine 9 bt")
    must_match(r"^Goroutine 9 has no frames to show: it has not begun; it will call ", told)


def skip(why):
    print(why)
    sys.exit(77)


def main(case):
    if not shutil.which(os.environ.get("GDB", "gdb")):
        skip("gdb is not installed")
    os.environ.setdefault("GDB", "gdb")
    globals()["case_" + case]()


if __name__ == "__main__":
    main(*sys.argv[1:])
