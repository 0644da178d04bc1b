// See dynamic.hpp.
#include "runtime/src/stack/dynamic.hpp"

#include <cerrno>
#include <cstdlib>

#include "runtime/internal/os.hpp"
#include "runtime/src/sched/sched.hpp"
#include "runtime/src/stack/grow.hpp"

namespace vole::inline v0::detail {

namespace {

struct request {
    G* g;
    std::size_t bytes;
    const char* owner;
    void* answer;
};

void free_from(dynamic_block* b) noexcept {
    const int saved = errno;
    while (b != nullptr) {
        dynamic_block* after = b->next;
        std::free(b);
        b = after;
    }
    errno = saved;
}

// Frames lie below those that called them: a block of a frame below the one that asks now is dead.
void free_dead(stack_segment* s, const char* owner) noexcept {
    dynamic_block* dead = nullptr;
    for (dynamic_block** at = &s->dynamic; *at != nullptr;) {
        dynamic_block* b = *at;
        if (b->owner < owner) {
            *at = b->next;
            b->next = dead;
            dead = b;
        } else {
            at = &b->next;
        }
    }
    free_from(dead);
}

void allocate(void* arg) noexcept {
    auto* r = static_cast<request*>(arg);
    stack_segment* s = r->g->stack;
    free_dead(s, r->owner);
    if (r->bytes > stack_limit || stack_bytes(r->g) + r->bytes > stack_limit) {
        report_stack_limit(r->g, stack_bytes(r->g) + r->bytes);
    }
    constexpr std::size_t align = 64;
    const std::size_t whole =
        (sizeof(dynamic_block) + align + r->bytes + align - 1) / align * align;
    const int saved = errno;
    auto* b = static_cast<dynamic_block*>(os::aligned_alloc(align, whole));
    errno = saved;
    if (b == nullptr) report_no_stack_memory(r->g, r->bytes);
    b->next = s->dynamic;
    b->owner = r->owner;
    b->bytes = whole;
    s->dynamic = b;
    r->answer = reinterpret_cast<char*>(b) + align;
}

}  // namespace

void free_dynamic(stack_segment* s) noexcept {
    dynamic_block* b = s->dynamic;
    s->dynamic = nullptr;
    free_from(b);
}

std::size_t dynamic_bytes(const stack_segment* s) noexcept {
    std::size_t sum = 0;
    for (const dynamic_block* b = s->dynamic; b != nullptr; b = b->next) sum += b->bytes;
    return sum;
}

}  // namespace vole::detail

extern "C" {

// Called by instrumented code; the size is already rounded up by the compiler.
__attribute__((visibility("hidden"))) void* __morestack_allocate_stack_space(std::size_t bytes);
void* __morestack_allocate_stack_space(std::size_t bytes) {
    using namespace vole::detail;
    request r{current_g(), bytes, static_cast<const char*>(__builtin_frame_address(0)), nullptr};
    on_g0(allocate, &r);
    return r.answer;
}

// From __morestack, on g0, when a segment with blocks is left.
__attribute__((visibility("hidden"))) void vole_free_dynamic(vole::detail::stack_segment* s);
void vole_free_dynamic(vole::detail::stack_segment* s) { vole::detail::free_dynamic(s); }
}
