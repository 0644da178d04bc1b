#!/usr/bin/env python3
"""Runs an example and checks what it prints.

    check.py [--status N] [--stderr REGEX] [--recount] EXPECTED PROGRAM [ARGUMENT...]

EXPECTED holds the standard output line by line. A line that begins with "~ " is a regular
expression for one line, a line "..." stands for any number of lines; every other line stands for
itself. The exit status must be N (0), and standard error must match REGEX (nothing, unless asked).
With --recount, the ARGUMENTs are files, whose words are counted here too, in Python's own way,
and the last stop of the tour must print exactly these numbers.
"""
import argparse
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path


def matches(lines, rules):
    """Returns None, or the first line that does not fit and the rule it was held against."""
    at = 0
    skipping = False
    for rule in rules:
        if rule == "...":
            skipping = True
            continue
        pattern = rule[2:] if rule.startswith("~ ") else re.escape(rule)
        if skipping:
            while at < len(lines) and not re.fullmatch(pattern, lines[at]):
                at += 1
            skipping = False
        if at == len(lines):
            return "(end of output)", rule
        if not re.fullmatch(pattern, lines[at]):
            return lines[at], rule
        at += 1
    if at < len(lines) and not skipping:
        return lines[at], "(end of output)"
    return None


def recount(files):
    """The rules for what the tour must print of these files."""
    words = Counter()
    for name in files:
        for word in re.findall(rb"[A-Za-z\x80-\xff]+", Path(name).read_bytes()):
            words[word.lower()] += 1  # bytes.lower() folds ASCII only, as the tour does
    ranking = sorted(words.items(), key=lambda item: (-item[1], item[0]))
    summary = f"   {words.total()} words, {len(words)} different ones"
    top = [f"   {count} {word.decode(errors='surrogateescape')}" for word, count in ranking[:10]]
    return ["...", f"7. the words of {len(files)} files", summary, *top, "..."]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--status", type=int, default=0)
    parser.add_argument("--stderr", default="")
    parser.add_argument("--recount", action="store_true")
    parser.add_argument("expected")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()

    # Who runs us names the program that runs foreign executables (an emulator), but starts only
    # the test's own command with it: here that is Python.
    wrapper = shlex.split(os.environ.get("VOLE_TEST_WRAPPER")
                          or os.environ.get("MESON_EXE_WRAPPER", ""))
    result = subprocess.run(wrapper + options.command, capture_output=True, check=False)
    output = result.stdout.decode(errors="surrogateescape").splitlines()
    errors = result.stderr.decode(errors="surrogateescape")

    failures = []
    if result.returncode != options.status:
        failures.append(f"exit status {result.returncode}, expected {options.status}")
    if not re.fullmatch(options.stderr, errors.rstrip("\n"), re.DOTALL):
        failures.append(f"standard error does not match {options.stderr!r}")
    rules = [Path(options.expected).read_text(encoding="utf-8").splitlines()]
    if options.recount:
        rules.append(recount(options.command[1:]))
    for lines in rules:
        if misfit := matches(output, lines):
            failures.append(f"printed   {misfit[0]!r}\nexpected  {misfit[1]!r}")

    if failures:
        print("command: " + shlex.join(wrapper + options.command), *failures, sep="\n")
        print("--- standard output", *output, "--- standard error", errors, sep="\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
