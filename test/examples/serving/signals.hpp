// SIGINT and SIGTERM as something that a goroutine waits for: signalfd(2) gives a descriptor, and net reads it as any
// other. No handler runs, so there is nothing that must not be done in one.
#pragma once

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <span>
#include <sys/signalfd.h>
#include <system_error>

#include <vole/vole.hpp>

namespace serving {

class stop_signals {
  public:
    /// Make it in main(), before vole::run: threads inherit which signals are blocked, and those of the runtime
    /// shall not be ended by one.
    stop_signals() {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGTERM);
        pthread_sigmask(SIG_BLOCK, &set, nullptr);
        const int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
        if (fd < 0) throw std::system_error(errno, std::generic_category(), "signalfd");
        signals_ = vole::net::adopt_conn(fd);
    }

    /// Whoever waits is woken, and has left before the descriptor goes.
    ~stop_signals() {
        std::error_code ignored;
        signals_.close(ignored);
        watcher_.wait();
    }
    stop_signals(const stop_signals&) = delete;
    stop_signals& operator=(const stop_signals&) = delete;

    /// A context that the first signal cancels. A second one ends the process at once: somebody is in a hurry.
    vole::context context() {
        auto [ctx, cancel] = vole::with_cancel(vole::context::background());
        watcher_.go([this, cancel = cancel] {
            if (!wait()) return;
            cancel();
            if (wait()) std::_Exit(1);
        });
        return ctx;
    }

  private:
    /// False: there will be none any more.
    bool wait() {
        signalfd_siginfo info;
        std::error_code ec;
        return signals_.read(std::as_writable_bytes(std::span(&info, 1)), ec) == sizeof info;
    }

    vole::net::conn signals_;
    vole::wait_group watcher_;
};

}  // namespace serving
