// Element types that tell on a container: how many are alive, whether they were copied, what happens when
// a move fails. The counters are process-wide: reset them at the start of a test case.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <stdexcept>

namespace vole::test {

/// Counts what happens to the objects of one type; Tag keeps the types apart.
template <class Tag>
struct census {
    static inline std::atomic<int> live{0};
    static inline std::atomic<int> copies{0};
    static inline std::atomic<int> moves{0};
    static void reset() {
        live = 0;
        copies = 0;
        moves = 0;
    }
};

/// A number whose copies, moves and live instances are counted. Moving takes the number: -1 stays.
class tracked : public census<tracked> {
  public:
    explicit tracked(int v = 0) noexcept : value(v) { ++live; }
    tracked(const tracked& o) noexcept : value(o.value) {
        ++live;
        ++copies;
    }
    tracked(tracked&& o) noexcept : value(o.value) {
        o.value = -1;
        ++live;
        ++moves;
    }
    tracked& operator=(const tracked& o) noexcept {
        value = o.value;
        ++copies;
        return *this;
    }
    tracked& operator=(tracked&& o) noexcept {
        const int v = o.value;
        o.value = -1;
        value = v;
        ++moves;
        return *this;
    }
    ~tracked() { --live; }

    int value;
};

/// The least that an element may offer: no default, no copy, no assignment; only a move.
class move_only : public census<move_only> {
  public:
    explicit move_only(int v) noexcept : value(v) { ++live; }
    move_only(move_only&& o) noexcept : value(o.value) {
        o.value = -1;
        ++live;
        ++moves;
    }
    move_only(const move_only&) = delete;
    move_only& operator=(const move_only&) = delete;
    move_only& operator=(move_only&&) = delete;
    ~move_only() { --live; }

    int value;
};

struct move_failed : std::runtime_error {
    move_failed() : std::runtime_error("move failed") {}
};

/// Its move constructor throws move_failed on the n-th move after arm(n), once, and leaves the source as
/// it was. Not copyable, not assignable.
class throwing_move : public census<throwing_move> {
  public:
    explicit throwing_move(int v) : value(v) { ++live; }
    throwing_move(throwing_move&& o) noexcept(false) : value(burn(o.value)) {
        o.value = -1;
        ++live;
        ++moves;
    }
    throwing_move(const throwing_move&) = delete;
    throwing_move& operator=(const throwing_move&) = delete;
    throwing_move& operator=(throwing_move&&) = delete;
    ~throwing_move() { --live; }

    /// The n-th move from now throws; 0: none.
    static void arm(int n) { fuse = n; }
    static bool armed() { return fuse > 0; }

    int value;

  private:
    static int burn(int v) {
        int left = fuse.load();
        while (left > 0 && !fuse.compare_exchange_weak(left, left - 1)) {
        }
        if (left == 1) throw move_failed();
        return v;
    }
    static inline std::atomic<int> fuse{0};
};

/// Copyable, and both copy and move may throw: by the same fuse for either.
class throwing_copy : public census<throwing_copy> {
  public:
    explicit throwing_copy(int v) : value(v) { ++live; }
    throwing_copy(const throwing_copy& o) : value(burn(o.value)) {
        ++live;
        ++copies;
    }
    ~throwing_copy() { --live; }
    throwing_copy& operator=(const throwing_copy&) = delete;

    static void arm(int n) { fuse = n; }

    int value;

  private:
    static int burn(int v) {
        int left = fuse.load();
        while (left > 0 && !fuse.compare_exchange_weak(left, left - 1)) {
        }
        if (left == 1) throw move_failed();
        return v;
    }
    static inline std::atomic<int> fuse{0};
};

/// An element without a state.
struct nothing {
    friend bool operator==(nothing, nothing) = default;
};

/// Asks for more alignment than operator new gives by default.
struct alignas(64) over_aligned {
    int value = 0;
    /// Whether this object stands where its type wants it.
    bool aligned() const {
        return reinterpret_cast<std::uintptr_t>(this) % alignof(over_aligned) == 0;
    }
};

/// A mebibyte in one element: never on a goroutine's stack, only ever behind a pointer there.
struct large {
    std::array<unsigned char, 1 << 20> bytes{};
};

}  // namespace vole::test
