// See hogs.hpp.
#include "runtime/src/preempt/hogs.hpp"

#include "runtime/src/sched/sanitizer.hpp"

namespace vole::inline v0::detail {

namespace {

struct record {
    void (*entry)(void*);
    int score;
};

constexpr std::size_t records = 64;
constexpr int likely_score = 4;
constexpr int most_score = 32;

// Two functions that share a place forget each other.
constinit record table[records] VOLE_GUARDED_BY(sched.mu) = {};

record& place_of(void (*entry)(void*)) noexcept VOLE_REQUIRES(sched.mu) {
    const auto bits = reinterpret_cast<std::uintptr_t>(entry);
    return table[(bits >> 4 ^ bits >> 12) % records];
}

}  // namespace

void note_frozen(G* g) noexcept {
    if (g->was_frozen) return;
    g->was_frozen = true;
    record& r = place_of(g->closure->invoke);
    if (r.entry != g->closure->invoke) r = {g->closure->invoke, 0};
    r.score = r.score < most_score - 2 ? r.score + 2 : most_score;
}

void note_begun(const G* g) noexcept {
    record& r = place_of(g->closure->invoke);
    if (r.entry == g->closure->invoke && r.score > 0) --r.score;
}

VOLE_NO_TSAN bool is_likely_hog(const G* g) noexcept {
    if (g->sched.sp != nullptr) return false;
    const record& r = place_of(g->closure->invoke);
    return r.entry == g->closure->invoke && r.score >= likely_score;
}

}  // namespace vole::detail
