// What the tests of explore() have in common.
#pragma once

#include "test/support/wait.hpp"

#include <fcntl.h>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

namespace vole::test {

/// What is written to stderr goes into a file while one lives.
class quiet_stderr {
  public:
    quiet_stderr() : kept_(::dup(STDERR_FILENO)), file_(::memfd_create("stderr", MFD_CLOEXEC)) {
        ::dup2(file_, STDERR_FILENO);
    }
    ~quiet_stderr() {
        ::dup2(kept_, STDERR_FILENO);
        ::close(kept_);
        ::close(file_);
    }
    quiet_stderr(const quiet_stderr&) = delete;
    quiet_stderr& operator=(const quiet_stderr&) = delete;

    std::string text() const {
        std::string all;
        char buffer[4096];
        ::lseek(file_, 0, SEEK_SET);
        for (ssize_t n = 0; (n = ::read(file_, buffer, sizeof buffer)) > 0;) {
            all.append(buffer, static_cast<std::size_t>(n));
        }
        return all;
    }

  private:
    int kept_;
    int file_;
};

}  // namespace vole::test
