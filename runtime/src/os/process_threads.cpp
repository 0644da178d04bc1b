// See process_threads.hpp.
//
// /proc/self/stat has the number. An emulator of user programs (qemu-user) shows a stat of its own
// with nothing in it, and has threads of its own in /proc/self/task: there the entries are counted,
// and those beside the caller when the runtime started are taken to be the emulator's. That is wrong
// about threads the program had before: under an emulator these do not hold back a deadlock report.
#include "runtime/src/os/process_threads.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include <vole/detail/atomic.hpp>

#include "runtime/internal/os.hpp"

namespace vole::inline v0::detail {

namespace {

constinit atomic<bool> count_tasks{false};
constinit atomic<std::uint64_t> not_ours{0};

// Field 20.
std::uint64_t from_stat() noexcept {
    char text[1024];
    ssize_t n = -1;
    if (const int fd = os::open("/proc/self/stat", O_RDONLY | O_CLOEXEC); fd >= 0) {
        n = os::read(fd, text, sizeof(text) - 1);
        os::close(fd);
    }
    if (n <= 0) return 0;
    text[n] = '\0';
    const char* at = std::strrchr(text, ')');  // the name may hold anything, brackets included
    if (at == nullptr) return 0;
    for (int field = 2; field < 20 && at != nullptr; ++field) at = std::strchr(at + 1, ' ');
    if (at == nullptr) return 0;
    std::uint64_t threads = 0;
    for (++at; *at >= '0' && *at <= '9'; ++at) {
        threads = threads * 10 + static_cast<unsigned>(*at - '0');
    }
    return threads;
}

// Entries of /proc/self/task but "." and "..". readdir would allocate.
std::uint64_t from_tasks() noexcept {
    const int fd = os::open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return 0;
    std::uint64_t entries = 0;
    alignas(8) char buffer[4096];
    for (;;) {
        const long n =
            may_fail<fallible::getdents>(::syscall, SYS_getdents64, fd, buffer, sizeof(buffer));
        if (n <= 0) break;
        for (long at = 0; at < n;) {
            std::uint16_t length = 0;  // after inode and offset, 8 bytes each; then type, name
            std::memcpy(&length, buffer + at + 16, sizeof(length));
            if (length == 0) break;
            if (buffer[at + 19] != '.') ++entries;
            at += length;
        }
    }
    os::close(fd);
    return entries;
}

}  // namespace

void prepare_process_threads() noexcept {
    const int saved = errno;
    if (from_stat() == 0) {
        const std::uint64_t now = from_tasks();
        not_ours.store(now > 0 ? now - 1 : 0, memory_order_relaxed);
        count_tasks.store(true, memory_order_release);
    }
    errno = saved;
}

std::uint64_t process_threads() noexcept {
    const int saved = errno;
    std::uint64_t threads = 0;
    if (count_tasks.load(memory_order_acquire)) {
        const std::uint64_t others = not_ours.load(memory_order_relaxed);
        const std::uint64_t now = from_tasks();
        threads = now > others ? now - others : 0;
    } else {
        threads = from_stat();
    }
    errno = saved;
    return threads;
}

}  // namespace vole::inline v0::detail
