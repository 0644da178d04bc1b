"""What the user sees: messages, errors, and the running of other programs.

Everything of ours goes to stderr, since stdout belongs to the program that `vole run` starts and to
the tables that `vole test` and `vole bench` print.
"""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
BUILD = ROOT / "build"

EXIT_USAGE = 2  # also: the program did not compile
EXIT_MACHINE = 3  # something is missing on this machine and could not be installed


class Failure(Exception):
    """Ends the command with a message and an exit status; never shows a Python traceback."""

    def __init__(self, message, status=1):
        super().__init__(message)
        self.status = status


def say(message):
    print(f"vole: {message}", file=sys.stderr, flush=True)


def shown(command):
    return shlex.join(str(part) for part in command)


def environment(extra=None):
    """Ours plus `extra`, a None in it removes. English messages: we read some of them."""
    env = dict(os.environ, LC_ALL="C.UTF-8")
    for name, value in (extra or {}).items():
        if value is None:
            env.pop(name, None)
        else:
            env[name] = value
    return env


def run_quietly(command, what, status=1, env=None, cwd=None):
    """Runs a step whose output matters only if it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(env),
        cwd=cwd,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        sys.stderr.write(done.stdout)
        raise Failure(f"{what} failed (exit status {done.returncode}): {shown(command)}", status)
    return done.stdout


class Stopwatch:
    def __init__(self):
        self.start = time.monotonic()

    def __str__(self):
        return f"{time.monotonic() - self.start:.1f} s"
