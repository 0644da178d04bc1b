// See unwind.hpp.
#include "runtime/src/trace/unwind.hpp"

#include <unwind.h>

#include "runtime/src/sched/sanitizer.hpp"
#include "runtime/src/sched/sched.hpp"
#include "runtime/src/trace/symbols.hpp"

#if defined(VOLE_HAVE_LIBUNWIND)
#define UNW_LOCAL_ONLY
#include <libunwind.h>
#include <ucontext.h>

#include <algorithm>
#include <cstring>
#endif

namespace vole::inline v0::detail {

namespace {
constexpr std::size_t most_walked = 1u << 20;  // in case that a stack is damaged and has no end
}

#if defined(VOLE_HAVE_LIBUNWIND)

namespace {

// f(pc, exact) for each frame, as long as it gives true; exact: a signal hit there. Memory that cannot be read
// ends it: libunwind looks before it reads.
template <class F>
void walk_from(unw_cursor_t* cursor, bool exact, F f) noexcept {
    do {
        unw_word_t pc = 0;
        unw_get_reg(cursor, UNW_REG_IP, &pc);
        if (pc == 0 || !f(pc, exact)) return;
        exact = unw_is_signal_frame(cursor) > 0;
    } while (unw_step(cursor) > 0);
}

auto adding_to(frame_list& frames) noexcept {
    return [&frames](std::uintptr_t pc, bool exact) {
        frames.add(pc + (exact ? 1 : 0));
        return frames.count() < most_walked;
    };
}

template <class F>
[[gnu::noinline]] void walk_here(F f) noexcept {
    unw_context_t context;
    unw_cursor_t cursor;
    if (unw_getcontext(&context) != 0 || unw_init_local(&cursor, &context) != 0) return;
    walk_from(&cursor, false, f);
}

}  // namespace

[[gnu::noinline]] void walk_own(std::size_t skip, frame_list& frames) noexcept {
    skip += 2;
    walk_here([&, add = adding_to(frames)](std::uintptr_t pc, bool exact) {
        if (skip > 0) {
            --skip;
            return true;
        }
        return add(pc, exact);
    });
}

bool may_allocate() noexcept {
    bool may = true;
    walk_here([&may](std::uintptr_t pc, bool exact) {
        if (exact) may &= is_preemptible(pc);
        return true;
    });
    return may;
}

// Not seen by TSan: GCC lets the caller of fill_unwind_context read what that is given by reference.
VOLE_NO_TSAN void walk_suspended(const arch::gobuf& suspended, const stack_segment*,
                                 frame_list& frames) noexcept {
    unw_context_t context;
    unw_cursor_t cursor;
    if (unw_getcontext(&context) != 0) return;
    arch::this_port::fill_unwind_context(suspended, context);
    if (unw_init_local(&cursor, &context) != 0) return;
    walk_from(&cursor, false, adding_to(frames));
}

void walk_interrupted(const G*, const void* context, frame_list& frames) noexcept {
    // The kernel's ucontext_t is a prefix of what libunwind takes on both architectures.
    unw_context_t copy{};
    std::memcpy(&copy, context, std::min(sizeof(copy), sizeof(ucontext_t)));
    unw_cursor_t cursor;
    if (unw_init_local2(&cursor, &copy, UNW_INIT_SIGNAL_FRAME) != 0) return;
    walk_from(&cursor, true, adding_to(frames));
}

std::size_t frames_within(const void* lo, const void* hi, std::size_t most, std::uintptr_t* pcs,
                          std::size_t room) noexcept {
    unw_context_t context;
    unw_cursor_t cursor;
    if (unw_getcontext(&context) != 0 || unw_init_local(&cursor, &context) != 0) return 0;
    const auto low = reinterpret_cast<std::uintptr_t>(lo);
    const std::uintptr_t bytes = reinterpret_cast<std::uintptr_t>(hi) - low;
    std::size_t n = 0;
    while (n < most && unw_step(&cursor) > 0) {
        unw_word_t pc = 0;
        unw_word_t sp = 0;
        unw_get_reg(&cursor, UNW_REG_IP, &pc);
        unw_get_reg(&cursor, UNW_REG_SP, &sp);
        const bool inside = sp - low < bytes;
        if (pc == 0 || (!inside && n != 0)) break;
        if (!inside) continue;
        if (n < room) pcs[n] = pc;
        ++n;
    }
    return n;
}

#else

// ---- the caller's own stack, by the compiler's unwinder ---------------------------------------

namespace {

struct own_walk {
    frame_list* frames;
    std::size_t skip;
};

_Unwind_Reason_Code at_own_frame(_Unwind_Context* context, void* arg) {
    auto* w = static_cast<own_walk*>(arg);
    int before = 0;
    const auto pc = static_cast<std::uintptr_t>(_Unwind_GetIPInfo(context, &before));
    if (pc == 0) return _URC_END_OF_STACK;
    if (w->skip > 0) {
        --w->skip;
        return _URC_NO_REASON;
    }
    w->frames->add(pc + static_cast<unsigned>(before));
    return w->frames->count() < most_walked ? _URC_NO_REASON : _URC_END_OF_STACK;
}

struct signal_search {
    std::uintptr_t inner = 0;
    bool may = true;
};

// __morestack and the like say of themselves that they are signal frames; they hold no locks.
_Unwind_Reason_Code find_signal_frame(_Unwind_Context* context, void* arg) {
    auto* s = static_cast<signal_search*>(arg);
    int before = 0;
    const auto pc = static_cast<std::uintptr_t>(_Unwind_GetIPInfo(context, &before));
    if (before != 0 && !arch::in_port_code(s->inner)) s->may &= is_preemptible(pc);
    s->inner = pc;
    return pc == 0 ? _URC_END_OF_STACK : _URC_NO_REASON;
}

}  // namespace

[[gnu::noinline]] void walk_own(std::size_t skip, frame_list& frames) noexcept {
    own_walk w{&frames, skip + 1};
    _Unwind_Backtrace(at_own_frame, &w);
}

bool may_allocate() noexcept {
    signal_search s;
    _Unwind_Backtrace(find_signal_frame, &s);
    return s.may;
}

// ---- suspended contexts, by frame pointers ----------------------------------------------------

namespace {

// Each record holds the address of the next one and the address behind the call.
VOLE_NO_TSAN void walk_frame_pointers(const stack_segment* s, std::uintptr_t fp,
                                      frame_list& frames) noexcept {
    struct record {
        std::uintptr_t next;
        std::uintptr_t pc;
    };
    std::uintptr_t low = 0;  // within a segment they lie higher and higher
    while (arch::this_port::keeps_frame_pointers && fp % alignof(record) == 0 &&
           frames.count() < most_walked) {
        const auto* at = reinterpret_cast<const char*>(fp);
        while (s != nullptr && !s->contains(at)) {
            s = s->prev;
            low = 0;
        }
        if (s == nullptr || fp <= low) return;
        const auto* r = reinterpret_cast<const record*>(fp);
        if (r->pc == 0) return;
        frames.add(r->pc);
        low = fp;
        fp = r->next;
    }
}

}  // namespace

void walk_suspended(const arch::gobuf& suspended, const stack_segment* stack,
                    frame_list& frames) noexcept {
    const arch::resume_point at = arch::this_port::resume(suspended);
    frames.add(at.pc);
    walk_frame_pointers(stack, at.fp, frames);
}

void walk_interrupted(const G* g, const void* context, frame_list& frames) noexcept {
    const arch::interrupted_point at = arch::this_port::interrupted(context);
    frames.add(at.pc + 1);
    // A function that calls nobody has no record, nor has one at its very begin: its caller is in the link
    // register. In others that points into themselves, behind their last call.
    if (at.link != 0 && function_begin(at.link - 1) != function_begin(at.pc)) frames.add(at.link);
    walk_frame_pointers(g->stack, at.fp, frames);
}

std::size_t frames_within(const void*, const void*, std::size_t, std::uintptr_t*,
                          std::size_t) noexcept {
    return 0;
}

#endif

}  // namespace vole::detail
