#!/usr/bin/env python3
"""Checks a model in Promela with Spin, in all states that it can reach.

    spin.py MODEL.pml [--refute CHANGE] [NAME=VALUE...]

NAME=VALUE sizes the model. Exit status: 0 if every state has been looked at, and none is at fault; 1 with the steps that lead to the fault. --refute makes a change that must be found (the
model asks for it by #ifdef CHANGE), and turns the status round. --every-step: a fault, too, is a step of the model that
nothing leads to: then it would prove less than it says. 77: Spin is not installed.

Spin's manual: https://spinroot.com/spin/Man
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

DEPTH = 500_000
MEGABYTES = 3000


def call(*command, cwd):
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          check=False)
    return done.returncode, done.stdout


def must(*command, cwd):
    status, output = call(*command, cwd=cwd)
    if status != 0:
        sys.exit(f"{' '.join(command)}\n{output}")


def never_reached(output):
    """Steps of the model that the search has not come to, but for the ends of what goes on for ever."""
    for proctype, steps in re.findall(r"unreached in proctype (\w+)\n((?:\t.*\n)*)", output):
        for step in re.findall(r"\t\S+:(\d+), state \d+, \"(.*)\"", steps):
            if step[1] != "-end-":
                yield f"{proctype}, line {step[0]}: {step[1]}"


def check(model, defines, folder, optimise):
    """(errors, what pan has said). Ends the program if the search was not of all states."""
    must("spin", "-a", *defines, model, cwd=folder)
    must("cc", optimise, "-w", "-DSAFETY", "-DCOLLAPSE", f"-DMEMLIM={MEGABYTES}", "-o", "pan", "pan.c", cwd=folder)
    _, output = call("./pan", f"-m{DEPTH}", "-w24", cwd=folder)
    found = re.search(r"errors: (\d+)", output)
    if not found:
        sys.exit("Spin has not come to an end:\n" + output)
    errors = int(found[1])
    if errors == 0 and ("max search depth too small" in output or "Search not completed" in output):
        sys.exit("Spin has not looked at all states:\n" + output)
    return errors, output


def trail(model, defines, folder):
    _, steps = call("spin", "-p", "-l", "-g", "-k", Path(model).name + ".trail", *defines, model, cwd=folder)
    return steps


def main():
    parser = argparse.ArgumentParser(description="checks a Promela model")
    parser.add_argument("model", type=Path)
    parser.add_argument("sizes", nargs="*", metavar="NAME=VALUE")
    parser.add_argument("--refute", metavar="CHANGE", help="a change that must lead to a fault")
    parser.add_argument("--every-step", action="store_true", help="nothing in the model may be out of reach")
    parser.add_argument("--large", action="store_true", help="in long runs only (VOLE_TEST_LONG=1)")
    parser.add_argument("--trail", action="store_true", help="print the steps to a fault that was wanted, too")
    asked = parser.parse_intermixed_args()
    if not shutil.which("spin"):
        print("spin is not installed (Debian package spin)")
        sys.exit(77)
    if asked.large and os.environ.get("VOLE_TEST_LONG") != "1":
        print("a large size: only with --long")
        sys.exit(77)
    model = str(asked.model.resolve())
    if asked.refute and not re.search(rf"^#if.*\b{asked.refute}\b", asked.model.read_text(encoding="utf-8"), re.M):
        sys.exit(f"{asked.model.name} knows no change {asked.refute}")
    defines = ["-D" + size for size in asked.sizes] + ([f"-D{asked.refute}"] if asked.refute else [])
    with tempfile.TemporaryDirectory() as folder:
        # To compile takes longer than to find most faults.
        errors, output = check(model, defines, folder, "-O0" if asked.refute else "-O1")
        states = re.search(r"(\d+) states, stored", output)
        print(f"{states[1] if states else '?'} states, errors: {errors}")
        if bool(errors) != bool(asked.refute) or (errors and asked.trail):
            print(trail(model, defines, folder) if errors else f"{asked.refute} has not been found")
        if bool(errors) != bool(asked.refute):
            return 1
    missed = list(never_reached(output)) if asked.every_step else []
    for step in missed:
        print("nothing leads to " + step)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
