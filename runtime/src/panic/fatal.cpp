// See fatal.hpp. Everything here is async-signal-safe: it also speaks for the fault handler.
#include "runtime/internal/fatal.hpp"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include <vole/detail/atomic.hpp>
#include <vole/runtime.hpp>

#include "runtime/internal/deep.hpp"
#include "runtime/internal/write_all.hpp"
#include "runtime/src/sched/sched.hpp"
#include "runtime/src/sched/status.hpp"
#include "runtime/src/trace/record.hpp"

namespace vole::inline v0::detail {

message& message::operator<<(const char* s) noexcept {
    while (*s != '\0' && size_ < sizeof(text_) - 1) text_[size_++] = *s++;
    text_[size_] = '\0';
    return *this;
}

message& message::operator<<(std::uint64_t n) noexcept {
    char digits[24];
    char* at = digits + sizeof(digits) - 1;
    *at = '\0';
    do {
        *--at = static_cast<char>('0' + n % 10);
        n /= 10;
    } while (n != 0);
    return *this << at;
}

message& message::hex(std::uint64_t n) noexcept {
    char digits[24];
    char* at = digits + sizeof(digits) - 1;
    *at = '\0';
    do {
        *--at = "0123456789abcdef"[n % 16];
        n /= 16;
    } while (n != 0);
    return *this << "0x" << at;
}

void message::write_to(int fd) noexcept {
    const int saved = errno;
    (void)write_all(fd, text_, size_);
    errno = saved;
    size_ = 0;
    text_[0] = '\0';
}

namespace {
constinit atomic<int> dying{0};
}

namespace {
[[noreturn]] void die(const char* text, const char* detail) noexcept {
    // Two threads that die at once: the first prints, the second waits for the end.
    if (const int level = dying.fetch_add(1, memory_order_acq_rel); level == 1) {
        for (;;) pause();
    } else if (level > 1) {
        std::_Exit(5);
    }
    message line;
    if (detail != nullptr) {
        line << detail << "\n";
        line.write_to(2);
    }
    line << "fatal error: " << text << "\n\n";
    line.write_to(2);
    write_traceback(2, traceback_scope::all);
    save_recording_of_crash();
    std::signal(SIGABRT, SIG_DFL);
    std::abort();
}
}  // namespace

void fatal(const char* text, const char* detail) noexcept {
    deep([&] { die(text, detail); });
    __builtin_unreachable();
}

void bad_transition(const G* g, g_status from, g_status to) noexcept {
    message text;
    text << "vole: goroutine " << g->id << ": illegal change of status from "
         << static_cast<std::uint64_t>(from) << " (found "
         << static_cast<std::uint64_t>(g->status.load(memory_order_relaxed)) << ") to "
         << static_cast<std::uint64_t>(to);
    fatal("internal error in the scheduler", text.c_str());
}

}  // namespace vole::detail
