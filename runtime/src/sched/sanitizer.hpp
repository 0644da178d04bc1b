// What ASan and TSan must be told about stack switches. Empty in other builds.
//
// ASan: the bounds of the stack that is entered and the fake stack of the one that is left (none
// when it is left for good). TSan: one fiber per goroutine that has a stack; the switch
// is announced as ordered (flag 0), because the fields of an M pass from fiber to fiber of one
// thread. That hides races between two goroutines that only ever run one after the other on one
// thread; with two Ps they run on two.
//
// Everything between tell_leave and the switch must not be instrumented: the callers are marked
// VOLE_NO_TSAN.
#pragma once

#include "runtime/src/sched/sched.hpp"

#if defined(VOLE_TSAN)
#define VOLE_NO_TSAN __attribute__((no_sanitize("thread")))
#else
#define VOLE_NO_TSAN
#endif

#if defined(VOLE_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#elif defined(VOLE_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

namespace vole::inline v0::detail {

#if defined(VOLE_ASAN)

inline void tell_leave(M* m, G* from, bool for_good, G* to) noexcept {
    void** save = for_good ? nullptr : from != nullptr ? &from->sanitizer : &m->sanitizer;
    if (to != nullptr) {
        __sanitizer_start_switch_fiber(save, to->stack->lo, to->stack->bytes);
    } else {
        __sanitizer_start_switch_fiber(save, m->stack_bottom, m->stack_bytes);
    }
}
inline void tell_arrived(M* m, G* now) noexcept {
    __sanitizer_finish_switch_fiber(now != nullptr ? now->sanitizer : m->sanitizer, nullptr,
                                    nullptr);
}
inline void tell_new_stack(G* g) noexcept {
    g->sanitizer = nullptr;
    __asan_unpoison_memory_region(g->stack->lo, g->stack->bytes);
}
// Its memory may be unmapped, and its addresses become a thread's stack.
inline void tell_dead_stack(G* g) noexcept {
    __asan_unpoison_memory_region(g->stack->lo, g->stack->bytes);
}
// Coroutines: both stacks are the same goroutine's.
struct coroutine_sanitizer {
    void* unused;
};
inline void tell_new_coroutine(coroutine_sanitizer&, const stack_segment* s) noexcept {
    __asan_unpoison_memory_region(s->lo, s->bytes);
}
inline void tell_dead_coroutine(coroutine_sanitizer&, const stack_segment* s) noexcept {
    __asan_unpoison_memory_region(s->lo, s->bytes);
}
inline void exchange_sanitizer(G*, coroutine_sanitizer&) noexcept {}
/// `save`: of the side that is left; null: for good.
inline void tell_change(void** save, const G* g) noexcept {
    __sanitizer_start_switch_fiber(save, g->stack->lo, g->stack->bytes);
}
inline void tell_changed(void* saved) noexcept {
    __sanitizer_finish_switch_fiber(saved, nullptr, nullptr);
}
// Frames that are unwound by force do not clear their red zones; exceptions are known to ASan.
inline void tell_unwinding() noexcept { __asan_handle_no_return(); }

// A call on another stack, which comes back. ASan believes that we are where it last was told; this tells it, on the new
// stack already. When an exception leaves, frames on both stacks have not cleared their red zones: ASan does that on
// throwing, but for one stack.
class asan_visit {
  public:
    asan_visit(const void* lo, std::size_t bytes) noexcept : here_(lo), here_bytes_(bytes) {
        __sanitizer_start_switch_fiber(&fake_stack_, lo, bytes);
        __sanitizer_finish_switch_fiber(nullptr, &before_, &before_bytes_);
    }
    ~asan_visit() {
        if (!returned_) {
            __asan_unpoison_memory_region(here_, here_bytes_);
            __asan_unpoison_memory_region(before_, before_bytes_);
        }
        __sanitizer_start_switch_fiber(nullptr, before_, before_bytes_);
        __sanitizer_finish_switch_fiber(fake_stack_, nullptr, nullptr);
    }
    asan_visit(const asan_visit&) = delete;
    asan_visit& operator=(const asan_visit&) = delete;
    void returned() noexcept { returned_ = true; }

