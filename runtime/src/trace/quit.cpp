// SIGQUIT, if options::quit_traceback asks for it: every goroutine and the registers on stderr, then the end
// with status 2, as Go's (SCHED-67). A handler that was there before is called instead of the end.
//
// Stack: signal, of whatever thread gets it. Async-signal-safe: no lock, no allocation but for names where
// that is safe (write_traceback).
#include <csignal>

#include <cerrno>
#include <cstdlib>

#include <vole/runtime.hpp>

#include "runtime/internal/os.hpp"
#include "runtime/src/sched/sched.hpp"
#include "runtime/src/trace/frames_text.hpp"
#include "runtime/src/trace/record.hpp"

namespace vole::inline v0::detail {

namespace {

struct sigaction previous;

void print_registers(const void* context) noexcept {
    fd_text text(2, false);
    arch::this_port::each_register(context, [&text](const char* name, std::uint64_t value) {
        text.out << name << "\t";
        text.out.hex(value) << "\n";
    });
}

void on_quit(int signal, siginfo_t* info, void* context) {
    const int saved = errno;
    {
        fd_text text(2, false);
        text.out << "SIGQUIT: quit\nPC=";
        text.out.hex(arch::this_port::interrupted(context).pc);
        if (const M* m = current_m(); m != nullptr) text.out << " m=" << std::uint64_t{m->id};
        text.out << " sigcode=" << static_cast<std::uint64_t>(static_cast<unsigned>(info->si_code))
                 << "\n\n";
    }
    write_traceback(2, traceback_scope::all);
    print_registers(context);
    save_recording_of_crash();
    errno = saved;
    if ((previous.sa_flags & SA_SIGINFO) != 0 && previous.sa_sigaction != nullptr) {
        previous.sa_sigaction(signal, info, context);
    } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
        previous.sa_handler(signal);
    } else if (level() == traceback_level::crash) {
        std::abort();
    } else {
        std::_Exit(2);
    }
}

}  // namespace

void install_quit_handler() noexcept {
    static constinit atomic<bool> done{false};
    if (done.exchange(true, memory_order_relaxed)) return;
    struct sigaction ours {};
    ours.sa_sigaction = on_quit;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    sigemptyset(&ours.sa_mask);
    os::sigaction(SIGQUIT, &ours, &previous);
}

}  // namespace vole::detail
