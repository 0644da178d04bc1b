// What a program chooses about preemption, and its start with the runtime. Stack: ordinary threads.
#include <stdexcept>
#include <string>

#include <vole/panic.hpp>
#include <vole/preempt.hpp>

#include "runtime/src/os/settings.hpp"
#include "runtime/src/sched/sched.hpp"

namespace vole::inline v0::detail {

constinit preempt::settings preempt_settings{};
constinit preempt_totals preempt_total{};

void start_preemption() {
    find_preemptible_code();
    if (debug_settings().preempttrace || debug_settings().preemptexplain) start_narrator();
    if (signals_on()) install_preempt_handler();
}

bool signals_on() noexcept {
    return has_signal_preemption && preempt_settings.signals && !debug_settings().asyncpreemptoff;
}

namespace {

constexpr std::uint32_t most_max_frozen = 10'000;

bool usable(int signal) noexcept {
    switch (signal) {
        case SIGKILL:
        case SIGSTOP:
        case SIGSEGV:
        case SIGBUS:
        case SIGFPE:
        case SIGILL:
        case SIGTRAP:
        case SIGABRT:
        case SIGSYS: return false;
        default:
            // Real-time signals below SIGRTMIN are the C library's own.
            return signal > 0 && signal <= SIGRTMAX && (signal < 32 || signal >= SIGRTMIN);
    }
}

}  // namespace

}  // namespace vole::detail

namespace vole::inline v0::preempt {

void configure(const settings& s) {
    using namespace detail;
    if (runtime_has_started()) {
        throw runtime_error("vole::preempt::configure: the runtime has started; call it before the "
                            "first run or go");
    }
    if (!usable(s.signal)) {
        throw std::invalid_argument("vole::preempt::configure: settings.signal is " +
                                    std::to_string(s.signal) +
                                    ", which cannot be used; SIGURG or a signal from SIGRTMIN to "
                                    "SIGRTMAX can");
    }
    if (s.max_frozen == 0 || s.max_frozen > most_max_frozen) {
        throw std::invalid_argument("vole::preempt::configure: settings.max_frozen is " +
                                    std::to_string(s.max_frozen) +
                                    ", outside of the limits 1 and 10000");
    }
    if (s.preempt_migration == migration::free && !has_injection) {
        throw std::invalid_argument(
            "vole::preempt::configure: settings.preempt_migration is free, which exists on amd64 "
            "only, "
            "and not under AddressSanitizer or ThreadSanitizer; use same_thread");
    }
    if (s.preempt_migration == migration::free && !prepare_injection()) {
        throw std::invalid_argument("vole::preempt::configure: settings.preempt_migration is free, "
                                    "which needs a processor with "
                                    "the instruction xsavec; use same_thread");
    }
    preempt_settings = s;
}

}  // namespace vole::preempt
