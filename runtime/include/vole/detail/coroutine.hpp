// How a coroutine's body gets onto its stack, and values from one side to the other: the non-template seam
// between the templates of <vole/coro.hpp> and <vole/iter.hpp> and runtime/src/coro.
//
// Values stay where they are: each side leaves the address of one on its own stack, and the other takes it
// before it switches back.
#pragma once

#include <cstddef>
#include <exception>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include <vole/config.hpp>
#include <vole/detail/atomic.hpp>

namespace vole::inline v0::detail {

/// Which texts misuse is reported with.
enum class coroutine_kind : unsigned char { coro, pull };

/// What both sides see of a coroutine. The runtime's part lies behind it.
struct coroutine {
    void* value = nullptr;  // what the side that runs now was given
    bool thrown = false;    // to the body: a std::exception_ptr, which its yield shall throw
    coroutine_kind kind = coroutine_kind::coro;
    bool started = false;      // the body has begun
    bool stopping = false;     // no yield switches any more
    bool told = false;         // and one has said so
    bool done = false;         // the body has ended, or will never begin
    bool shared_turn = false;  // see runtime/src/coro/coroutine.hpp
    atomic<bool> inside{false};
};

/// What can be done with a body: one for each type of it.
struct body_type {
    void (*run)(void* body, coroutine* self);
    void (*destroy)(void* body);
    std::size_t size;
    std::size_t align;
};

/// A body takes at most this of its own stack, and no greater alignment.
inline constexpr std::size_t most_body_bytes = 16 * 1024;
inline constexpr std::size_t most_body_align = 64;

struct coroutine_ticket {
    coroutine* self;
    void* storage;  // for the body
};
/// Throws std::bad_alloc; nothing is left behind. From any thread.
coroutine_ticket coroutine_make(const body_type* type, coroutine_kind kind);
/// The body could not be constructed.
void coroutine_abandon(coroutine* c) noexcept;

/// Gives the body a value and lets it run until it yields or ends (`done`); the caller has the turn then, until end_turn or
/// coroutine_finish. Runtime errors: misuse; then nothing has happened.
void coroutine_enter(coroutine* c, void* value);
/// The same, but its yield throws *e.
void coroutine_throw_into(coroutine* c, std::exception_ptr* e);
/// The turn in which the body has ended. Throws what left it; gives false.
bool coroutine_finish(coroutine* c);
/// True: it has yielded a value, and the caller has the turn until end_turn; false: it has ended. Throws as the two above.
[[nodiscard]] inline bool coroutine_resume(coroutine* c, void* value = nullptr) {
    coroutine_enter(c, value);
    if (c->done) [[unlikely]]
        return coroutine_finish(c);
    return true;
}
void coroutine_end_shared_turn(coroutine* c) noexcept;
/// The value has been taken, or is not for others to take. release: whoever has the next turn sees it.
inline void end_turn(coroutine* c) noexcept {
    if (c->shared_turn) [[unlikely]] {
        coroutine_end_shared_turn(c);
    } else {
        c->inside.store(false, memory_order_release);
    }
}
/// Takes the value that was yielded.
template <class T>
std::optional<T> take_yielded(coroutine* c) {
    struct end {
        coroutine* c;
        ~end() { end_turn(c); }
    } at_end{c};
    return std::optional<T>(std::move(*static_cast<T*>(c->value)));
}
/// The body's side of coroutine_enter.
void coroutine_leave(coroutine* c, void* value);
/// False, without a switch: the coroutine is being stopped.
inline bool coroutine_yield(coroutine* c, void* value) {
    if (c->stopping) return false;
    coroutine_leave(c, value);
    return !c->stopping;
}
/// Makes the body end, which it does if it believes its yield, and throws what left it. No effect at the second time.
void coroutine_stop(coroutine* c);
/// Stops it. What leaves the body is reported as an uncaught panic is.
void coroutine_destroy(coroutine* c) noexcept;

[[noreturn]] void throw_exited_coroutine();
[[noreturn]] void throw_continued_range();

/// Owns a coroutine.
class coroutine_owner {
  public:
    template <class Body, class... Init>
    static coroutine_owner make(coroutine_kind kind, Init&&... init) {
        static_assert(sizeof(Body) <= most_body_bytes,
                      "the function object is too large for a coroutine's stack: let it refer to "
                      "what it needs");
        static_assert(alignof(Body) <= most_body_align,
                      "the function object is aligned to more than a coroutine's stack can give");
        static constexpr body_type type{
            [](void* body, coroutine* self) { (*static_cast<Body*>(body))(self); },
            [](void* body) { static_cast<Body*>(body)->~Body(); }, sizeof(Body), alignof(Body)};
        const coroutine_ticket t = coroutine_make(&type, kind);
        if constexpr (std::is_nothrow_constructible_v<Body, Init...>) {
            ::new (t.storage) Body{std::forward<Init>(init)...};
        } else {
            try {
                ::new (t.storage) Body{std::forward<Init>(init)...};
            } catch (...) {
                coroutine_abandon(t.self);
                throw;
            }
        }
        return coroutine_owner(t.self);
    }

    coroutine_owner(coroutine_owner&& other) noexcept : c_(std::exchange(other.c_, nullptr)) {}
    coroutine_owner& operator=(coroutine_owner&& other) noexcept {
        if (this != &other) {
            reset();
            c_ = std::exchange(other.c_, nullptr);
        }
        return *this;
    }
    ~coroutine_owner() { reset(); }

    coroutine* get() const noexcept { return c_; }
    bool done() const noexcept { return c_ == nullptr || c_->done; }

  private:
    explicit coroutine_owner(coroutine* c) noexcept : c_(c) {}
    void reset() noexcept {
        if (c_ != nullptr) coroutine_destroy(c_);
        c_ = nullptr;
    }
    coroutine* c_;
};

/// The body of a coroutine: calls f with something made of the coroutine.
template <class F, class Yielder>
struct body_of {
    F f;
    void operator()(coroutine* self) {
        Yielder yield(self);
        f(yield);
    }
};

}  // namespace vole::detail
