"""Build directories: one per configuration, under build/, set up once and kept up to date by ninja.

    build/release                 what `vole run` and `vole bench` use: -O2 -g, no assertions
    build/gcc, build/clang        what `vole test` uses: -O2 -g with assertions, warnings are errors
    build/gcc-address ...         the same with a sanitizer
    build/arm64                   cross-built; what it builds runs under qemu-user

A directory remembers the arguments it was set up with and is made anew when they change.
"""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass

import packages
from console import BUILD, EXIT_MACHINE, EXIT_USAGE, ROOT, Failure, Stopwatch, environment, run_quietly, say

SANITIZERS = ("address", "thread", "undefined")
COMPILERS = {"gcc": "g++", "clang": "clang++"}
QEMU = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"]
CROSS_CXX = "aarch64-linux-gnu-g++"
PUBLIC_FLOORS = ("runtime", "sync", "time", "net")
CROSS_FILE = ROOT / "tools" / "cross" / "arm64.ini"


@dataclass(frozen=True)
class Config:
    compiler: str = "gcc"
    sanitize: tuple = ()
    arch: str = ""  # "" is this machine's
    release: bool = False

    @staticmethod
    def make(compiler="gcc", sanitize=None, arch=None, release=False):
        """From command line values; --sanitize takes a comma list."""
        wanted = tuple(sorted(s for s in (sanitize or "").split(",") if s))
        for name in wanted:
            if name not in SANITIZERS:
                raise Failure(f"unknown sanitizer '{name}'; known: {', '.join(SANITIZERS)}",
                              EXIT_USAGE)
        if "thread" in wanted and len(wanted) > 1:
            raise Failure("the thread sanitizer cannot be combined with another one", EXIT_USAGE)
        arch = "" if arch in (None, native_arch()) else arch
        if arch and compiler != "gcc":
            raise Failure("cross builds use GCC only", EXIT_USAGE)
        if arch and wanted:
            raise Failure("sanitizers do not run under qemu; leave out --arch or --sanitize",
                          EXIT_USAGE)
        return Config(compiler, wanted, arch, release)

    @property
    def name(self):
        parts = ["release"] if self.release else []
        if self.arch:
            parts.append(self.arch)
        elif not self.release or self.compiler != "gcc":
            parts.append(self.compiler)
        return "-".join([*parts, *self.sanitize])

    @property
    def dir(self):
        return BUILD / self.name

    @property
    def cxx(self):
        return CROSS_CXX if self.arch else COMPILERS[self.compiler]

    @property
    def wrapper(self):
        """What must stand before a program of this configuration to run it here."""
        if self.arch:
            return list(QEMU)
        if "thread" in self.sanitize:
            # GCC 12's runtime has a fixed map of memory and gives up on kernels that randomise
            # more bits of the address than it knew of.
            return ["setarch", "-R"]
        return []

    @property
    def package_sets(self):
        sets = ["base"]
        if self.arch:
            sets.append("arm64")
        if self.compiler == "clang":
            sets.append("clang")
        if "thread" in self.sanitize or not self.release:
            sets.append("test")
        return sets

    def meson_arguments(self):
        # ASan's checks take the optimiser longest, and nothing there has a stack that grows: a quarter of the build.
        level = 1 if "address" in self.sanitize else 2
        arguments = [f"-Doptimization={level}", "-Ddebug=true"]
        if self.release:
            arguments += ["-Db_ndebug=true", "-Dtests=false"]
        else:
            arguments += ["-Dwerror=true", "-Dtests=true"]
        if self.sanitize:
            arguments += ["-Db_sanitize=" + ",".join(self.sanitize)]
        if self.arch:
            arguments += ["--cross-file", str(CROSS_FILE)]
        return arguments


def native_arch():
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


