// In the place of the runtime's own: who parks sleeps in the model, once its commit has run.
#pragma once

#include <cstdint>

#include "runtime/internal/entry.hpp"
#include "runtime/internal/g.hpp"
#include "runtime/internal/g_list.hpp"
#include "runtime/internal/lock.hpp"

namespace vole::inline v0::detail {

using park_commit = void (*)(G*, void*);

struct stack_move {
    void (*copy)(stack_move& self) noexcept;
    bool leaves(const void*) const noexcept { return false; }
    template <class T>
    T* moved(T* p) const noexcept {
        return p;
    }
};
struct parked_waiter;
struct waiter_kind {
    bool (*move)(const parked_waiter* self, stack_move& mv) noexcept;
    std::uint32_t object;
    std::uint32_t count = 0;
    std::uint32_t stride = 0;
};
struct parked_waiter {
    const waiter_kind* kind;
};

/// Of the calling thread.
G* modelled_g() noexcept;

inline void park(G* g, park_commit commit, void* arg, wait_reason, const parked_waiter* = nullptr) {
    commit(g, arg);
    weak_memory::sleep(g);
}
inline void park_unlock(G* g, lock& l, wait_reason, const parked_waiter* = nullptr)
    VOLE_RELEASE(l) {
    l.release();
    weak_memory::sleep(g);
}
inline void ready(G* g, bool = true) { weak_memory::wake(g); }
inline void ready_quietly(G* g) { weak_memory::wake(g); }
inline void make_runnable(G* g, g_list& runnable) noexcept { runnable.push_back(g); }
inline bool may_park() noexcept { return true; }
inline void yield_to_others() { weak_memory::yield(); }
inline std::uint32_t fast_random() noexcept { return 1; }
inline bool can_spin(int) noexcept { return false; }
inline void spin_once() noexcept {}
inline void spin_or_yield(int) noexcept { weak_memory::yield(); }

class park_scope {
  public:
    park_scope() noexcept : g_(modelled_g()) {}
    G* g() noexcept { return g_; }

  private:
    G* g_;
};

}  // namespace vole::detail
