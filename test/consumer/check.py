#!/usr/bin/env python3
"""Builds and runs a program against Vole in the ways an embedder would.

    check.py installed BUILD_DIR     installs BUILD_DIR into an empty folder, finds it by pkg-config
                                     with Meson, and once more with nothing but the compiler
    check.py subproject SOURCE_DIR   as subprojects/vole of another project
    check.py errors BUILD_DIR        programs with growing stacks that are built wrong are told so
    check.py run SOURCE_DIR          tools/vole run --stack

CXX and MESON name the programs to use; GROWING is "yes" where Vole has growing stacks.
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
GROWING = os.environ.get("GROWING") == "yes"
POLICIES = ("dense", "copying")


def run(*command, **env):
    words = [str(word) for word in command]
    print("$", shlex.join(words), flush=True)
    done = subprocess.run(words, env={**os.environ, **env}, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print(done.stdout, flush=True)
    if done.returncode != 0:
        sys.exit(f"exit status {done.returncode}")
    return done.stdout


def must_fail(text, *command, **env):
    """Runs a command that must fail and say `text`; line breaks do not count."""
    words = [str(word) for word in command]
    print("$", shlex.join(words), flush=True)
    done = subprocess.run(words, env={**os.environ, **env}, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print(done.stdout, flush=True)
    if done.returncode == 0:
        sys.exit("this was to fail")
    if text not in " ".join(done.stdout.split()):
        sys.exit(f"this was to say: {text}")


def build_and_run(source, build, **env):
    run(*MESON, "setup", build, source, f"-Dgrowing={str(GROWING).lower()}", **env)
    run("ninja", "-C", build)
    for program in ("whole", "floors", *(POLICIES if GROWING else ())):
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
        # _ZN4vole..., with its guards and type information; and vole_... for the assembly. The last
        # two are names that compiler and linker prescribe: they are asked for by objects that are
        # instrumented, or linked with --wrap, only.
        if "4vole" not in fields[0] and not fields[0].startswith(("vole_", "__morestack", "__wrap_")):
            stray.add(fields[0])
    return sorted(stray)


def install(build_dir, scratch):
    """The folder with the installed *.pc."""
    run(*MESON, "install", "-C", build_dir, "--no-rebuild", "--destdir", scratch)
    configs = list(scratch.rglob("vole.pc"))
    if len(configs) != 1:
        sys.exit(f"one vole.pc was to be installed, there are {configs}")
    return configs[0].parent


def flags_of(package, pkg):
    cflags = run("pkg-config", "--cflags", package, PKG_CONFIG_PATH=str(pkg)).split()
    libs = run("pkg-config", "--static", "--libs", package, PKG_CONFIG_PATH=str(pkg)).split()
    return cflags, [*libs, "-pthread"]


def installed(build_dir, scratch):
    pkg = install(build_dir, scratch)
    build_and_run(HERE / "installed", scratch / "build", PKG_CONFIG_PATH=str(pkg))
    programs = [("program.cpp", "vole")]
    if GROWING:
        programs += [("growing.cpp", "vole-" + policy) for policy in POLICIES]
    for source, package in programs:
        cflags, libs = flags_of(package, pkg)
        # One command for both steps, as people do it with one file.
        run(CXX, "-std=c++20", "-O2", "-Wall", "-Wextra", "-Werror", *cflags, HERE / source, "-o",
            scratch / "plain", *libs)
        run(scratch / "plain")
    stray = names_outside_our_own(pkg.parent / "libvole.a")
    if stray:
        sys.exit("libvole.a defines names that are not ours: " + " ".join(stray))


def subproject(source_dir, scratch):
    project = scratch / "project"
    (project / "subprojects").mkdir(parents=True)
    for name in ("program.cpp", "growing.cpp"):
        (scratch / name).write_bytes((HERE / name).read_bytes())
    for name in ("meson.build", "meson_options.txt"):
        (project / name).write_bytes((HERE / "subproject" / name).read_bytes())
    # A link, not a copy: Meson must be content with a source tree it cannot write to.
    (project / "subprojects" / "vole").symlink_to(source_dir, target_is_directory=True)
    build_and_run(project, scratch / "build")
    made = {path.name for path in (scratch / "build" / "subprojects").rglob("vole-*")}
    tests = {name for name in made if name in ("vole-unit", "vole-behaviour", "vole-stress")}
    if tests:
        sys.exit(f"a subproject built our tests: {sorted(tests)}")


def errors(build_dir, scratch):
    pkg = install(build_dir, scratch)
    plain, libs = flags_of("vole", pkg)
    dense, _ = flags_of("vole-dense", pkg)
    command = [CXX, "-std=c++20", HERE / "asking.cpp", "-o", scratch / "asking"]
    remedy = ("use dependency('vole-dense'), `pkg-config --cflags --libs vole-dense`, or "
              "`tools/vole run --stack dense`")
    for level in ("-O0", "-O2"):
        must_fail("vole: stack_policy::dense is for code that is built for it: " + remedy,
                  *command, level, *plain, *libs)
        # The right flags, the wrong linker.
        run(*command, level, *dense, *libs, "-fuse-ld=bfd")
        must_fail("not linked by lld", scratch / "asking")
        must_fail(remedy, scratch / "asking")
        # Only the macro.
        run(*command, level, *plain, "-DVOLE_STACK_DENSE=1", *libs, "-fuse-ld=lld")
        must_fail("compiled without -fsplit-stack", scratch / "asking")
    must_fail("stack_policy::copying is for code that is built for it", *command, *dense,
              "-DVOLE_STACK_DEFAULT_COPYING", *libs)


def run_tool(source_dir, _scratch):
    vole = source_dir / "tools" / "vole"
    for policy in POLICIES:
        told = run(vole, "run", "--stack", policy, HERE / "growing.cpp")
        if "right" not in told:
            sys.exit("the program's output is missing")
    if "stack: goroutine" not in run(vole, "run", "--explain-stack", "--stack", "copying",
                                     HERE / "growing.cpp"):
        sys.exit("--explain-stack explains nothing")
    must_fail("unknown stack policy 'sparse'; known: dense, copying", vole, "run", "--stack",
              "sparse", HERE / "growing.cpp")
    must_fail("not with the address sanitizer", vole, "run", "--stack", "dense", "--sanitize",
              "address", HERE / "growing.cpp")
    must_fail("only on amd64", vole, "run", "--stack", "dense", "--arch", "arm64",
              HERE / "growing.cpp")


def main(mode, folder):
    with tempfile.TemporaryDirectory(prefix="vole-consumer-") as scratch:
        {"installed": installed, "subproject": subproject, "errors": errors,
         "run": run_tool}[mode](Path(folder), Path(scratch))


if __name__ == "__main__":
    main(*sys.argv[1:])
