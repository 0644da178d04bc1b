// Who looks at a stack of several segments sees it whole: libunwind, backtrace(3), gdb. Cites STK-73.
#include <catch2/catch.hpp>

#include "test/growth/growth_support.hpp"
#include "test/support/subprocess.hpp"

#include <execinfo.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <string>

using namespace vole::test;

namespace {

constexpr int levels = 20;

// Large enough that some of the twenty do not fit where their caller is.
template <class F>
KEEP_CALL void traced_frame(int n, F& f) {
    char block[40 * 1024];
    use(block);
    if (n == 1) {
        f();
    } else {
        traced_frame(n - 1, f);
    }
    use(block);
}

std::size_t count(const std::string& text, const std::string& what) {
    std::size_t n = 0;
    for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) {
        ++n;
    }
    return n;
}

// Before the first traceback: with the runtime's own frames.
const int shows_everything = ::setenv("VOLE_TRACEBACK", "system", 1);

std::string own_traceback() {
    const int fd = ::memfd_create("traceback", MFD_CLOEXEC);
    vole::write_traceback(fd, vole::traceback_scope::current);
    std::string text(1 << 16, '\0');
    const ssize_t n = ::pread(fd, text.data(), text.size(), 0);
    ::close(fd);
    text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return text;
}

}  // namespace

TEST_CASE("STK-73 tracebacks go through the segments to the goroutine's start", "[growth]") {
    for (const auto policy :
         {vole::stack_policy::dense(), vole::stack_policy::reserved(64 * 1024)}) {
        std::string text;
        std::array<void*, 200> frames{};
        int found = 0;
        std::size_t size = 0;
        on_stack(policy, [&] {
            auto look = [&] {
                text = own_traceback();
                found = ::backtrace(frames.data(), static_cast<int>(frames.size()));
                size = vole::stack::size();
            };
            traced_frame(levels, look);
        });
        INFO(text);
        CHECK(size > 800 * 1024);
        // Once each, although __morestack stands between some of them.
        CHECK(count(text, "traced_frame") == levels);
        CHECK(count(text, "__morestack") >= 2);
        CHECK(count(text, "vole_gostart") == 1);
        CHECK(found > levels + 3);
    }
}

#if defined(VOLE_GDB) && !defined(VOLE_SANITIZED)
TEST_CASE("child: stop in three segments", "[.child]") {
    on_stack(vole::stack_policy::dense(), [] {
        auto stop = [] { std::raise(SIGTRAP); };
        traced_frame(levels, stop);
    });
}

TEST_CASE("STK-73 gdb sees the stack whole across three segments", "[growth]") {
    const auto r = run_in_subprocess(
        {VOLE_GDB, "-q", "-batch", "-nx", "-ex", "set debuginfod enabled off", "-ex", "run", "-ex",
         "bt", "--args", std::filesystem::read_symlink("/proc/self/exe").string(),
         "child: stop in three segments"},
        false);
    INFO(r.text());
    CHECK(r.succeeded());
    CHECK(count(r.out, "traced_frame") == levels);
    CHECK(count(r.out, "__morestack") >= 2);
    CHECK(count(r.out, "in vole_gostart ()") == 1);
    CHECK_THAT(r.out, !Catch::Contains("corrupt stack"));
}
#endif
