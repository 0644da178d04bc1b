// See verify.hpp.
#include "runtime/src/stack/verify.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <utility>

#include "runtime/internal/fatal.hpp"
#include "runtime/internal/lock.hpp"
#include "runtime/internal/os.hpp"
#include "runtime/internal/park.hpp"
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
constinit lock mu{lock_rank::arena};
constinit abandoned table[most] = {};
constinit atomic<std::uint32_t> count{0};  // ever; the last `most` of them are in the table

const abandoned* find(std::uintptr_t address, std::uint32_t from, std::uint32_t to) noexcept {
    for (std::uint32_t i = to; i != from; --i) {
        const abandoned& a = table[(i - 1) % most];
        if (address >= a.lo && address < a.hi) return &a;
    }
    return nullptr;
}

}  // namespace

bool keeps_abandoned_stacks() noexcept { return debug_settings().stackverify; }

void abandon_stack(const G* g, stack_segment* old, const stack_segment* fresh) noexcept {
    // Slabs share pages with others: in this mode every stack of the policy is a mapping (attach).
    abandoned entry{reinterpret_cast<std::uintptr_t>(old->lo),
                    reinterpret_cast<std::uintptr_t>(old->end()),
                    reinterpret_cast<std::uintptr_t>(fresh->end()), g->id, fresh->copies};
    const int saved = errno;
    // Nobody reads it again: only its addresses stay taken.
    os::madvise(old->lo, entry.hi - entry.lo, MADV_DONTNEED);
    os::mprotect(reinterpret_cast<void*>(entry.lo), entry.hi - entry.lo, PROT_NONE);
    bool full = false;
    {
        lock_guard held(mu);
        const std::uint32_t n = count.load(memory_order_relaxed);
        full = n >= most;
        std::swap(table[n % most], entry);
        // release: the handler on another thread sees the entry whole.
        count.store(n + 1, memory_order_release);
    }
    errno = saved;
    if (full) unmap_for_good(reinterpret_cast<char*>(entry.lo), entry.hi - entry.lo);
}

bool explain_abandoned(std::uintptr_t address) noexcept {
    // No lock in a signal handler: an entry that is replaced meanwhile gives a wrong number at worst.
    const std::uint32_t n = count.load(memory_order_acquire);
    const std::uint32_t oldest = n > most ? n - most : 0;
    const abandoned* a = find(address, oldest, n);
    if (a == nullptr) return false;
    message text;
    text << "runtime: stale address ";
    text.hex(address) << ": goroutine " << a->goroutine << " has left that stack, [";
    text.hex(a->lo) << ", ";
    text.hex(a->hi) << "), at its growth " << std::uint64_t{a->copy} << "\n";
    // What has moved once may have moved again.
    std::uintptr_t now = address;
    for (const abandoned* at = a; at != nullptr; at = find(now, oldest, n)) {
        now = now - at->hi + at->new_hi;
    }
    text << "runtime: what was there has moved to ";
    text.hex(now) << "\nruntime: ";
    if (const G* g = current_g(); g != nullptr) {
        text << "goroutine " << g->id;
    } else {
        text << "a thread that is no goroutine";
    }
    text << " has used the old address: something outside the stack has kept it (a heap block, a "
            "global, a setjmp buffer)\n"
            "runtime: remedy: policy copying is for code that does not do that "
            "(runtime/src/stack/README.md has the list); else use stack_policy::dense or reserved";
    fatal("stale pointer into a copied stack", text.c_str());
}

}  // namespace vole::detail
