#!/usr/bin/env python3
"""Proves that check.py can fail: plants one fault of each kind in a small tree and looks for it.

    selftest.py CXX
"""

import sys
import tempfile
from pathlib import Path

import check

# A tree without a fault. Each case below changes or adds one file of it.
GOOD = {
    "README.md": "x\n",
    "arch/README.md": "x\n",
    "arch/amd64/port.hpp": '#pragma once\ninline void f() { asm volatile("movq %rax, %rbx"); }\n',
    "runtime/README.md": "x\n",
    "runtime/include/vole/runtime.hpp": "#pragma once\n#include <cstddef>\n",
    "runtime/internal/park.hpp": '#pragma once\n#include "arch/amd64/port.hpp"\n',
    "runtime/src/sched/sched.cpp": '#include "runtime/internal/park.hpp"\n'
                                   '#include <net/if.h>\n'
                                   'inline void barrier() { asm volatile("" ::: "memory"); }\n'
                                   '// asm("movq %rax, %rbx") in a comment is none\n'
                                   'inline void g(file& f) { os::mmap(f); f.close(); os::close(1); }\n'
                                   'inline void h() { net::close(1); take(::close, 1); } // mmap(1)\n',
    "sync/README.md": "x\n",
    "sync/include/vole/chan.hpp": "#pragma once\n#include <vole/runtime.hpp>\n",
    "time/README.md": "x\n",
    "net/README.md": "x\n",
    "net/include/vole/net.hpp": "#pragma once\n",
    "test/README.md": "x\n",
    "test/unit/README.md": "x\n",
    "test/unit/sched.cpp": '#include "runtime/src/sched/sched.cpp"\n',
}

# name, check, file, content (None: the file is taken away), text that must be in the report
CASES = [
    ("upward", "includes", "runtime/src/a.cpp", "#include <vole/chan.hpp>\n", "stands above it"),
    ("upward by path", "includes", "runtime/internal/a.hpp",
     '#include "sync/include/vole/chan.hpp"\n', "stands above it"),
    ("upward, relative", "includes", "runtime/src/a.cpp",
     '#include "../../sync/include/vole/chan.hpp"\n', "stands above it"),
    ("arch uses the runtime", "includes", "arch/amd64/a.hpp",
     '#include "runtime/internal/park.hpp"\n', "stands above it"),
    ("private", "includes", "sync/src/a.cpp", '#include "runtime/src/sched/sched.cpp"\n',
     "is private to runtime"),
    ("public uses internal", "includes", "sync/include/vole/a.hpp",
     '#include "runtime/internal/park.hpp"\n', "not installed"),
    ("a floor uses a test", "includes", "net/src/a.cpp", '#include "test/unit/sched.cpp"\n',
     "stands above it"),
    ("no such header", "includes", "sync/src/a.cpp", "#include <vole/nowhere.hpp>\n",
     "does not exist"),
    ("instruction", "assembly", "sync/src/a.cpp", 'void f() { asm volatile("pause"); }\n',
     "assembly outside"),
    ("instruction, multi-line", "assembly", "sync/src/a.cpp",
     'void f() {\n    __asm__ __volatile__(\n        "nop\\n\\t"\n        "nop");\n}\n',
     "sync/src/a.cpp:2: assembly outside"),
    ("clobber", "assembly", "sync/src/a.cpp", 'void f() { asm("" : : : "rax"); }\n',
     "assembly outside"),
    ("register variable", "assembly", "sync/src/a.cpp",
     'void f() { register long sp asm("rsp"); }\n', "register variable"),
    ("intrinsic", "assembly", "sync/src/a.cpp", "void f() { __builtin_ia32_pause(); }\n",
     "intrinsic"),
    ("assembly file", "assembly", "runtime/src/a.S", "nop\n", "assembly file"),
    ("a call past the table", "calls", "runtime/src/a.cpp", "void f() { p = mmap(nullptr, 1); }\n",
     "mmap is called directly"),
    ("a qualified call past the table", "calls", "net/src/a.cpp", "void f() { ::close(fd); }\n",
     "close is called directly"),
    ("no README", "readmes", "net/README.md", None, "net: no README.md"),
    ("new folder without README", "readmes", "test/fuzz/a.cpp", "\n", "test/fuzz: no README.md"),
    ("empty README", "readmes", "net/README.md", "\n", "empty"),
    ("long file", "sizes", "net/src/a.cpp", "\n" * 601, "601 lines"),
    ("header needs another", "selfcontained", "net/include/vole/a.hpp",
     "#pragma once\nstd::size_t n();\n", "does not compile alone"),
    ("header without guard", "selfcontained", "net/include/vole/a.hpp",
     "struct s {};\n", "does not compile alone"),
]


def plant(files):
    folder = tempfile.TemporaryDirectory(prefix="vole-layers-")
    for name, content in files.items():
        path = Path(folder.name) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return folder


def faults_of(root, which, compiler):
    tree = check.Tree(root)
    if which == "selfcontained":
        return list(check.check_selfcontained(tree, compiler))
    return list(check.CHECKS[which](tree))


def main(compiler):
    failed = []
    with plant(GOOD) as root:
        for which in check.CHECKS:
            faults = faults_of(root, which, compiler)
            if faults:
                failed.append(f"the good tree has faults by {which}: {faults}")
    for name, which, file, content, wanted in CASES:
        files = {**GOOD, file: content}
        if content is None:
            del files[file]
        with plant(files) as root:
            faults = faults_of(root, which, compiler)
        # One fault may show in two ways, but nothing else may be blamed.
        if not any(wanted in fault for fault in faults) or len(faults) > 2:
            failed.append(f"{name}: wanted a fault with '{wanted}', got {faults}")
    for line in failed:
        print(line)
    print(f"{len(CASES) + 1 - len(failed)} of {len(CASES) + 1} as wanted")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
