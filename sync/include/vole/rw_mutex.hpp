// A lock for many readers or one writer. What all headers of <vole/sync.hpp> have in common is said there.
#pragma once

#include <cstdint>

#include <vole/detail/atomic.hpp>
#include <vole/detail/explore_point.hpp>
#include <vole/runtime.hpp>

namespace vole::inline v0 {

namespace detail {
struct addr_waiter;
struct wait_bucket;
struct reader_slots;
struct rw_mutex_probe;  // of tests
}

class read_locker;

/// Go's sync.RWMutex: held by any number of readers or by one writer, no owner (another goroutine or thread may
/// unlock). Meets SharedMutex: std::shared_lock and std::unique_lock work. There is no upgrade.
/// Once a writer waits, new readers do too, until it has had its turn: so who holds the lock for reading must not
/// take it for reading again. The writer waits for the readers that were there when it came; when it unlocks,
/// all readers that came meanwhile go before the next writer. Writers among themselves are served as by mutex.
/// May be destroyed as soon as it is unlocked for the last time, by whoever locked it last.
/// Readers who keep coming are counted on each P by itself after a while, so that they need not share a cache line; or, where
/// writers come in between, on one P, whose readers and writers have that much less to do. The next writer (or the next from
/// another P) waits some microseconds more, and all is as before. It costs 64 bytes for each P.
/// Waiting for it is not durable in a bubble (<vole/synctest.hpp>).
class rw_mutex {
  public:
    constexpr rw_mutex() noexcept = default;
    rw_mutex(const rw_mutex&) = delete;
    rw_mutex& operator=(const rw_mutex&) = delete;
    ~rw_mutex() {
        if (slots_.load(detail::memory_order_relaxed) != nullptr) drop_slots();
    }

    /// Waits until neither a writer nor a reader holds it. Happens-before: every earlier unlock() and
    /// unlock_shared() -> return.
    void lock() {
        detail::explore_point("lock", this);
        std::uint64_t free = 0;
        // acquire: pairs with the release of whoever unlocked.
        if (!state_.compare_exchange_strong(free, writer, detail::memory_order_acquire,
                                            detail::memory_order_relaxed)) [[unlikely]] {
            lock_slow();
        }
        reads_.store(reads_.load(detail::memory_order_relaxed) | wrote,
                     detail::memory_order_relaxed);
    }

    /// Never waits; false also while a writer waits. A failure orders nothing.
    bool try_lock() noexcept {
        detail::explore_point("try_lock", this);
        std::uint64_t seen = state_.load(detail::memory_order_relaxed);
        if ((seen & (spread | folding)) != 0) [[unlikely]]
            seen = gather_readers();
        return (seen & writer) == 0 && seen < one_reader &&
               state_.compare_exchange_strong(seen, seen | writer, detail::memory_order_acquire,
                                              detail::memory_order_relaxed);
    }

    /// Fatal error "sync: Unlock of unlocked RWMutex" if no writer holds it.
    void unlock() {
        detail::explore_point("unlock", this);
        std::uint64_t held = writer;
        if (asked_to_yield() ||
            !state_.compare_exchange_strong(held, at_rest(), detail::memory_order_release,
                                            detail::memory_order_relaxed)) [[unlikely]] {
            unlock_slow();
        }
    }

    /// Waits until no writer holds it or waits for it. Happens-before: every earlier unlock() -> return.
    void lock_shared() {
        detail::explore_point("lock_shared", this, detail::touch::reads);
        // acquire: who sees `spread` sees the slots.
        if ((state_.load(detail::memory_order_acquire) & spread) != 0 && enter_slot()) return;
        // An addition cannot fail, however many readers come at once.
        if ((state_.fetch_add(one_reader, detail::memory_order_acquire) & writer) != 0) [[unlikely]]
            return lock_shared_slow();
        // Not exact, and need not be.
        const std::uint32_t n = reads_.load(detail::memory_order_relaxed) + 1;
        reads_.store(n, detail::memory_order_relaxed);
        if (n % look_after == 0) [[unlikely]]
            spread_readers();
    }

    /// Never waits; false also while a writer waits. A failure orders nothing.
    bool try_lock_shared() noexcept {
        detail::explore_point("try_lock_shared", this, detail::touch::reads);
        std::uint64_t seen = state_.load(detail::memory_order_acquire);
        if ((seen & spread) != 0 && enter_slot()) return true;
        do {
            if ((seen & writer) != 0) return false;
        } while (!state_.compare_exchange_weak(
            seen, seen + one_reader, detail::memory_order_acquire, detail::memory_order_relaxed));
        return true;
    }

