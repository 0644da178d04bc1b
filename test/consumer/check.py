#!/usr/bin/env python3
"""Builds and runs a program against Vole in the ways an embedder would.

    check.py installed BUILD_DIR     installs BUILD_DIR into an empty folder, finds it by pkg-config
                                     with Meson, and once more with nothing but the compiler
    check.py subproject SOURCE_DIR   as subprojects/vole of another project

CXX and MESON name the programs to use.
"""

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
MESON = shlex.split(os.environ.get("MESON", "meson"))
CXX = os.environ.get("CXX", "c++")


def run(*command, **env):
    words = [str(word) for word in command]
    print("$", shlex.join(words), flush=True)
    done = subprocess.run(words, env={**os.environ, **env}, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print(done.stdout, flush=True)
    if done.returncode != 0:
        sys.exit(f"exit status {done.returncode}")
    return done.stdout


def build_and_run(source, build, **env):
    run(*MESON, "setup", build, source, **env)
    run("ninja", "-C", build)
    for program in ("whole", "floors"):
        run(build / program)


def names_outside_our_own(archive):
    """Global names of the library that could collide with an embedder's."""
    out = subprocess.run(["nm", "--extern-only", "--defined-only", "--format=posix", archive],
                         stdout=subprocess.PIPE, text=True, check=True).stdout
    stray = set()
    for fields in map(str.split, out.splitlines()):
        # Weak (W, V, u): an instantiation of the standard library, the same in every program.
        if len(fields) < 3 or fields[1] in "WVu":
            continue
        # _ZN4vole..., with its guards and type information; and vole_... for the assembly.
        if "4vole" not in fields[0] and not fields[0].startswith("vole_"):
            stray.add(fields[0])
    return sorted(stray)


def installed(build_dir, scratch):
    run(*MESON, "install", "-C", build_dir, "--no-rebuild", "--destdir", scratch)
    configs = list(scratch.rglob("vole.pc"))
    if len(configs) != 1:
        sys.exit(f"one vole.pc was to be installed, there are {configs}")
    pkg = {"PKG_CONFIG_PATH": str(configs[0].parent)}
    build_and_run(HERE / "installed", scratch / "build", **pkg)
    flags = run("pkg-config", "--cflags", "--static", "--libs", "vole", **pkg).split()
    run(CXX, "-std=c++20", "-Wall", "-Wextra", "-Werror", HERE / "program.cpp", "-o",
        scratch / "plain", *flags, "-pthread")
    run(scratch / "plain")
    stray = names_outside_our_own(configs[0].parent.parent / "libvole.a")
    if stray:
        sys.exit("libvole.a defines names that are not ours: " + " ".join(stray))


def subproject(source_dir, scratch):
    project = scratch / "project"
    (project / "subprojects").mkdir(parents=True)
    (scratch / "program.cpp").write_bytes((HERE / "program.cpp").read_bytes())
    (project / "meson.build").write_bytes((HERE / "subproject" / "meson.build").read_bytes())
    # A link, not a copy: Meson must be content with a source tree it cannot write to.
    (project / "subprojects" / "vole").symlink_to(source_dir, target_is_directory=True)
    build_and_run(project, scratch / "build")
    made = {path.name for path in (scratch / "build" / "subprojects").rglob("vole-*")}
    tests = {name for name in made if name in ("vole-unit", "vole-behaviour", "vole-stress")}
    if tests:
        sys.exit(f"a subproject built our tests: {sorted(tests)}")


def main(mode, folder):
    with tempfile.TemporaryDirectory(prefix="vole-consumer-") as scratch:
        {"installed": installed, "subproject": subproject}[mode](Path(folder), Path(scratch))


if __name__ == "__main__":
    main(*sys.argv[1:])
