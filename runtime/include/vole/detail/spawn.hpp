// How a callable gets into a new goroutine: the non-template seam between the public templates of
// <vole/runtime.hpp> and the scheduler.
//
// A goroutine's closure is stored inside its G when it is small (inline_closure_bytes), else in one
// heap block. It is invoked and destroyed on the goroutine's own stack.
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <new>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <vole/config.hpp>
#include <vole/detail/callable.hpp>

namespace vole::inline v0 {
struct go_options;
struct options;
}  // namespace vole

namespace vole::inline v0::detail {

struct G;

inline constexpr std::size_t inline_closure_bytes = 48;
inline constexpr std::size_t inline_closure_align = 16;

/// A G that is being made: storage for its closure, to be filled before commit.
struct spawn_ticket {
    G* g;
    void* storage;
};

/// Throws std::bad_alloc when no G, closure block or stack can be had; nothing is left behind.
spawn_ticket spawn_begin(const go_options& opts, std::size_t size, std::size_t align);
void spawn_abort(spawn_ticket t) noexcept;
/// What can be done with a closure: one for each type of it.
struct closure_type {
    void (*invoke)(void* closure);
    void (*destroy)(void* closure);  ///< null: nothing to do
};
/// Makes the goroutine runnable. Where this returns to is kept as the place of its creation, so every
/// function between the program and this is inlined.
void spawn_commit(spawn_ticket t, const closure_type* type) noexcept;

[[noreturn]] void throw_nil_func();

/// Runs fn(arg) as a main goroutine and waits for it on the calling thread. Gives what left it.
std::exception_ptr run_main(const options& opts, void (*fn)(void*), void* arg);

template <class F, class... A>
struct bound_call {
    F f;
    std::tuple<A...> args;
    void operator()() {
        std::apply([this](A&... a) { std::invoke(std::move(f), std::move(a)...); }, args);
    }
};

template <class C>
inline constexpr closure_type closure_type_of{
    [](void* c) { std::invoke(std::move(*static_cast<C*>(c))); },
    std::is_trivially_destructible_v<C> ? nullptr : +[](void* c) { static_cast<C*>(c)->~C(); }};

template <class C, class... Init>
[[gnu::always_inline]] inline void spawn(const go_options& opts, Init&&... init) {
    spawn_ticket t = spawn_begin(opts, sizeof(C), alignof(C));
    if constexpr (std::is_nothrow_constructible_v<C, Init...>) {
        ::new (t.storage) C{std::forward<Init>(init)...};
    } else {
        try {
            ::new (t.storage) C{std::forward<Init>(init)...};
        } catch (...) {
            spawn_abort(t);
            throw;
        }
    }
    spawn_commit(t, &closure_type_of<C>);
}

}  // namespace vole::detail
