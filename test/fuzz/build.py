#!/usr/bin/env python3
"""Compiles and links a fuzz target, and tells ninja which headers it depends on: several files in one command of the
compiler would overwrite one another's list.

    build.py --depfile FILE --output PROGRAM COMPILER ARGUMENT... SOURCE... [LIBRARY...]
"""

import argparse
import subprocess
import sys
from pathlib import Path


def dependencies(text):
    """The files named in a rule of make: "a.o: a.cpp a.hpp \\"."""
    return text.partition(":")[2].replace("\\\n", " ").split()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depfile", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("rest", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    compiler, *arguments = args.rest
    sources = [a for a in arguments if a.endswith(".cpp")]
    libraries = [a for a in arguments if a.endswith(".a") or a.startswith("-l")]
    flags = [a for a in arguments if a not in sources and a not in libraries]

    parts = Path(f"{args.output}.parts")
    parts.mkdir(exist_ok=True)
    objects, headers = [], set()
    for source in sources:
        made = parts / (source.replace("/", "_") + ".o")
        rule = made.with_suffix(".d")
        done = subprocess.run([compiler, *flags, "-c", source, "-o", made, "-MD", "-MF", rule], check=False)
        if done.returncode != 0:
            return done.returncode
        objects.append(made)
        headers.update(dependencies(rule.read_text(encoding="utf-8")))
    args.depfile.write_text(f"{args.output}: {' '.join(sorted(headers))}\n", encoding="utf-8")
    return subprocess.run([compiler, *flags, *objects, *libraries, "-o", args.output], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
