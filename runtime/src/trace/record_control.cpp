// When there is recording: from a quiet moment on, until somebody stops it or the process ends. See record.hpp.
//
// Locks: sched.mu, to see that all is quiet. Stack: ordinary threads; save_recording_of_crash any, signal
// handlers included: no lock, no allocation.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <ctime>

#include "runtime/internal/fatal.hpp"
#include "runtime/internal/write_all.hpp"
#include "runtime/src/os/settings.hpp"
#include "runtime/src/sched/sched.hpp"
#include "runtime/src/trace/record.hpp"

namespace vole::inline v0::detail {

namespace {

// Taken by whoever writes it.
constinit atomic<const char*> file_of_crash{nullptr};
constinit atomic<bool> writing{false};

// Every thread of ours sleeps without a P, and no P is on its way to one. sysmon changes something only where a P is
// not idle, and other threads' calls of the library are excluded by contract.
bool all_quiet() noexcept VOLE_REQUIRES(sched.mu) {
    return sched.idle_m_count + sched.locked_m_idle == sched.m_count &&
           sched.idle_p_count.load(memory_order_relaxed) ==
               sched.procs.load(memory_order_relaxed) &&
           sched.wanted_ms == nullptr && global_count() == 0 &&
           !sched.stopping.load(memory_order_relaxed);
}

bool begin_if_quiet() noexcept VOLE_EXCLUDES(sched.mu) {
    // Whoever wakes a thread takes this lock, or is told by one who did: so it sees the flag.
    const lock_guard held(sched.mu);
    if (!all_quiet()) return false;
    begin_recording();
    return true;
}

bool write_to_fd(void* fd, const void* bytes, std::size_t n) {
    return write_all(*static_cast<const int*>(fd), bytes, n);
}

bool write_file(const char* file, std::uint64_t flags) noexcept {
    int fd = os::open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) return false;
    const bool good = emit_recording(flags, write_to_fd, &fd);
    return os::close(fd) == 0 && good;
}

// A thread that is half through an event may be the one that died, or have been stopped.
constexpr unsigned patience = 10'000;

void save_first(std::uint64_t flags) noexcept {
    const char* file = file_of_crash.exchange(nullptr, memory_order_acq_rel);
    if (file == nullptr || !end_recording(patience)) return;
    const bool written = write_file(file, flags);
    if (written && flags == 0) return;
    message text;
    text << (written ? "vole: recorded: " : "vole: cannot write the recording: ") << file
         << (written ? " (tools/vole check-trace looks at it)\n" : "\n");
    text.write_to(2);
}

void nap() noexcept {
    const timespec millisecond{0, 1'000'000};
    nanosleep(&millisecond, nullptr);
}

void save(std::uint64_t flags) noexcept {
    if (sched.poisoned.load(memory_order_relaxed)) return;  // a forked child: it is its parent's
    const int saved = errno;
    if (!writing.exchange(true, memory_order_acquire)) {
        save_first(flags);
        writing.store(false, memory_order_release);
    } else {
        // Two threads die at once: the second must not end the process under the first. Or the first has died of it.
        for (int i = 0; i < 2000 && writing.load(memory_order_acquire); ++i) nap();
    }
    errno = saved;
}

}  // namespace

bool start_recording(std::uint64_t events_each, const char* crash_file) noexcept {
    if (current_m() != nullptr || !prepare_recording(events_each)) return false;
    for (int i = 0; !begin_if_quiet(); ++i) {
        if (i == 2000) return false;
        nap();
    }
    file_of_crash.store(crash_file, memory_order_release);
    return true;
}

bool stop_recording() noexcept {
    file_of_crash.store(nullptr, memory_order_relaxed);
    return end_recording(~0u);
}

void start_recording_as_asked() noexcept {
    static constinit char path[1024] = {};
    const settings& asked = debug_settings();
    if (asked.record.empty() || path[0] != '\0') return;
    if (asked.record.size() >= sizeof(path)) {
        message text;
        text << "vole: VOLE_DEBUG: the file name of record is too long; nothing is recorded\n";
        text.write_to(2);
        return;
    }
    const auto events = asked.recordsize > 0 ? static_cast<std::uint64_t>(asked.recordsize)
                                             : default_recorded_events;
    if (!prepare_recording(events)) return;
    asked.record.copy(path, asked.record.size());
    begin_recording();
    file_of_crash.store(path, memory_order_release);
    std::atexit([] { save(0); });
}

void save_recording_of_crash() noexcept { save(recording_crashed); }

}  // namespace vole::detail
