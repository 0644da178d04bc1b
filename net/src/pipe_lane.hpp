// One direction of net::pipe(): bytes go straight from the writer's memory into the reader's.
//
// Readers and writers queue in the order in which they came. The first writer stays the first until all that it brought has
// been read, so writes do not mix; the first reader leaves with what the first writer has, at least a byte.
//
// The turn. `busy`: somebody is bringing the first reader and the first writer together. Bytes are copied without the lock
// and outside of the runtime, for there may be many, and the memory may be one that has to be fetched; so both are
// *claimed* meanwhile: who closes, or whose deadline passes, leaves word with them (`told`, `failure`) and does not
// remove them. Who has the turn is one of these two. When he is through, and there still is a pair, he gives the turn
// to the writer, which can serve all the readers there are; it stays claimed from then on.
//
// Invariants while the lock is free:
//  - not busy: one of the queues is empty, and nobody is claimed;
//  - whoever is queued and not claimed is parked, or about to be, with his queue's lock held until he is;
//  - a waiter is readied once: when it has left its queue, or with the turn. Then its `g` is null.
//
// A write of no bytes is over when there is a reader, and the reader goes on waiting: a read of 0 bytes would tell him that
// the stream is at its end.
//
// Waiters lie on the waiting stacks, and point into memory that may lie there, too: they have no kind that would allow
// these stacks to be moved.
//
// Lock: mu, rank chan, one at a time. Stack: goroutine, or an ordinary thread's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <vole/net/error.hpp>

#include "runtime/internal/lock.hpp"
#include "runtime/internal/park.hpp"

namespace vole::inline v0::detail {

inline constexpr net::errc no_failure{};

/// One read or write.
struct pipe_waiter {
    explicit pipe_waiter(std::span<std::byte> to) noexcept
        : writes(false), at(to.data()), left(to.size()) {}
    explicit pipe_waiter(std::span<const std::span<const std::byte>> from) noexcept
        : writes(true), rest(from) {
        skip_empty();
    }

    const bool writes;
    bool claimed = false;
    bool told = false;  // claimed, and is to leave unless it gets what it wants
    bool over = false;  // it has left its queue
    net::errc failure = no_failure;
    G* g = nullptr;  // parked
    pipe_waiter* prev = nullptr;
    pipe_waiter* next = nullptr;
    pipe_waiter* woken = nullptr;  // in a pipe_wake

    // What is still to be read or written. The one who copies changes it, without the lock.
    const std::byte* at = nullptr;
    std::size_t left = 0;  // of the piece; 0: of all
    std::span<const std::span<const std::byte>> rest;
    std::size_t moved = 0;

    void advance(std::size_t n) noexcept {
        at += n;
        left -= n;
        moved += n;
        skip_empty();
    }

  private:
    void skip_empty() noexcept {
        for (; left == 0 && !rest.empty(); rest = rest.subspan(1)) {
            at = rest.front().data();
            left = rest.front().size();
        }
    }
};

/// Those who are to be readied once the lock is free.
class pipe_wake {
  public:
    [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
    /// No effect if it is not parked.
    void add(pipe_waiter* w) noexcept {
        if (w->g == nullptr) return;
        w->woken = nullptr;
        *end_ = w;
        end_ = &w->woken;
    }
    /// Readies them, and is empty. Inside the runtime, without locks.
    void ready_all() noexcept;

    pipe_wake() noexcept = default;
    pipe_wake(const pipe_wake&) = delete;
    pipe_wake& operator=(const pipe_wake&) = delete;

  private:
    pipe_waiter* first_ = nullptr;
    pipe_waiter** end_ = &first_;
};

/// All who read, or all who write.
struct pipe_side {
    enum class state : std::uint8_t { open, shut, closed };

    pipe_waiter* first = nullptr;
    pipe_waiter* last = nullptr;
    state is = state::open;
    // The deadline: pipe_end.cpp.
    bool late = false;          // it has passed
    bool timed = false;         // there has been one
    std::uint32_t version = 0;  // changes with `when`
    std::int64_t when = 0;      // by the clock of where the pipe was made; 0: none that is ahead

    void push(pipe_waiter* w) noexcept {
        w->prev = last;
        (last != nullptr ? last->next : first) = w;
        last = w;
    }
    void remove(pipe_waiter* w) noexcept {
        (w->prev != nullptr ? w->prev->next : first) = w->next;
        (w->next != nullptr ? w->next->prev : last) = w->prev;
    }
};

class pipe_lane {
  public:
    lock mu{lock_rank::chan};
    std::uint32_t bubble = 0;  // where it was made; 0: outside of all
    pipe_side readers VOLE_GUARDED_BY(mu);
    pipe_side writers VOLE_GUARDED_BY(mu);

    pipe_side& side(bool of_writers) noexcept VOLE_REQUIRES(mu) {
        return of_writers ? writers : readers;
    }

    /// Does all of it, and waits as long as that takes; or until w->failure is set, or (a read) the stream is at its end.
    void transfer(pipe_waiter& w);

    /// A side ends. Those who wait have to be readied.
    void end(bool of_writers, pipe_side::state how, pipe_wake& woken) noexcept VOLE_REQUIRES(mu);
    /// All of a side fail; no_failure: readers find the end.
    void cancel(pipe_side& s, net::errc failure, pipe_wake& woken) noexcept VOLE_REQUIRES(mu);

    /// Fatal unless the caller belongs to the pipe's bubble, if it has one: "read of" and so on (SYN-40).
    void check_inside(const char* operation) const noexcept {
        if (bubble != 0) [[unlikely]]
            check_bubble(operation);
    }

  private:
    struct pair {
        pipe_waiter* from = nullptr;
        pipe_waiter* to = nullptr;
    };

    void check_bubble(const char* operation) const noexcept;
    bool is_refused(pipe_waiter& w) noexcept VOLE_REQUIRES(mu);
    void leave(pipe_waiter* w, pipe_wake& woken) noexcept VOLE_REQUIRES(mu);
    void end_empty_writes(pipe_wake& woken) noexcept VOLE_REQUIRES(mu);
    void pass_turn(pipe_wake& woken) noexcept VOLE_REQUIRES(mu);
    /// True: it has the turn. False: it is over.
    bool wait(pipe_waiter& w) VOLE_RELEASE(mu);
    /// w has the turn: whom to copy between, or nobody once w is over.
    pair match(pipe_waiter& w, pipe_wake& woken) VOLE_RELEASE(mu);
    pair begin(pipe_waiter& w);
    pair go_on(pipe_waiter& w, const pair& copied);

    bool busy_ VOLE_GUARDED_BY(mu) = false;
};

}  // namespace vole::detail
