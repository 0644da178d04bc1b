"""`vole format` and `vole lint`: clang-format and clang-tidy over the project's own C++ files."""

import json
import multiprocessing.pool
import os
import subprocess
import sys

import builds
import packages
from console import ROOT, Failure, environment, say

FOLDERS = ("arch", "runtime", "sync", "time", "net", "tools", "test")
LINTED = ("arch/", "runtime/", "sync/", "time/", "net/", "tools/")
SUFFIXES = (".cpp", ".hpp")


def own_files():
    """All C++ files of the project, relative to its top."""
    found = []
    for folder in FOLDERS:
        for where, folders, files in os.walk(ROOT / folder):
            folders.sort()
            found += [os.path.relpath(os.path.join(where, name), ROOT)
                      for name in sorted(files) if name.endswith(SUFFIXES)]
    return found


def format_files(check):
    packages.ensure("clang")
    files = own_files()
    if not check:
        subprocess.run(["clang-format", "-i", *files], cwd=ROOT, check=True)
        say(f"formatted {len(files)} files")
        return 0
    wrong = []
    for name in files:
        done = subprocess.run(["clang-format", "--dry-run", "-Werror", "--ferror-limit=1", name],
                              cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              text=True, check=False)
        if done.returncode != 0:
            wrong.append(name)
            print(done.stderr.splitlines()[0])
    if wrong:
        print("Some files are not formatted; ./tools/vole format does it.")
    print(f"{len(files) - len(wrong)} passed, {len(wrong)} failed")
    return 1 if wrong else 0


def _changed_since(revision):
    """Files that differ from a revision, and those git does not know yet."""
    names = set()
    for command in (["git", "diff", "--name-only", "--diff-filter=d", revision],
                    ["git", "ls-files", "--others", "--exclude-standard"]):
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise Failure(f"git does not know the revision '{revision}'")
        names.update(done.stdout.split())
    return names


def lint(revision=None, patterns=()):
    """clang-tidy over the sources of libraries and tools; their headers come along (HeaderFilterRegex)."""
    packages.ensure("clang")
    config = builds.Config.make(compiler="clang")
    packages.ensure(*config.package_sets)
    with builds.locked(config.name):
        builds.configure(config)
    database = json.loads((config.dir / "compile_commands.json").read_text(encoding="utf-8"))
    sources = sorted({os.path.relpath(os.path.join(e["directory"], e["file"]), ROOT)
                      for e in database})
    sources = [s for s in sources if s.startswith(LINTED) and s.endswith(".cpp")]
    if patterns:
        sources = [s for s in sources if any(p in s for p in patterns)]
    if revision:
        changed = _changed_since(revision)
        # A header has no entry of its own: with one changed, everything is looked at.
        if not any(name.endswith(".hpp") for name in changed):
            sources = [s for s in sources if s in changed]

    def tidy(source):
        done = subprocess.run(["clang-tidy", "--quiet", "-p", str(config.dir), source], cwd=ROOT,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env=environment(), errors="replace", check=False)
        return source, done.returncode, done.stdout or (done.stderr if done.returncode else "")

    failed = 0
    with multiprocessing.pool.ThreadPool(os.cpu_count()) as pool:
        for source, status, output in pool.imap(tidy, sources):
            if status != 0:
                failed += 1
                print(f"{source}:\n{output}", flush=True)
            elif output.strip():
                print(output, file=sys.stderr)
    print(f"{len(sources) - failed} passed, {failed} failed")
    return 1 if failed else 0
