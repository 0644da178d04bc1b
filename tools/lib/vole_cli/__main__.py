"""The command line of `vole`. Each command is one function here and one module beside this file."""

import argparse
import os
import signal
import subprocess
import sys

import benching
import builds
import checking
import check_trace
import packages
import running
import testing
from console import EXIT_USAGE, Failure, say

DESCRIPTION = "Build, run, test and measure Vole and programs that use it."
EXAMPLES = """\
examples:
  ./tools/vole run test/examples/tour.cpp README.md   compile one file and run it, as `go run` does
  ./tools/vole test                                   all suites, built with GCC
  ./tools/vole test --suite behaviour --repeat 20     one suite, twenty times
  ./tools/vole test --compiler clang --sanitize address,undefined
  ./tools/vole test --arch arm64 --suite arch         cross-built, under qemu
  ./tools/vole check-trace FILE                       a recording (VOLE_DEBUG=record=FILE): do all rules hold?
  ./tools/vole bench --json result.json               benchmarks, with Go, Boost and std beside ours
  ./tools/vole setup --check                          what is installed, what is missing

What is missing on a Debian machine is installed when a command needs it (apt-get, as root or
through sudo). Builds and compiled programs are kept under build/.
"""

RUN_HELP = """\
Compiles FILE, or all C++ files of a folder, against the Vole libraries and runs the program with ARGS.
Everything after FILE belongs to the program, options too. The program takes the place of this
command: its exit status and signals are its own. Before that, exit status 2 means that FILE is
missing or does not compile, 3 that this machine lacks something that could not be installed.

A second run of the same file compiles nothing, unless the file, a header it includes, the libraries
or the options changed.
"""

TRACE_HELP = """\
Checks FILE, which a program wrote that ran with VOLE_DEBUG=record=FILE: each goroutine's changes of status
and each P's changes of hands must be ones that the runtime allows. Names what is not, event by event.
The last line says how much was checked: a recording keeps the end of what happened
(VOLE_DEBUG=record=FILE,recordsize=N: N events for each P; default 65536, of 32 bytes).

Exit status: 0 all rules hold, 1 one does not, 2 FILE is no whole recording.
"""

TEST_EPILOG = f"""\
suites: {' '.join(testing.SUITES)}
(layers and consumer look at sources and packaging; without --suite they run in the plain GCC build
only)

SELECTION narrows Catch2 suites: a test case's name, a tag like '[chan]', a pattern like 'chan*'.
The last line is always `N passed, N failed`; Catch2 test cases count one each.

examples:
  vole test --suite unit --suite death
  vole test --suite behaviour '[select]'
  vole test --suite stress --long               the long form of the stress tests
  vole test --sanitize thread --suite behaviour
"""


def _positive(text):
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a positive whole number")
    return value


def _add_build_options(parser):
    parser.add_argument("--compiler", choices=sorted(builds.COMPILERS), default="gcc",
                        help="default: gcc")
    parser.add_argument("--sanitize", metavar="S",
                        help="address, thread, undefined; or address,undefined")
    parser.add_argument("--arch", choices=["amd64", "arm64"],
                        help="default: this machine's; arm64 elsewhere is cross-built, under qemu")


