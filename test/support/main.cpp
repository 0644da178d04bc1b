// The one main of all suites. It adds to Catch2's: when the process is ended by a signal, which test case
// ran, and when it is asked to end (a test runner's time limit), where every goroutine is. What was being recorded is
// saved then.
//
// Catch2's own signal handlers are off: it puts them in place anew for each test case and so over those
// of the runtime, which need SIGSEGV to report an overflown stack.
//
// The handlers here run on the signal stack; they only write(2) and call what is safe there.
#define CATCH_CONFIG_NO_POSIX_SIGNALS
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>

#include <vole/runtime.hpp>

#include "runtime/src/trace/record.hpp"
#include "test/support/subprocess.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <sys/resource.h>
#include <unistd.h>

namespace {

std::array<char, 256> current_case{};

struct name_keeper : Catch::TestEventListenerBase {
    using TestEventListenerBase::TestEventListenerBase;
    void testCaseStarting(const Catch::TestCaseInfo& info) override {
        current_case.fill('\0');
        info.name.copy(current_case.data(), current_case.size() - 1);
    }
    void testCaseEnded(const Catch::TestCaseStats&) override { current_case[0] = '\0'; }
};
CATCH_REGISTER_LISTENER(name_keeper)

void write_text(const char* text) {
    if (::write(STDERR_FILENO, text, std::strlen(text)) < 0) return;
}

/// SA_RESETHAND: returning means the default action, at once or at the next try of the instruction.
void on_end(int signal) {
    if (current_case[0] != '\0') {
        write_text("in test case: ");
        write_text(current_case.data());
        write_text("\n");
    }
    if (signal == SIGTERM) {
        vole::write_traceback(STDERR_FILENO, vole::traceback_scope::all);
        vole::detail::save_recording_of_crash();
        ::raise(SIGTERM);
    }
}

void install_handlers() {
    struct sigaction action {};
    action.sa_handler = on_end;
    action.sa_flags = static_cast<int>(SA_RESETHAND | SA_ONSTACK);
    sigemptyset(&action.sa_mask);
    std::array<int, 2> ours{SIGABRT, SIGTERM};
    for (const int s : ours) ::sigaction(s, &action, nullptr);
#if !defined(VOLE_ASAN) && !defined(VOLE_TSAN)
    // The sanitizers report these themselves, better.
    std::array<int, 4> faults{SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    for (const int s : faults) ::sigaction(s, &action, nullptr);
#endif
}

}  // namespace

int main(int argc, char** argv) {
    if (vole::test::is_subprocess()) {
        const rlimit none{0, 0};
        ::setrlimit(RLIMIT_CORE, &none);
    }
    install_handlers();
    return Catch::Session().run(argc, argv);
}