    /// Fatal error "sync: RUnlock of unlocked RWMutex" if no reader holds it: now, or, when readers are counted on each
    /// P, in the next writer's lock().
    void unlock_shared() {
        detail::explore_point("unlock_shared", this);
        if ((state_.load(detail::memory_order_acquire) & spread) != 0 && leave_slot()) return;
        // release: pairs with the acquire of the next writer.
        const std::uint64_t after =
            state_.fetch_sub(one_reader, detail::memory_order_release) - one_reader;
        if ((after & (writer | below_zero)) != 0 || asked_to_yield()) [[unlikely]]
            unlock_shared_slow(after);
    }

    /// Go's RLocker(): this lock, as one that lock() takes for reading.
    read_locker reader() noexcept;

  private:
    // Parts of state_; their meaning is in sync/src/rw_mutex.cpp.
    static constexpr std::uint64_t writer = 1;
    static constexpr std::uint64_t waiters = 2;
    static constexpr std::uint64_t woken = 4;
    static constexpr std::uint64_t spread = 8;
    static constexpr std::uint64_t folding = 16;
    static constexpr std::uint64_t homed = 32;
    static constexpr std::uint64_t home_unit = 256;
    static constexpr std::uint64_t home_mask = 4095 * home_unit;
    static constexpr std::uint64_t one_reader = std::uint64_t{1} << 32;
    static constexpr std::uint64_t below_zero = std::uint64_t{1} << 63;

    static bool asked_to_yield() noexcept {
        return (detail::release_mode.load(detail::memory_order_relaxed) &
                detail::release_attention) != 0;
    }

    static constexpr std::uint64_t at_home_bits = spread | homed | home_mask;
    static constexpr std::uint32_t home_of(std::uint64_t state) noexcept {
        return static_cast<std::uint32_t>((state & home_mask) / home_unit);
    }

    // More readers than there will ever be goroutines; and half of what the count can hold.
    static constexpr std::uint64_t borrowed = one_reader << 30;

    // Readers in a row. A writer that has them gathered takes 2 us, and each of so many has saved 5 ns.
    static constexpr std::uint32_t spread_after = 4096;
    // After so many it is looked whether a writer has come.
    static constexpr std::uint32_t look_after = 512;
    // A writer has come since the last look.
    static constexpr std::uint32_t wrote = std::uint32_t{1} << 31;

    // The state that a writer leaves: free, or as it was where he came from.
    std::uint64_t at_rest() const noexcept {
        static_assert(spread << 59 == borrowed);
        return rest_ | (rest_ & spread) << 59;
    }

    friend struct detail::rw_mutex_probe;

    bool enter_slot() noexcept;
    bool leave_slot() noexcept;
    static bool is_open(std::uint64_t state, std::uint32_t proc) noexcept;
    void spread_readers() noexcept;
    bool make_slots() noexcept;
    void spread_to_all() noexcept;
    void spread_at_home() noexcept;
    bool write_at_home(std::uint64_t& seen) noexcept;
    std::uint64_t gather_readers() noexcept;
    void fold() noexcept;
    void drop_slots() noexcept;

    void lock_slow();
    void unlock_slow();
    void lock_shared_slow();
    void unlock_shared_slow(std::uint64_t after);
    bool announce(std::uint64_t& seen, std::uint64_t no_more) noexcept;
    void wait_for_readers(detail::addr_waiter& w, std::uint64_t seen);
    void release();
    detail::addr_waiter* let_go(detail::wait_bucket& b, std::uint64_t seen,
                                const detail::addr_waiter* next);
    detail::addr_waiter* hand_over(detail::wait_bucket& b, detail::addr_waiter*& next);
    detail::addr_waiter* admit(detail::wait_bucket& b, std::uint64_t seen);
    const void* queued_readers() const noexcept;
    const void* waiting_writer() const noexcept;

    detail::atomic<std::uint64_t> state_{0};
    std::int32_t admitted_ = 0;
    std::int32_t leaving_ = 0;
    // Readers that have counted themselves in state_, and `wrote`.
    detail::atomic<std::uint32_t> reads_{0};
    // Whose `writer` is, his: spread, homed and the home, if he came from there.
    std::uint32_t rest_ = 0;
    detail::atomic<detail::reader_slots*> slots_{nullptr};
};

/// A view of a rw_mutex that locks it for reading. Meets Lockable; as cheap to copy as a reference.
class read_locker {
  public:
    explicit read_locker(rw_mutex& m) noexcept : m_(&m) {}
    void lock() { m_->lock_shared(); }
    bool try_lock() noexcept { return m_->try_lock_shared(); }
    void unlock() { m_->unlock_shared(); }

  private:
    rw_mutex* m_;
};

inline read_locker rw_mutex::reader() noexcept { return read_locker(*this); }

}  // namespace vole
