#!/usr/bin/env python3
"""Holds the source tree to the shape the design gives it (rules.py has the tables).

    check.py [--root DIR] [--compiler CXX] [CHECK ...]

    includes        an include points down only; src/ of a floor is private to it; a public header
                    includes public headers only
    assembly        no register or instruction is named outside arch/
    readmes         every folder has a README.md, or is covered by the one above (rules.py)
    sizes           no source file is longer than 600 lines
    selfcontained   each public header compiles alone (needs --compiler)

Prints one line per fault, and exits with status 1 if there is any. Without CHECK: all of them.
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import rules

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
# asm, __asm__, with qualifiers; a string must follow, so that the word in a comment is none.
ASM = re.compile(r'\b(?:asm|__asm__|__asm)\b(?:\s*(?:volatile|__volatile__|goto|inline))*\s*\(\s*'
                 r'((?:"(?:[^"\\]|\\.)*"\s*)*)')
# A variable bound to a register is assembly too.
REGISTER = re.compile(r'\bregister\b[^;]*\b(?:asm|__asm__)\s*\(')
INTRINSIC = re.compile(r'\b(__builtin_ia32_\w+|__builtin_aarch64_\w+|_mm_\w+|__rdtsc\w*|__yield)\b')
COMMENT = re.compile(r'//[^\n]*|/\*.*?\*/', re.DOTALL)


class Tree:
    """The files of the project: what git knows if there is a repository, else what lies there."""

    def __init__(self, root):
        self.root = Path(root).resolve()
        self.files = sorted(self._list())
        self.headers = self._public_names()

    def _list(self):
        top = {*rules.FLOORS, *rules.ROOF, ".ci"}
        for where, folders, files in os.walk(self.root):
            inside = Path(where).relative_to(self.root)
            # Only our own folders: a build directory may have any name.
            folders[:] = sorted(f for f in folders
                                if f != "__pycache__" and (inside.parts or f in top))
            for name in files:
                yield (inside / name).as_posix()

    def text(self, name):
        return (self.root / name).read_text(encoding="utf-8", errors="replace")

    def _public_names(self):
        """What `#include <NAME>` may mean: name -> file."""
        names = {}
        for floor in rules.FLOORS:
            prefix = f"{floor}/include/"
            for file in self.files:
                if file.startswith(prefix):
                    names[file[len(prefix):]] = file
        return names

    def cxx_files(self):
        return [f for f in self.files if f.endswith(rules.CXX_SUFFIXES)]

    def includes(self, name):
        """(line number, name, the project's file behind it or None) for each include of ours."""
        text = self.text(name)
        known = set(self.files)
        for match in INCLUDE.finditer(text):
            target = match[2]
            line = text.count("\n", 0, match.start()) + 1
            beside = os.path.normpath(os.path.join(os.path.dirname(name), target))
            if match[1] == '"' and beside in known:
                yield line, target, beside
            elif target in known:
                yield line, target, target
            elif target in self.headers:
                yield line, target, self.headers[target]
            elif target.startswith("vole/") or target.split("/")[0] in rules.FLOORS and "/" in target:
                # "net/if.h" and its like are the system's; they come in angle brackets.
                if match[1] == '"' or target.startswith("vole/"):
                    yield line, target, None


def level(name):
    """Position of a file's floor; the roof is above all."""
    top = name.split("/")[0]
    return rules.FLOORS.index(top) if top in rules.FLOORS else len(rules.FLOORS)


def check_includes(tree):
    for name in tree.cxx_files():
        public = name.startswith(rules.PUBLIC)
        for line, written, target in tree.includes(name):
            where = f"{name}:{line}"
            if target is None:
                yield f"{where}: {written}: a header of ours that does not exist"
                continue
            if level(target) > level(name):
                yield f"{where}: includes {target}, which stands above it"
            elif level(name) < len(rules.FLOORS) and target.split("/")[0] in rules.ROOF:
                yield f"{where}: a floor includes {target}"
            for folder, friends in rules.PRIVATE.items():
                if target.startswith(folder + "/") and name.split("/")[0] not in friends:
                    yield f"{where}: {target} is private to {folder.split('/')[0]}"
            if public and not target.startswith(rules.PUBLIC):
                yield f"{where}: a public header includes {target}, which is not installed"


def check_assembly(tree):
    for name in tree.cxx_files():
        if name.startswith((rules.ASSEMBLY_HOME, *rules.ASSEMBLY_ALLOWED)):
            continue
        if name.endswith(".S"):
            yield f"{name}:1: an assembly file outside {rules.ASSEMBLY_HOME}"
            continue
        # Comments go, their line ends stay.
        text = COMMENT.sub(lambda m: "\n" * m[0].count("\n"), tree.text(name))
        for match in ASM.finditer(text):
            instructions = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', match[1]))
            operands = text[match.end():match.end() + 400].split(";")[0]
            # An empty template is a barrier for the compiler and names nothing; a clobber other
            # than "memory" would.
            named = [c for c in re.findall(r'"([^"]*)"', operands) if re.match(r"[a-z]\w+$", c)]
            if instructions.strip() or any(c not in ("memory", "cc") for c in named):
                line = text.count("\n", 0, match.start()) + 1
                yield f"{name}:{line}: assembly outside {rules.ASSEMBLY_HOME}"
        for pattern, what in ((REGISTER, "a register variable"), (INTRINSIC, "a machine intrinsic")):
            for match in pattern.finditer(text):
                line = text.count("\n", 0, match.start()) + 1
                yield f"{name}:{line}: {what} outside {rules.ASSEMBLY_HOME}"


def check_calls(tree):
    free = re.compile(r"(?<![\w.>:])(?:::|std::)?(" + "|".join(rules.FALLIBLE) + r")\(|"
                      r"(?<![\w>])::(" + "|".join(rules.FALLIBLE_QUALIFIED) + r")\(")
    for name in tree.cxx_files():
        if not re.match(r"(runtime|sync|time|net)/(src|internal)/", name):
            continue
        text = COMMENT.sub(lambda m: "\n" * m[0].count("\n"), tree.text(name))
        for match in free.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            what = match[1] or match[2]
            yield f"{name}:{line}: {what} is called directly; os::{what} can be made to fail"


def check_readmes(tree):
    folders = {Path(f).parent.as_posix() for f in tree.files}
    folders |= {p.as_posix() for folder in folders for p in Path(folder).parents}
    for folder in sorted(folders - {".ci", ""}):
        parts = Path(folder).parts
        if any(part in rules.NO_README_BELOW for part in parts):
            continue
        readme = "README.md" if folder == "." else folder + "/README.md"
        if not (tree.root / readme).is_file():
            yield f"{folder}: no README.md"
        elif not tree.text(readme).strip():
            yield f"{readme}: empty"


def check_sizes(tree):
    for name in tree.files:
        if name.endswith(rules.SOURCE_SUFFIXES) and name not in rules.LONG_ALLOWED:
            lines = tree.text(name).count("\n")
            if lines > rules.MAX_LINES:
                yield f"{name}: {lines} lines; {rules.MAX_LINES} are allowed. Is it one concept?"


def check_selfcontained(tree, compiler):
    folders = [f"-I{tree.root / folder}" for folder in rules.PUBLIC]
    for name in tree.files:
        if not (name.startswith(rules.PUBLIC) and name.endswith(".hpp")):
            continue
        header = name.split("/include/", 1)[1]
        # Twice: a missing #pragma once shows.
        source = f"#include <{header}>\n#include <{header}>\n"
        done = subprocess.run([*shlex.split(compiler), "-std=c++20", "-fsyntax-only", "-Wall",
                               "-Wextra", "-Werror", *folders, "-x", "c++", "-"], input=source,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        if done.returncode != 0:
            yield f"{name}: does not compile alone:\n{done.stdout}"


CHECKS = {
    "includes": check_includes,
    "assembly": check_assembly,
    "calls": check_calls,
    "readmes": check_readmes,
    "sizes": check_sizes,
    "selfcontained": check_selfcontained,
}


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default=Path(__file__).resolve().parents[2])
    parser.add_argument("--compiler", default="")
    parser.add_argument("checks", nargs="*", metavar="CHECK")
    options = parser.parse_args(arguments)
    for name in options.checks:
        if name not in CHECKS:
            parser.error(f"unknown check '{name}'; known: {', '.join(CHECKS)}")
    tree = Tree(options.root)
    faults = []
    for name in options.checks or CHECKS:
        if name == "selfcontained":
            if options.compiler:
                faults += check_selfcontained(tree, options.compiler)
            elif options.checks:
                parser.error("selfcontained needs --compiler")
        else:
            faults += CHECKS[name](tree)
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
