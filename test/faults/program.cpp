// A program of one floor's steps, by name. VOLE_DEBUG=fail=... says which of its calls fails. It prints
//
//     said STEP: TEXT      what a step threw
//     lost STEP            it threw thrice
//     calls ROW N FAILED   of each row of the table that was called, how often
//     files N              descriptors that it has left open
//
// and "end" as its last line. What the containers of the standard library allocate counts as malloc's row.
//
// Stack: main goroutine.
#include "test/faults/program.hpp"

#include "runtime/internal/may_fail.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <new>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <unistd.h>

namespace inner = vole::detail;

namespace {

void* allocated(std::size_t bytes, std::size_t align) noexcept {
    if (inner::fault(inner::fallible::malloc) != 0) return nullptr;
    if (align <= alignof(std::max_align_t)) return std::malloc(bytes);
    return std::aligned_alloc(align, (bytes + align - 1) / align * align);
}

void* or_throw(void* p) {
    if (p == nullptr) throw std::bad_alloc();
    return p;
}

// No memory of the heap: that may be what is missing.
void say(const char* name, const char* text) noexcept {
    char line[256];
    const int n = std::snprintf(line, sizeof line, "said %s: %s\n", name, text);
    (void)std::fwrite(line, 1, static_cast<std::size_t>(n), stdout);
}

bool tried(const char* name, const std::function<void()>& f) noexcept {
    try {
        f();
        return true;
    } catch (const std::bad_alloc&) {
        say(name, "std::bad_alloc");
    } catch (const std::system_error& e) {
        say(name, e.code() == std::errc::timed_out ? "timed out" : e.what());
    } catch (const std::exception& e) {
        say(name, e.what());
    } catch (...) {
        say(name, "?");
    }
    return false;
}

// But for those in /proc and /sys: the runtime's threads look into these now and then, and may do so just now.
int open_files() {
    int n = 0;
    DIR* d = ::opendir("/proc/self/fd");
    while (const dirent* e = d != nullptr ? ::readdir(d) : nullptr) {
        char target[256] = {};
        if (::readlinkat(::dirfd(d), e->d_name, target, sizeof target - 1) < 0) continue;
        const std::string_view file = target;
        n += file.starts_with("/proc/") || file.starts_with("/sys/") ? 0 : 1;
    }
    if (d != nullptr) ::closedir(d);
    return n;
}

struct program {
    const char* name;
    void (*run)();
};
constexpr program programs[] = {{"runtime", vole::faults::runtime_steps},
                                {"sync", vole::faults::sync_steps},
                                {"time", vole::faults::time_steps},
                                {"net", vole::faults::net_steps}};

}  // namespace

// Those of the standard library, and what they are to be deleted by.
void* operator new(std::size_t n) { return or_throw(allocated(n, 1)); }
void* operator new[](std::size_t n) { return or_throw(allocated(n, 1)); }
void* operator new(std::size_t n, std::align_val_t a) {
    return or_throw(allocated(n, static_cast<std::size_t>(a)));
}
void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return allocated(n, 1); }
void* operator new[](std::size_t n, const std::nothrow_t&) noexcept { return allocated(n, 1); }
void* operator new(std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
    return allocated(n, static_cast<std::size_t>(a));
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }

void vole::faults::step(const char* name, const std::function<void()>& f) {
    for (int i = 0; i < 3; ++i) {
        if (tried(name, f)) return;
    }
    std::printf("lost %s\n", name);
}

void vole::faults::must(bool holds, const char* what) {
    if (!holds) throw std::logic_error(what);
}

int main(int argc, char** argv) {
    for (const program& p : programs) {
        if (argc != 2 || std::string_view(p.name) != argv[1]) continue;
        // stdio has its memory before anything is counted.
        static char buffer[1 << 16];
        std::setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
        const int before = open_files();
        inner::plan_fault(inner::fallible::mmap, {});
        vole::faults::step("run", [&] { vole::run({.max_procs = 2}, p.run); });
        for (std::size_t i = 0; i < inner::fallible_count; ++i) {
            const auto row = static_cast<inner::fallible>(i);
            const auto [made, failed] = inner::counts_of(row);
            if (made != 0) std::printf("calls %s %u %u\n", inner::name_of(row), made, failed);
        }
        std::printf("files %d\nend\n", open_files() - before);
        return std::fflush(stdout) == 0 ? 0 : 1;
    }
    std::fprintf(stderr, "usage: vole-faulted runtime|sync|time|net\n");
    return 2;
}
