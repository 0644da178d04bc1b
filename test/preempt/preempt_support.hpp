// What the preemption tests share: requests far more often than sysmon makes them, and how a program of
// its own is run with free migration.
#pragma once

#include <vole/vole.hpp>

#include "runtime/src/sched/sched.hpp"
#include "test/support/scale.hpp"
#include "test/support/subprocess.hpp"
#include "test/support/wait.hpp"

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

namespace vole::test {

/// Whether this build stops goroutines by signals.
inline constexpr bool has_signals = detail::has_signal_preemption;
inline constexpr bool has_free_migration = detail::has_injection;

/// Rounds of an empty loop before a goroutine that computes enters the runtime for the first time; each
/// turn is twice as long as the one before. It enters because a machine under load may detach it, and at
/// its next entry it is one again that can be stopped. Turns of one length could all end by themselves
/// just before the signal comes: on some machine, any length takes what a time slice takes.
inline constexpr long first_turn = 10'000'000;

inline preempt::counts counts() { return read_stats().preempt; }

/// While one exists, an ordinary thread asks every running goroutine to give way each 100 us.
///   gentle  by the timers on the threads' CPU clocks, as sysmon does: they fire at the kernel's ticks
///   dense   by signals sent right away, to all threads that have a goroutine: calls that block return
///           EINTR then, so only for code that makes none
class storm {
  public:
    enum class kind { gentle, dense };

    explicit storm(kind k) : kind_(k), thread_([this] { blow(); }) {}
    ~storm() {
        stop_.store(true);
        thread_.join();
    }
    storm(const storm&) = delete;
    storm& operator=(const storm&) = delete;

  private:
    void blow() {
        while (!stop_.load()) {
            const auto n = detail::sched.procs.load();
            for (std::uint32_t i = 0; i < n; ++i) {
                detail::P* p = detail::sched.all_ps[i].load();
                if (p == nullptr) continue;
                detail::M* m = p->m.load();
                if (m == nullptr || m->tid.load() == 0) continue;
                detail::ask_to_yield(p);
                if (!detail::signals_on()) continue;
                if (kind_ == kind::gentle) {
                    detail::send_preempt_signal(m);
                } else if (!m->signal_sent.exchange(true)) {
                    ::syscall(SYS_tgkill, ::getpid(), m->tid.load(),
                              detail::preempt_settings.signal);
                }
            }
            const timespec nap{0, 100'000};
            ::nanosleep(&nap, nullptr);
        }
    }

    const kind kind_;
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

/// For cases that run in processes of their own: lets the runtime of this process start with free
/// migration if VOLE_TEST_FREE=1 is set. Called before the first run or go.
void choose_migration();

/// The environment of such a process.
inline std::vector<std::string> with_free_migration() { return {"VOLE_TEST_FREE=1"}; }

}  // namespace vole::test
