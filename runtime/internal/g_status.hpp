// The states of a goroutine and the legal changes between them. Of its own, because the checker of recordings
// (tools/trace) needs nothing else of the runtime.
//
//   idle     -> runnable   go(): the G is complete and about to be queued
//   runnable -> running    whoever took it from a queue resumes it
//   running  -> runnable   it yields or is preempted
//   running  -> waiting    it parks; its waiter is queued and that queue's lock held
//   waiting  -> runnable   ready(), by whoever removed the waiter
//   running  -> syscall    it enters blocking() or a system call, or its P is taken from it
//   syscall  -> running    it comes back and has a P
//   syscall  -> runnable   it comes back and finds none
//   running  -> dead       it has returned
//   dead     -> idle       recycled
//
// Stack: any.
#pragma once

#include <cstdint>

namespace vole::inline v0::detail {

/// One function changes a goroutine's: set_status in runtime/src/sched/status.hpp.
enum class g_status : std::uint8_t { idle, runnable, running, syscall, waiting, dead };

constexpr bool legal(g_status from, g_status to) noexcept {
    using enum g_status;
    switch (from) {
        case idle: return to == runnable;
        case runnable: return to == running;
        case running: return to == runnable || to == waiting || to == syscall || to == dead;
        case syscall: return to == running || to == runnable;
        case waiting: return to == runnable;
        case dead: return to == idle;
    }
    return false;
}

}  // namespace vole::detail
