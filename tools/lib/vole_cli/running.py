"""`vole run`: compile one file, or all C++ files of a folder, against the libraries; run the program.

The program is kept in build/run/, in a folder named after the file's path and the options. Beside
it lie the list of files it was made of (the compiler's own, from -MMD) and a digest of their
contents, of the libraries and of the flags; when that digest is the same, nothing is compiled.
The program takes this process over (exec), so its exit status, its signals and its terminal are
its own.
"""

import hashlib
import json
import multiprocessing.pool
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import builds
from console import BUILD, EXIT_USAGE, Failure, environment, say, shown

KEPT_PROGRAMS = 200
LIBRARIES = ["libvole.a"]
STACKS = ("dense", "copying")


def _digest(paths, salt):
    """Of the contents, not the times: a checkout of another branch and back compiles nothing."""
    total = hashlib.sha256(json.dumps(salt).encode())
    for path in sorted(paths):
        try:
            content = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        except OSError:
            content = "missing"
        total.update(f"{path}\0{content}\0".encode())
    return total.hexdigest()


def _read_depfile(path):
    """The prerequisites of a make rule; the compiler escapes blanks with a backslash."""
    text = path.read_text(encoding="utf-8", errors="surrogateescape").replace("\\\n", " ")
    names = text.split(":", 1)[1].replace("\\ ", "\0").split()
    return [name.replace("\0", " ").replace("$$", "$") for name in names]


def _flags(config, faults):
    flags = ["-std=c++20", "-O2", "-g", "-fno-omit-frame-pointer", "-pthread"]
    if faults:
        flags += ["-fnon-call-exceptions", "-DVOLE_FAULTS=1"]
    if config.sanitize:
        flags.append("-fsanitize=" + ",".join(config.sanitize))
    return flags


def _check_stack(config, policy):
    """What `--stack` cannot be combined with, said before anything is built."""
    if policy not in STACKS:
        raise Failure(f"unknown stack policy '{policy}'; known: {', '.join(STACKS)}", EXIT_USAGE)
    if (config.arch or builds.native_arch()) != "amd64":
        raise Failure(f"--stack {policy}: only on amd64; elsewhere use stack_policy::reserved, or "
                      "stack::ensure for deep recursion", EXIT_USAGE)
    if "address" in config.sanitize:
        raise Failure(f"--stack {policy}: not with the address sanitizer, which takes the functions' "
                      "prologues for itself; leave out one of the two", EXIT_USAGE)


def _library_flags(config, policy):
    if not policy:
        return builds.library_flags(config)
    compile_flags, link_flags = builds.library_flags(config, "vole-" + policy)
    return compile_flags + [f"-DVOLE_STACK_DEFAULT_{policy.upper()}=1"], link_flags


def _prune(folder):
    programs = sorted(folder.iterdir(), key=lambda p: p.stat().st_mtime, reverse=True)
    for old in programs[KEPT_PROGRAMS:]:
        shutil.rmtree(old, ignore_errors=True)


def _sources(path):
    """What a program is made of. A new file in the folder is a change, as one in a file is."""
    return sorted(path.glob("*.cpp")) if path.is_dir() else [path]


def _run_compiler(command, what):
    command = [str(part) for part in command]
    done = subprocess.run(command, stdout=sys.stderr, env=environment(), check=False)
    if done.returncode != 0:
        raise Failure(f"{what} does not compile; the command was\n  {shown(command)}", EXIT_USAGE)


def _compile(config, source, home, salt, policy, faults):
    """Makes home/program; returns only when that worked."""
    compile_flags, link_flags = _library_flags(config, policy)
    flags = [config.cxx, *_flags(config, faults)]
    work = home / f"new-{os.getpid()}"
    work.mkdir(parents=True)

    def make_object(file):
        depfile = work / (file.stem + ".d")
        _run_compiler([*flags, *compile_flags, "-MMD", "-MF", depfile, "-c", file,
                       "-o", work / (file.stem + ".o")], file)
        return _read_depfile(depfile)

    try:
        program, sources = work / source.stem, _sources(source)
        with multiprocessing.pool.ThreadPool(os.cpu_count()) as pool:
            inputs = sorted({name for names in pool.map(make_object, sources) for name in names})
        objects = [work / (file.stem + ".o") for file in sources]
        _run_compiler([*flags, *objects, "-o", program, *link_flags], source)
        made_of = {"inputs": inputs, "digest": _digest(inputs + _archives(config), salt)}
        # The program first: a list without its program is only a reason to compile again.
        program.replace(home / source.stem)
        listing = work / "made-of.json"
        listing.write_text(json.dumps(made_of), encoding="utf-8")
        listing.replace(home / "made-of.json")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _archives(config):
    return [str(config.dir / name) for name in LIBRARIES]


def _up_to_date(config, home, program, salt):
    try:
        made_of = json.loads((home / "made-of.json").read_text(encoding="utf-8"))
        return (program.exists()
                and made_of["digest"] == _digest(made_of["inputs"] + _archives(config), salt))
    except (OSError, ValueError, KeyError):
        return False


def program_for(config, source, policy=None, faults=False):
    """Path of the up-to-date program made of `source`."""
    if not source.exists():
        raise Failure(f"no such file: {source}", EXIT_USAGE)
    if not _sources(source):
        raise Failure(f"{source} is a folder without C++ files", EXIT_USAGE)
    if policy:
        _check_stack(config, policy)
    if faults and config.compiler == "clang":
        raise Failure("--faults: clang has no -fnon-call-exceptions; use gcc", EXIT_USAGE)
    source = source.resolve()
    builds.ensure(config, lambda: LIBRARIES)
    salt = [builds.compiler_version(config.cxx), _flags(config, faults), policy,
            [str(file) for file in _sources(source)]]
    key = hashlib.sha256(f"{source}\0{config.name}\0{policy}\0{faults}".encode()).hexdigest()[:16]
    home = BUILD / "run" / f"{source.stem}-{key}"
    program = home / source.stem
    if not _up_to_date(config, home, program, salt):
        with builds.locked("run-" + key):
            if not _up_to_date(config, home, program, salt):
                _compile(config, source, home, salt, policy, faults)
        _prune(BUILD / "run")
    os.utime(home)
    return program


def _switch_on(names):
    """Added to what the user has set; the program is this process, so its environment is ours."""
    settings = [s for s in os.environ.get("VOLE_DEBUG", "").split(",")
                if s and s.partition("=")[0] not in names]
    os.environ["VOLE_DEBUG"] = ",".join([*settings, *(f"{name}=1" for name in names)])


def run(config, file, arguments, policy=None, faults=False, explain=()):
    program = program_for(config, Path(file), policy, faults)
    if explain:
        _switch_on(explain)
    command = [*config.wrapper, str(program), *arguments]
    # Python ignores these two; what is ignored stays so over exec, and the program would differ
    # from one started by hand.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvp(command[0], command)
    except OSError as error:
        raise Failure(f"cannot start {command[0]}: {error.strerror}") from error

