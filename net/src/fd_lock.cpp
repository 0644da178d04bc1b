// See fd_lock.hpp.
#include "net/src/fd_lock.hpp"

#include "runtime/internal/deep.hpp"
#include "sync/internal/sema.hpp"

namespace vole::inline v0::detail {

VOLE_FITS_SMALL_STACK;

namespace {
[[noreturn]] void throw_too_many() {
    throw_runtime_error("too many concurrent operations on a single file or socket (max 1048575)");
}
constexpr std::size_t index_of(io_dir d) noexcept { return static_cast<std::size_t>(d); }
}  // namespace

fd_lock::entered fd_lock::enter_slow(io_dir dir) {
    std::uint64_t mine = 0;  // `use` once it has waited
    for (;;) {
        std::uint64_t seen = state_.load(memory_order_relaxed);
        if ((seen & closed_bit) != 0) {
            return mine != 0 && let_go() ? entered::closed_last : entered::closed;
        }
        // Those who wait are counted with those who use it, so that the other count cannot overflow.
        if (mine == 0 && (seen & use_mask) == use_mask) throw_too_many();
        const bool waits = (seen & taken_bit(dir)) != 0;
        const std::uint64_t next =
            (waits ? seen + wait(dir) : seen | taken_bit(dir)) + (use - mine);
        if (!state_.compare_exchange_weak(seen, next, memory_order_acquire, memory_order_relaxed)) {
            continue;
        }
        if (!waits) return entered::yes;
        mine = use;
        sema_acquire(&turn_[index_of(dir)], wait_reason::io);
    }
}

bool fd_lock::leave_slow(io_dir dir) noexcept {
    std::uint64_t seen = state_.load(memory_order_relaxed);
    std::uint64_t next = 0;
    do {
        next = (seen & ~taken_bit(dir)) - use;
        if ((seen & wait_mask(dir)) != 0) next -= wait(dir);
        // acq_rel: the last one sees what all others did.
    } while (!state_.compare_exchange_weak(seen, next, memory_order_acq_rel, memory_order_relaxed));
    if ((seen & wait_mask(dir)) != 0) sema_release(&turn_[index_of(dir)]);
    return (next & (closed_bit | use_mask)) == closed_bit;
}

bool fd_lock::hold() {
    std::uint64_t seen = state_.load(memory_order_relaxed);
    do {
        if ((seen & closed_bit) != 0) return false;
        if ((seen & use_mask) == use_mask) throw_too_many();
    } while (!state_.compare_exchange_weak(seen, seen + use, memory_order_acquire,
                                           memory_order_relaxed));
    return true;
}

bool fd_lock::let_go() noexcept {
    const std::uint64_t next = state_.fetch_sub(use, memory_order_acq_rel) - use;
    return (next & (closed_bit | use_mask)) == closed_bit;
}

bool fd_lock::close() {
    std::uint64_t seen = state_.load(memory_order_relaxed);
    std::uint64_t next = 0;
    do {
        if ((seen & closed_bit) != 0) return false;
        if ((seen & use_mask) == use_mask) throw_too_many();
        next = (seen | closed_bit) + use;
        next &= ~(wait_mask(io_dir::read) | wait_mask(io_dir::write));
    } while (!state_.compare_exchange_weak(seen, next, memory_order_acq_rel, memory_order_relaxed));
    for (const io_dir dir : {io_dir::read, io_dir::write}) {
        for (std::uint64_t n = (seen & wait_mask(dir)) / wait(dir); n > 0; --n) {
            sema_release(&turn_[index_of(dir)]);
        }
    }
    return true;
}

void fd_lock::sema_acquire_end() { sema_acquire(&end_, wait_reason::io); }

void fd_lock::ended() noexcept { sema_release(&end_); }

}  // namespace vole::detail
