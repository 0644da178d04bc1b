// Faults in code that is not built to throw for them.
#include "test/panic/panic_support.hpp"

#include <csignal>

namespace vole::test {

namespace {
volatile int result;
[[gnu::noinline]] __attribute__((no_sanitize("undefined"))) void read_plainly(const int* p) {
    result = *p;
}
[[gnu::noinline]] __attribute__((no_sanitize("undefined"))) void divide_plainly(int a, int b) {
    result = a / b;
}
}  // namespace

TEST_CASE("child: null pointer, not built to throw", "[.child]") {
    in_goroutine([] {
        int* volatile null = nullptr;
        try {
            read_plainly(null);
        } catch (...) {
            std::fputs("caught\n", stderr);
        }
    });
}
TEST_CASE("child: division by zero, not built to throw", "[.child]") {
    in_goroutine([] {
        volatile int zero = 0;
        try {
            divide_plainly(7, zero);
        } catch (...) {
            std::fputs("caught\n", stderr);
        }
    });
}
TEST_CASE("SCHED-68 faults in other code are fatal, with a traceback, and not thrown") {
    const auto r = run_case_in_subprocess("child: null pointer, not built to throw");
    check_fault_was_fatal(r, SIGSEGV, "SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x");
    if (!sanitizer_takes_faults) CHECK_THAT(r.err, Catch::Contains("fault_plain.cpp:"));
#if defined(__x86_64__)
    check_fault_was_fatal(run_case_in_subprocess("child: division by zero, not built to throw"),
                          SIGFPE, "SIGFPE: floating-point exception code=0x1 addr=0x");
#endif
}

}  // namespace vole::test
