// What a process writes to its own standard error, for tests of reports. One at a time.
#pragma once

#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

#if defined(VOLE_ASAN) || defined(VOLE_TSAN)
#include <sanitizer/common_interface_defs.h>
#endif

namespace vole::test {

/// Everything that is written to standard error in its scope, by this process. When the process aborts meanwhile,
/// it does get there.
class stderr_capture {
  public:
    stderr_capture() : file_(::memfd_create("stderr", MFD_CLOEXEC)) {
        std::fflush(stderr);
        real = ::dup(STDERR_FILENO);
        held = file_;
        if (file_ < 0 || real < 0 || ::dup2(file_, STDERR_FILENO) < 0) {
            throw std::runtime_error("stderr cannot be captured");
        }
        struct sigaction action {};
        action.sa_handler = on_abort;
        sigemptyset(&action.sa_mask);
        action.sa_flags = SA_ONSTACK;
        ::sigaction(SIGABRT, &action, &before_);
        before_action = before_;
        sanitizer_reports_to(real);
    }
    ~stderr_capture() {
        sanitizer_reports_to(STDERR_FILENO);
        ::sigaction(SIGABRT, &before_, nullptr);
        ::dup2(real, STDERR_FILENO);
        ::close(real);
        ::close(file_);
    }
    stderr_capture(const stderr_capture&) = delete;
    stderr_capture& operator=(const stderr_capture&) = delete;

    std::string text() const {
        std::string all;
        std::array<char, 4096> buffer;
        off_t at = 0;
        for (ssize_t n = 0; (n = ::pread(file_, buffer.data(), buffer.size(), at)) > 0; at += n) {
            all.append(buffer.data(), static_cast<std::size_t>(n));
        }
        return all;
    }

  private:
    // They end the process without SIGABRT.
    static void sanitizer_reports_to([[maybe_unused]] int fd) {
#if defined(VOLE_ASAN) || defined(VOLE_TSAN)
        __sanitizer_set_report_fd(reinterpret_cast<void*>(static_cast<std::intptr_t>(fd)));
#endif
    }

    static void on_abort(int) {
        std::array<char, 4096> buffer;
        off_t at = 0;
        for (ssize_t n = 0; (n = ::pread(held, buffer.data(), buffer.size(), at)) > 0; at += n) {
            if (::write(real, buffer.data(), static_cast<std::size_t>(n)) < 0) break;
        }
        ::dup2(real, STDERR_FILENO);
        ::sigaction(SIGABRT, &before_action, nullptr);
        ::raise(SIGABRT);
    }

    // Of the one that exists: a signal handler has no other way to them.
    static inline int real = -1;
    static inline int held = -1;
    static inline struct sigaction before_action {};

    int file_;
    struct sigaction before_ {};
};

}  // namespace vole::test
