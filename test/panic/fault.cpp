// Faults of instructions as exceptions, in code that is built for it (-fnon-call-exceptions, VOLE_FAULTS).
#include "test/panic/panic_support.hpp"

#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <limits>
#include <memory>
#include <sys/mman.h>
#include <unistd.h>

namespace vole::test {

namespace {

struct thing {
    int a[100];
    int far;
};

// volatile: what is read must not be left out.
[[gnu::noinline]] int read_from(const volatile int* p) { return *p; }
[[gnu::noinline]] void write_to(int* p) { *p = 1; }
volatile int result;
[[gnu::noinline]] void divide(int a, int b) { result = a / b; }
[[gnu::noinline]] void modulo(long a, long b) { result = static_cast<int>(a % b); }

constexpr const char* nil_text = "runtime error: invalid memory address or nil pointer dereference";

#if defined(__x86_64__)
constexpr bool divides_trap = true;
#else
constexpr bool divides_trap = false;
#endif

// What recover() gives for a fault of f, in a goroutine.
template <class F>
std::string fault_of(F f) {
    std::string text = "none";
    in_goroutine([&] {
        recovering([&] {
            defer d{[&] { text = recovered(); }};
            f();
        });
    });
    return text;
}

}  // namespace

TEST_CASE("PAN-54 a null pointer's memory") {
    int* volatile null = nullptr;
    CHECK(fault_of([&] { read_from(null); }) == nil_text);
    CHECK(fault_of([&] { write_to(null); }) == nil_text);
    thing* volatile no_thing = nullptr;
    CHECK(fault_of([&] { read_from(&no_thing->far); }) == nil_text);
    // In the function itself, inlined, with locals that have destructors.
    log l;
    CHECK(fault_of([&] {
              struct local {
                  log& l;
                  ~local() { l("destructor"); }
              } x{l};
              const std::string kept = "kept";
              try {
                  l(kept + std::to_string(*null));
              } catch (const fault_error& e) {
                  l(kept);
                  CHECK(e.signal() == SIGSEGV);
                  CHECK(e.address() == 0);
                  throw;
              }
          }) == nil_text);
    CHECK(l.text() == "kept destructor");
}

TEST_CASE("PAN-54 integer division by zero") {
    if (!divides_trap) return;
    volatile int zero = 0;
    const char* text = "runtime error: integer divide by zero";
    CHECK(fault_of([&] { divide(7, zero); }) == text);
    CHECK(fault_of([&] { modulo(7, zero); }) == text);
}

TEST_CASE("memory mapped from a file that has become shorter") {
    char name[] = "/tmp/vole-fault-XXXXXX";
    const int fd = ::mkstemp(name);
    REQUIRE(fd >= 0);
    ::unlink(name);
    REQUIRE(::ftruncate(fd, 8192) == 0);
    void* p = ::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    REQUIRE(p != MAP_FAILED);
    REQUIRE(::ftruncate(fd, 0) == 0);
    CHECK_THAT(fault_of([&] { read_from(static_cast<int*>(p) + 1024); }),
               Catch::StartsWith("runtime error: memory that is mapped from a file"));
    ::munmap(p, 8192);
    ::close(fd);
}

TEST_CASE("faults are recovered again and again, and the values around them are right") {
    int* volatile null = nullptr;
    int right = 0;
    const int n = scaled(2000);
    in_goroutine([&] {
        for (int i = 0; i < n; ++i) {
            const std::unique_ptr<int> held = std::make_unique<int>(i);
            int before = i * 3;
            try {
                before += 1;
                write_to(null);
                before += 100;
            } catch (const runtime_error&) {
                if (before == i * 3 + 1 && *held == i) ++right;
            }
        }
    });
    CHECK(right == n);
}

TEST_CASE("faults on small and on large stacks, and in blocking calls") {
    int* volatile null = nullptr;
    std::atomic<int> caught{0};
    const auto f = [&] {
        try {
            read_from(null);
        } catch (const fault_error&) {
            ++caught;
        }
    };
    run([&] {
        wait_group w;
        w.go(f);
        w.wait();
        stack::ensure(500'000, f);
        blocking(f);
    });
    CHECK(caught == 3);
}

TEST_CASE("an uncaught fault is reported as Go does, the others go on") {
    std::string report;
    handler_scope h([&](const panic_value& p) { report = p.report(); });
    int* volatile null = nullptr;
    in_goroutine([&] { read_from(null); });
    INFO(report);
    CHECK_THAT(report,
               Catch::StartsWith(std::string("panic: ") + nil_text +
                                 "\n[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 "
                                 "pc=0x"));
    CHECK_THAT(report, Catch::Contains("read_from(int const volatile*)"));
}

// ---- what is not thrown -----------------------------------------------------------------------

namespace {
void fault_at(std::uintptr_t address) {
    volatile std::uintptr_t at = address;
    read_from(reinterpret_cast<const int*>(static_cast<std::uintptr_t>(at)));
}
}  // namespace

TEST_CASE("child: a wild pointer", "[.child]") {
    in_goroutine([] {
        try {
            fault_at(0x7000'0000'0000);
        } catch (...) {
        }
    });
}
TEST_CASE("child: a null pointer in a noexcept function", "[.child]") {
    in_goroutine([] {
        try {
            []() noexcept {
                const std::string local = "needs a destructor";
                fault_at(local.size() - local.size());
            }();
        } catch (...) {
        }
    });
}
TEST_CASE("child: a null pointer in the C library", "[.child]") {
    in_goroutine([] {
        try {
            const char* volatile null = nullptr;
            std::printf("%zu\n", std::string_view(static_cast<const char*>(null)).size());
        } catch (...) {
        }
    });
}
TEST_CASE("other faults are fatal, with a traceback, and end the process by their signal") {
    for (const char* name :
         {"child: a wild pointer", "child: a null pointer in a noexcept function",
          "child: a null pointer in the C library"}) {
        check_fault_was_fatal(run_case_in_subprocess(name), SIGSEGV,
                              "SIGSEGV: segmentation violation code=0x1 addr=0x");
    }
}

namespace {
void own_handler(int signal) {
    static const char text[] = "the program's own handler\n";
    [[maybe_unused]] const auto n = ::write(2, text, sizeof(text) - 1);
    ::_exit(signal);
}
}  // namespace

TEST_CASE("child: own handler, and a fault that is not thrown", "[.child]") {
    std::signal(SIGSEGV, own_handler);
    in_goroutine([] {
        int* volatile null = nullptr;
        try {
            read_from(null);
        } catch (const fault_error&) {
            std::fputs("caught\n", stderr);
        }
        fault_at(0x7000'0000'0000);
    });
}
TEST_CASE("a handler that was there before is called for what is not thrown") {
    const auto r = run_case_in_subprocess("child: own handler, and a fault that is not thrown");
    INFO(r.text());
    CHECK(r.exit_status == SIGSEGV);
    CHECK(r.err == "caught\nthe program's own handler\n");
}

}  // namespace vole::test