  private:
    const void* here_;
    std::size_t here_bytes_;
    void* fake_stack_ = nullptr;
    const void* before_ = nullptr;
    std::size_t before_bytes_ = 0;
    bool returned_ = false;
};
struct foreign_call {
    void (*fn)(void*);
    void* arg;

    void make(const void* lo, std::size_t bytes) const {
        asan_visit visit(lo, bytes);
        fn(arg);
        visit.returned();
    }
};
inline void tell_thread(M* m) noexcept {
    pthread_attr_t attr;
    void* lo = nullptr;
    std::size_t bytes = 0;
    if (pthread_getattr_np(pthread_self(), &attr) == 0) {
        pthread_attr_getstack(&attr, &lo, &bytes);
        pthread_attr_destroy(&attr);
    }
    m->stack_bottom = lo;
    m->stack_bytes = bytes;
    m->sanitizer = nullptr;
}

#elif defined(VOLE_TSAN)

VOLE_NO_TSAN inline void tell_leave(M* m, G*, bool, G* to) noexcept {
    __tsan_switch_to_fiber(to != nullptr ? to->sanitizer : m->sanitizer, 0);
}
VOLE_NO_TSAN inline void tell_arrived(M*, G*) noexcept {}
// Making a fiber takes TSan 200 us: they are reused (sanitizer.cpp). For that a goroutine must leave
// nothing on its fiber's shadow stack: what does not return on its way out is VOLE_NO_TSAN too.
void* take_fiber(const G* g) noexcept;
void give_fiber(void* fiber) noexcept;
inline void tell_new_stack(G* g) noexcept { g->sanitizer = take_fiber(g); }
inline void tell_dead_stack(G* g) noexcept {
    give_fiber(g->sanitizer);
    g->sanitizer = nullptr;
}
struct coroutine_sanitizer {
    void* fiber;
};
// Of the goroutine that makes it.
inline void tell_new_coroutine(coroutine_sanitizer& c, const stack_segment*) noexcept {
    c.fiber = take_fiber(running_g());
}
inline void tell_dead_coroutine(coroutine_sanitizer& c, const stack_segment*) noexcept {
    give_fiber(c.fiber);
}
VOLE_NO_TSAN inline void exchange_sanitizer(G* g, coroutine_sanitizer& c) noexcept {
    void* other = c.fiber;
    c.fiber = g->sanitizer;
    g->sanitizer = other;
}
VOLE_NO_TSAN inline void tell_change(void**, const G* g) noexcept {
    __tsan_switch_to_fiber(g->sanitizer, 0);
}
VOLE_NO_TSAN inline void tell_changed(void*) noexcept {}
inline void tell_unwinding() noexcept {}
inline void tell_thread(M* m) noexcept { m->sanitizer = __tsan_get_current_fiber(); }

#else

inline void tell_leave(M*, G*, bool, G*) noexcept {}
inline void tell_arrived(M*, G*) noexcept {}
inline void tell_new_stack(G*) noexcept {}
inline void tell_dead_stack(G*) noexcept {}
struct coroutine_sanitizer {};
inline void tell_new_coroutine(coroutine_sanitizer&, const stack_segment*) noexcept {}
inline void tell_dead_coroutine(coroutine_sanitizer&, const stack_segment*) noexcept {}
inline void exchange_sanitizer(G*, coroutine_sanitizer&) noexcept {}
inline void tell_change(void**, const G*) noexcept {}
inline void tell_changed(void*) noexcept {}
inline void tell_unwinding() noexcept {}
inline void tell_thread(M*) noexcept {}

#endif

}  // namespace vole::detail