def _parser():
    raw = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(prog="vole", description=DESCRIPTION, epilog=EXAMPLES,
                                  formatter_class=raw)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    setup = commands.add_parser("setup", help="install what is missing (Debian packages)",
                                description="Installs what is missing, and says what it does.",
                                epilog="sets:\n" + "".join(f"  {name:6} {purpose}\n"
                                                           for name, purpose
                                                           in packages.PURPOSE.items()),
                                formatter_class=raw)
    setup.add_argument("sets", nargs="*", metavar="SET", help="default: all sets")
    setup.add_argument("--check", action="store_true",
                       help="only report; exit status 1 when something is missing")
    setup.set_defaults(call=_setup)

    run = commands.add_parser("run", help="compile one C++ file, or a folder of them, and run it",
                              formatter_class=raw, usage="vole run [options] FILE [ARGS ...]",
                              description=RUN_HELP)
    _add_build_options(run)
    run.add_argument("--stack", metavar="POLICY",
                     help="dense or copying: compile FILE for stacks that grow, and give goroutines "
                          "such a stack unless their go_options say otherwise (copying: not the "
                          "main goroutine)")
    run.add_argument("--faults", action="store_true",
                     help="null pointers and divisions by zero are exceptions (-fnon-call-exceptions)")
    run.add_argument("--explain-stack", action="store_true",
                     help="narrate each growth of a stack on stderr (VOLE_DEBUG=stackexplain=1)")
    run.add_argument("--explain-preempt", action="store_true",
                     help="narrate each preemption on stderr (VOLE_DEBUG=preemptexplain=1)")
    run.add_argument("file", metavar="FILE")
    run.set_defaults(call=_run)

    build = commands.add_parser("build", help="build the libraries (and the tests)",
                                description="Builds a configuration under build/.")
    _add_build_options(build)
    build.add_argument("--release", action="store_true",
                       help="the build that `vole run` uses: no assertions, no tests")
    build.add_argument("-v", "--verbose", action="store_true", help="show what ninja does")
    build.set_defaults(call=_build)

    test = commands.add_parser("test", help="run the test suites", epilog=TEST_EPILOG,
                               description="Builds and runs test suites.", formatter_class=raw)
    test.add_argument("--suite", action="append", metavar="S", default=[],
                      help="may be given several times, or a comma list; default: all")
    test.add_argument("--repeat", type=_positive, default=1, metavar="N", help="run N times")
    test.add_argument("--long", action="store_true", help="long form of the stress tests")
    test.add_argument("--fail-calls", action="store_true",
                      help="have system calls fail now and then in ways that nobody may notice")
    _add_build_options(test)
    test.add_argument("-v", "--verbose", action="store_true", help="name the passed tests too")
    test.add_argument("selection", nargs="*", metavar="SELECTION")
    test.set_defaults(call=_test)

    commands.add_parser("bench", help="run the benchmarks", add_help=False)

    trace = commands.add_parser("check-trace", help="check a recording of the scheduler",
                                formatter_class=raw, description=TRACE_HELP)
    trace.add_argument("--list", action="store_true", help="first, every event, one a line")
    trace.add_argument("file", metavar="FILE")
    trace.set_defaults(call=lambda a: check_trace.check(a.file, a.list))

    form = commands.add_parser("format", help="clang-format all C++ files")
    form.add_argument("--check", action="store_true", help="only report")
    form.set_defaults(call=lambda a: checking.format_files(a.check))

    lint = commands.add_parser("lint", help="clang-tidy over the libraries")
    lint.add_argument("--since", metavar="REVISION", help="only files changed since this revision")
    lint.add_argument("patterns", nargs="*", metavar="PART", help="only files with this in their path")
    lint.set_defaults(call=lambda a: checking.lint(a.since, a.patterns))
    return top


def _setup(arguments):
    for name in arguments.sets:
        if name not in packages.SETS:
            raise Failure(f"unknown set '{name}'; known: {', '.join(packages.SETS)}", EXIT_USAGE)
    sets = arguments.sets or list(packages.SETS)
    if arguments.check:
        return 0 if packages.report(sets) else 1
    lacking = packages.missing(sets)
    say("to install: " + " ".join(lacking) if lacking else "nothing is missing")
    packages.ensure(*sets)
    packages.report(sets)
    return 0


def _config(arguments, release=False):
    return builds.Config.make(arguments.compiler, arguments.sanitize, arguments.arch, release)


def _run(arguments):
    explain = [name for name, asked in (("stackexplain", arguments.explain_stack),
                                        ("preemptexplain", arguments.explain_preempt)) if asked]
    return running.run(_config(arguments, release=True), arguments.file, arguments.rest,
                       arguments.stack, arguments.faults, explain)


def _build(arguments):
    config = _config(arguments, arguments.release)
    builds.ensure(config, verbose=arguments.verbose)
    say(f"build/{config.name} is up to date")
    return 0


def _test(arguments):
    suites = [name for given in arguments.suite for name in given.split(",") if name]
    return testing.test(_config(arguments), suites, arguments.repeat, arguments.long,
                        arguments.selection, arguments.verbose, arguments.fail_calls)


def _split_run(words):
    """`run`'s own options and FILE, and all that follows FILE, untouched by argparse."""
    position = 0
    while position < len(words) and words[position].startswith("-"):
        if words[position] == "--":
            position += 1
            break
        takes_value = words[position] in ("--compiler", "--sanitize", "--arch", "--stack")
        position += 2 if takes_value else 1
    return words[:position + 1], words[position + 1:]


def _interrupt(*_):
    raise KeyboardInterrupt


def main(words):
    # A time limit (`timeout`) ends us this way; what we started must not stay behind.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        if words[:1] == ["bench"]:
            return benching.bench(words[1:])  # its options are test/bench/driver.py's
        rest = []
        if words[:1] == ["run"]:
            own, rest = _split_run(words[1:])
            words = ["run", *own]
        arguments = _parser().parse_args(words)
        arguments.rest = rest
        return arguments.call(arguments)
    except Failure as failure:
        say(f"error: {failure}")
        return failure.status
    except KeyboardInterrupt:
        return 130
    except subprocess.CalledProcessError as error:
        say(f"error: {error}")
        return 1
    except BrokenPipeError:
        # Whoever read our output has gone away; nothing to flush to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