@contextlib.contextmanager
def locked(name):
    """Two commands at a time may want the same directory."""
    BUILD.mkdir(exist_ok=True)
    with open(BUILD / f".{name}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def configure(config):
    signature = json.dumps([str(ROOT), config.cxx, config.meson_arguments()])
    remembered = config.dir / "vole-setup.json"
    ready = (config.dir / "build.ninja").exists()
    if ready and remembered.exists() and remembered.read_text(encoding="utf-8") == signature:
        # A changed meson.build may have new targets, and the question for them comes before the build.
        run_quietly(["ninja", "-C", config.dir, "build.ninja"], "meson")
        return
    say(f"setting up build/{config.name}")
    shutil.rmtree(config.dir, ignore_errors=True)
    # The environment's own flags would make two users' builds differ.
    env = {"CXX": None if config.arch else config.cxx, "CC": None, "CXXFLAGS": None,
           "CPPFLAGS": None, "LDFLAGS": None, "DESTDIR": None}
    command = ["meson", "setup", config.dir, ROOT, *config.meson_arguments()]
    run_quietly(command, "meson setup", EXIT_USAGE, env=env)
    remembered.write_text(signature, encoding="utf-8")


def set_option(config, option):
    """Turns an option of a directory on, once."""
    options = json.loads((config.dir / "meson-info" / "intro-buildoptions.json").read_text())
    name, value = option.split("=")
    if any(o["name"] == name and str(o["value"]).lower() == value for o in options):
        return
    run_quietly(["meson", "configure", config.dir, "-D" + option], "meson configure")


def compile_targets(config, targets, verbose):
    """ninja; its progress goes to stderr if somebody watches, what a failed step says always."""
    watched = verbose or sys.stderr.isatty()
    command = ["ninja", *([] if watched else ["--quiet"]), "-C", str(config.dir), *targets]
    done = subprocess.run(command, stdout=sys.stderr, env=environment(), check=False)
    if done.returncode != 0:
        raise Failure(f"the build in build/{config.name} failed", EXIT_USAGE)


def pending(config, targets):
    """Whether ninja has anything to do."""
    done = subprocess.run(["ninja", "-n", "-C", str(config.dir), *targets], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return "no work to do" not in done.stdout


def ensure(config, targets=lambda: None, options=(), verbose=False):
    """Everything a configuration needs: packages, set-up, build. Quiet when nothing is to do.

    `targets` is asked once the directory is set up, since it may want to look there; it answers
    with a list, or with None for everything.
    """
    packages.ensure(*config.package_sets)
    with locked(config.name):
        configure(config)
        for option in options:
            set_option(config, option)
        wanted = targets()
        if wanted is None:
            wanted = ["all"]
        if not wanted or not (verbose or pending(config, wanted)):
            return
        watch = Stopwatch()
        say(f"building in build/{config.name}")
        compile_targets(config, wanted, verbose)
        say(f"built in {watch}")


def introspect(config, what):
    done = subprocess.run(["meson", "introspect", str(config.dir), "--" + what], check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=environment())
    if done.returncode != 0:
        raise Failure(f"meson introspect --{what} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def compiler_version(cxx):
    return run_quietly([cxx, "--version"], f"{cxx} --version").splitlines()[0]


def library_flags(config, package="vole"):
    """(compile, link) flags of an uninstalled libvole; `package` may be vole-dense or vole-copying.

    What Meson writes for pkg-config knows what to link, but for includes it names the top of the
    source tree, where a program would find our internal headers too.
    """
    env = {"PKG_CONFIG_PATH": str(config.dir / "meson-uninstalled")}

    def ask(*what):
        command = ["pkg-config", *what, package + "-uninstalled"]
        return run_quietly(command, "pkg-config", env=env).split()

    if package != "vole" and not (config.dir / "meson-uninstalled"
                                  / f"{package}-uninstalled.pc").exists():
        raise Failure(f"build/{config.name} has no {package}: meson found that {config.cxx} has no "
                      "-fsplit-stack, or that lld is missing", EXIT_MACHINE)
    includes = [f"-I{ROOT / floor / 'include'}" for floor in PUBLIC_FLOORS]
    others = [word for word in ask("--cflags") if not word.startswith("-I")]
    return includes + (others if package != "vole" else []), ask("--static", "--libs")
