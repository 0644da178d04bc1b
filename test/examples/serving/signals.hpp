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

    /// A context that the first signal cancels. A second one ends the process at once: somebody is in a hurry.
    vole::context context() {
        auto [ctx, cancel] = vole::with_cancel(vole::context::background());
        vole::go({.name = "signals"}, [this, cancel = cancel] {
            wait();
            cancel();
            wait();
            std::_Exit(1);
        });
        return ctx;
    }

  private:
    void wait() {
        signalfd_siginfo info;
        signals_.read_full(std::as_writable_bytes(std::span(&info, 1)));
    }

    vole::net::conn signals_;
};

}  // namespace serving
