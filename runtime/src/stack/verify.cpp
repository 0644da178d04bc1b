// See verify.hpp.
#include "runtime/src/stack/verify.hpp"

#include <sys/mman.h>

#include <cerrno>

#include "runtime/internal/fatal.hpp"
#include "runtime/src/os/settings.hpp"
#include "runtime/src/sched/sched.hpp"

namespace vole::inline v0::detail {

namespace {

struct abandoned {
    std::uintptr_t lo, hi;
    std::uintptr_t new_hi;  // where hi has gone
    std::uint64_t goroutine;
    std::uint32_t copy;
};

constexpr std::uint32_t most = 4096;  // mappings; the oldest are given up first
constinit abandoned table[most];
constinit atomic<std::uint32_t> count{0};  // ever; the last `most` of them are in the table

}  // namespace

bool keeps_abandoned_stacks() noexcept { return debug_settings().stackverify; }

void abandon_stack(const G* g, stack_segment* old, const stack_segment* fresh) noexcept {
    // Slabs share pages with others: in this mode every stack of the policy is a mapping (attach).
    const std::uintptr_t lo = reinterpret_cast<std::uintptr_t>(old->lo);
    const std::uintptr_t hi = reinterpret_cast<std::uintptr_t>(old->end());
    const std::uint32_t n = count.load(memory_order_relaxed);
    abandoned& slot = table[n % most];
    const int saved = errno;
    if (n >= most) munmap(reinterpret_cast<void*>(slot.lo), slot.hi - slot.lo);
    mprotect(old->lo, hi - lo, PROT_NONE);
    errno = saved;
    slot = {lo, hi, reinterpret_cast<std::uintptr_t>(fresh->end()), g->id, fresh->copies};
    // release: the handler on another thread sees the entry whole.
    count.store(n + 1, memory_order_release);
}

bool explain_abandoned(std::uintptr_t address) noexcept {
    const std::uint32_t n = count.load(memory_order_acquire);
    for (std::uint32_t i = 0; i < n && i < most; ++i) {
        const abandoned& a = table[(n - 1 - i) % most];
        if (address < a.lo || address >= a.hi) continue;
        message text;
        text << "runtime: stale address ";
        text.hex(address) << " into a stack that goroutine " << a.goroutine << " has left (growth "
                          << std::uint64_t{a.copy} << ")\nruntime: it was [";
        text.hex(a.lo) << ", ";
        text.hex(a.hi) << "], the word moved to ";
        text.hex(address - a.hi + a.new_hi)
            << "\nruntime: something outside the stack has kept its address: policy copying is for "
               "code that does not do that";
        fatal("stale pointer into a copied stack", text.c_str());
    }
    return false;
}

}  // namespace vole::detail
