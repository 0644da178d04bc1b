"""The rules of the house, as tables. check.py reads them; a new exception is made here, with its reason."""

# From bottom to top. A floor may use what stands before it.
FLOORS = ("arch", "runtime", "sync", "time", "net")

# Everything may be used by these, nothing depends on them.
ROOF = ("test", "tools")

# Folders whose files are nobody else's business. Unit tests look inside on purpose.
PRIVATE = {f"{floor}/src": (floor, "test") for floor in FLOORS}

# Public headers: what is installed.
PUBLIC = tuple(f"{floor}/include" for floor in FLOORS if floor != "arch")

# Where a register or an instruction may be named.
ASSEMBLY_HOME = "arch/"

# file: reason. Assembly outside arch/ that is allowed.
ASSEMBLY_ALLOWED = {
    "runtime/src/trace/gdb/": "a section's contents: no register, no instruction",
    "test/": "tests put values into registers to see whether a switch keeps them",
}

# What may fail is called by way of a table, in namespace os (runtime/internal/os.hpp) or by may_fail<>. By these
# names a floor has nothing of its own; others count where they are qualified with ::.
FALLIBLE = ("mmap munmap mprotect madvise mincore malloc calloc aligned_alloc pthread_create sched_getaffinity "
            "getrlimit sigaction sigaltstack fopen epoll_create1 epoll_ctl eventfd getaddrinfo").split()
FALLIBLE_QUALIFIED = ("open read write writev pread close fcntl fstat unlink socket bind listen shutdown setsockopt "
                      "getsockopt getsockname getpeername pipe pipe2 sendfile splice send recv sendmsg recvmsg "
                      "accept4 connect").split()

MAX_LINES = 600

# file: reason. Files that may be longer.
LONG_ALLOWED = {
    "runtime/src/trace/gdb/vole-gdb.py": "gdb takes a script out of a program as one text",
}

# Folders that need no README.md of their own: the one above speaks for them.
NO_README_BELOW = ("facade", "facade_sync", "facade_sched", "facade_time", "include", "src", "internal", "expected", "texts", "corpus", "lib", "cross", "go",
                   "amd64", "arm64", "subproject", "installed")

SOURCE_SUFFIXES = (".cpp", ".hpp", ".S", ".py", ".sh", ".go")
CXX_SUFFIXES = (".cpp", ".hpp", ".S")
