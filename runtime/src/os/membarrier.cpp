// See membarrier.hpp.
#include "runtime/internal/membarrier.hpp"
#include "runtime/internal/may_fail.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

#include <vole/config.hpp>

// glibc's own (2.35 and later); weak, so that an older one links too.
extern "C" {
__attribute__((weak)) extern const unsigned int __rseq_size;
__attribute__((weak)) extern const std::ptrdiff_t __rseq_offset;
}

namespace vole::inline v0::detail {

constinit atomic<unsigned char> release_mode{0};

namespace {

constinit atomic<bool> setters_fence{false};

constexpr int expedited = 1 << 3;
constexpr int register_expedited = 1 << 4;

bool call(int command) noexcept {
    const int saved = errno;
    const bool ok = may_fail<fallible::membarrier>(::syscall, SYS_membarrier, command, 0, 0) == 0;
    errno = saved;
    return ok;
}

#if defined(__x86_64__) && !defined(VOLE_TSAN) && !defined(VOLE_ASAN)
constexpr int expedited_rseq = 1 << 7;
constexpr int register_expedited_rseq = 1 << 8;
#endif

}  // namespace

// In two steps, because locks may be in use already. A setter loads setters_fence after its
// read-modify-write: if it reads false, that was before the membarrier below, so its bit is visible
// to every releaser that has seen release_restartable.
void enable_restartable_release() noexcept {
#if defined(__x86_64__) && !defined(VOLE_TSAN) && !defined(VOLE_ASAN)
    if (&__rseq_size == nullptr || &__rseq_offset == nullptr || __rseq_size == 0) return;
    if (!call(register_expedited_rseq)) return;
    setters_fence.store(true, memory_order_seq_cst);
    if (!call(expedited_rseq)) {
        setters_fence.store(false, memory_order_seq_cst);
        return;
    }
    release_mode.fetch_or(release_restartable, memory_order_seq_cst);
#endif
}

bool fence_releasers() noexcept {
    if (!setters_fence.load(memory_order_seq_cst)) return false;
#if defined(__x86_64__) && !defined(VOLE_TSAN) && !defined(VOLE_ASAN)
    call(expedited_rseq);
#endif
    return true;
}

bool fence_all_threads() noexcept {
    static constinit atomic<bool> registered{false};
    if (!registered.load(memory_order_relaxed)) {
        if (!call(register_expedited)) return false;
        registered.store(true, memory_order_relaxed);
    }
    return call(expedited);
}

bool can_fence_all_threads() noexcept {
    enum : std::uint8_t { no, yes, unknown };
    static constinit atomic<std::uint8_t> known{unknown};
    std::uint8_t can = known.load(memory_order_relaxed);
    if (can == unknown) {
        can = fence_all_threads() ? yes : no;
        known.store(can, memory_order_relaxed);
    }
    return can == yes;
}

}  // namespace vole::inline v0::detail
