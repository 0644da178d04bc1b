"""What must be installed on a Debian machine, in sets, and how it gets there.

A need is met when its probe finds what we use (a program or a file), not when dpkg says that a
package of a certain name is there: somebody may have it from elsewhere.
"""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from console import EXIT_MACHINE, Failure, say, shown

# package: what shows that it is there. A name is looked up in PATH, a path on disk (* allowed),
# and any one of several is enough.
BASE = {
    "g++": ["g++"],
    "meson": ["meson"],
    "ninja-build": ["ninja"],
    "pkg-config": ["pkg-config"],
    "libc6-dev": ["/usr/include/features.h", "/usr/include/*/features.h"],
}
if platform.machine() == "x86_64":
    BASE["lld"] = ["ld.lld"]  # the one linker at hand that knows what growing stacks need
    BASE["libunwind-dev"] = ["/usr/include/libunwind.h", "/usr/include/*/libunwind.h"]

TEST = {
    "catch2": ["/usr/include/catch2/catch.hpp"],
    "librapidcheck-dev": ["/usr/include/rapidcheck.h"],
    "util-linux": ["setarch"],
    "gdb": ["gdb"],
    "spin": ["spin"],  # checks the models in Promela (test/model)
    # Clients that nobody here wrote, for the example servers.
    "curl": ["curl"],
    "wrk": ["wrk"],
    "redis-tools": ["redis-cli", "redis-benchmark"],
}

ARM64 = {
    "g++-aarch64-linux-gnu": ["aarch64-linux-gnu-g++"],
    "qemu-user": ["qemu-aarch64"],
    # Headers for the plugin that instruments code (tools/split-stack).
    "gcc-12-plugin-dev-aarch64-linux-gnu":
        ["/usr/lib/gcc-cross/aarch64-linux-gnu/*/plugin/include/gcc-plugin.h"],
}

BENCH = {
    "libbenchmark-dev": ["/usr/include/benchmark/benchmark.h"],
}

PEERS = {
    "libboost-fiber-dev": ["/usr/include/boost/fiber/all.hpp"],
    "libboost-context-dev": ["/usr/include/boost/context/fiber.hpp"],
    "golang-go": ["go"],
    "wrk": ["wrk"],
    "redis-server": ["redis-server"],
    "redis-tools": ["redis-benchmark"],
}

CLANG = {
    "clang": ["clang++"],
    "libclang-rt-dev": ["/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.asan*",
                        "/usr/lib/clang/*/lib/linux/libclang_rt.asan*"],
    "llvm": ["llvm-symbolizer"],
    "clang-format": ["clang-format"],
    "clang-tidy": ["clang-tidy"],
}

SETS = {"base": BASE, "test": TEST, "arm64": ARM64, "bench": BENCH, "peers": PEERS,
        "clang": CLANG}
PURPOSE = {
    "base": "build the libraries, run a program",
    "test": "the test suites",
    "arm64": "cross-build for arm64 and run under qemu",
    "bench": "the benchmarks",
    "peers": "what the benchmarks compare with; left out where missing",
    "clang": "second compiler, its sanitizers, formatter and linter",
}


def _found(probe):
    if probe.startswith("/"):
        pattern = Path(probe)
        return any(Path("/").glob(str(pattern.relative_to("/"))))
    return shutil.which(probe) is not None


def missing(set_names):
    """Packages of these sets that are not there, in order, each once."""
    lacking = []
    for set_name in set_names:
        for package, probes in SETS[set_name].items():
            if package not in lacking and not any(_found(p) for p in probes):
                lacking.append(package)
    return lacking


def _as_root():
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo"):
        return ["sudo", "--preserve-env=DEBIAN_FRONTEND"]
    return None


def _apt(arguments, prefix):
    command = [*prefix, "apt-get", *arguments]
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    return subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False)


def install(packages):
    """Installs with apt-get; the lists are fetched only if apt does not know the packages."""
    command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    prefix = _as_root()
    if shutil.which("apt-get") is None:
        raise Failure("missing here: " + ", ".join(packages) + " (Debian package names), and there "
                      "is no apt-get to install them with", EXIT_MACHINE)
    if prefix is None:
        raise Failure("missing here: " + ", ".join(packages) + "; run as root: " + shown(command),
                      EXIT_MACHINE)
    say("installing " + " ".join(packages) + (" (through sudo)" if prefix else ""))
    done = _apt(command[1:], prefix)
    if done.returncode != 0:
        say("package lists are missing or old: apt-get update")
        _apt(["update", "-q"], prefix)  # one dead source must not stop us; install will tell
        done = _apt(command[1:], prefix)
    if done.returncode != 0:
        sys.stderr.write(done.stdout)
        raise Failure("could not install " + " ".join(packages), EXIT_MACHINE)


def ensure(*set_names):
    lacking = missing(set_names)
    if lacking:
        install(lacking)
        lacking = missing(set_names)
        if lacking:
            raise Failure("installed, but still not found: " + " ".join(lacking), EXIT_MACHINE)


def report(set_names):
    """Prints what each set has; says whether all of it is there."""
    complete = True
    for set_name in set_names:
        lacking = missing([set_name])
        state = "complete" if not lacking else "missing " + " ".join(lacking)
        print(f"{set_name:6} {state:50} ({PURPOSE[set_name]})")
        complete = complete and not lacking
    return complete
