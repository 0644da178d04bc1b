// Calls that raise SIGPIPE, and have no flag against it: writing to a pipe without readers; splice(2) and sendfile(2) to a
// socket whose other end is gone. The signal is blocked for this thread meanwhile, and taken back if it was not there
// before.
//
// Stack: a thread's, or one with as much room: signal sets are 128 bytes each, and libc is called. Inside the runtime, or in
// blocking(): the thread must stay the same.
#pragma once

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <ctime>

#include "net/src/sys.hpp"

namespace vole::inline v0::detail {

class sigpipe_guard {
  public:
    sigpipe_guard() noexcept {
        sigemptyset(&pipe_);
        sigaddset(&pipe_, SIGPIPE);
        sigset_t pending;
        sigpending(&pending);
        was_pending_ = sigismember(&pending, SIGPIPE) == 1;
        pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
    }
    ~sigpipe_guard() {
        if (suspect_ && !was_pending_) {
            const timespec now{};
            while (sigtimedwait(&pipe_, nullptr, &now) < 0 && errno == EINTR) {
            }
        }
        pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    }
    sigpipe_guard(const sigpipe_guard&) = delete;
    sigpipe_guard& operator=(const sigpipe_guard&) = delete;
    /// splice(2) to a socket writes piece by piece, and may raise it and yet say that something was written: so whoever gets
    /// less than he wanted looks.
    sys::result note(sys::result r, std::size_t wanted = 0) noexcept {
        suspect_ = r < static_cast<sys::result>(wanted);
        return r;
    }

  private:
    sigset_t pipe_, before_;
    bool was_pending_ = false;
    bool suspect_ = false;
};

}  // namespace vole::detail
