#!/usr/bin/env python3
"""Lets libFuzzer look for inputs that a target cannot stand: some seconds, or minutes with VOLE_TEST_LONG=1.

    fuzz.py PROGRAM CORPUS [--seconds N]

PROGRAM was built with -fsanitize=fuzzer; CORPUS is the folder of inputs in the tree, which is only read. What it learns
on the way is kept beside the program, in PROGRAM.corpus, and serves the next run as well. An input that ends the process
is left in PROGRAM.found and said how to repeat; add it to the corpus with the fix.
Exit status: 0, or 1 when something was found.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

SECONDS, LONG_SECONDS = 2, 180


def command(args, learned, found):
    return [
        str(args.program), str(learned), str(args.corpus),
        f"-max_total_time={args.seconds}",
        "-max_len=1500",  # beyond what the limits in the targets are
        "-timeout=20",
        "-rss_limit_mb=1024",
        "-print_final_stats=1",
        f"-artifact_prefix={found}/",
        *([f"-dict={args.dictionary}"] if args.dictionary else []),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=Path)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--dictionary", type=Path)
    long = os.environ.get("VOLE_TEST_LONG") == "1"
    parser.add_argument("--seconds", type=int, default=LONG_SECONDS if long else SECONDS)
    args = parser.parse_args()

    learned, found = (Path(f"{args.program}.{what}") for what in ("corpus", "found"))
    for folder in (learned, found):
        folder.mkdir(exist_ok=True)
    # Leaks are not looked for: that needs ptrace, which containers refuse.
    env = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0:" + os.environ.get("ASAN_OPTIONS", "")}
    run = subprocess.run(command(args, learned, found), env=env, check=False, errors="replace",
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if run.returncode == 0:
        count = re.search(r"number_of_executed_units: *(\d+)", run.stdout)
        edges = re.findall(r"cov: (\d+)", run.stdout)
        print(f"{args.program.name}: {count.group(1) if count else '?'} inputs in {args.seconds} s, "
              f"{edges[-1] if edges else '?'} edges seen, nothing found")
        return 0
    print(run.stdout[-6000:])
    for artifact in re.findall(r"Test unit written to (\S+)", run.stdout):
        print(f"again: {args.program} {artifact}\nadd it to {args.corpus} with the fix")
    return 1


if __name__ == "__main__":
    sys.exit(main())
