// See adapt.hpp.
#include "runtime/src/stack/adapt.hpp"

#include <algorithm>

#include <vole/detail/atomic.hpp>

namespace vole::inline v0::detail {

namespace {

struct place {
    atomic<void (*)(void*)> entry{nullptr};
    atomic<std::uint8_t> kind{0};
    atomic<std::int8_t> score{0};         // outgrown: up by 4; not: down by 1
    atomic<std::uint8_t> probes_good{0};  // in a row
    atomic<std::uint8_t> starts{0};
};

constexpr std::size_t places = 512;
constexpr std::size_t tries = 8;
constexpr int enough = 64;  // 16 that outgrew it, and not four times as many that did not
constexpr int per_probe = 64;
constexpr int good_probes = 4;
constinit place table[places];

place* find(void (*entry)(void*)) noexcept {
    const auto hash = reinterpret_cast<std::uintptr_t>(entry) * 0x9E3779B97F4A7C15u >> 40;
    for (std::size_t i = 0; i < tries; ++i) {
        place& at = table[(hash + i) % places];
        void (*seen)(void*) = at.entry.load(memory_order_relaxed);
        if (seen == entry) return &at;
        if (seen != nullptr) continue;
        if (at.entry.compare_exchange_strong(seen, entry, memory_order_relaxed,
                                             memory_order_relaxed) ||
            seen == entry) {
            return &at;
        }
    }
    return nullptr;
}

}  // namespace

start_choice choose_start(void (*entry)(void*), segment_kind asked) noexcept {
    place* at = find(entry);
    if (at == nullptr) return {asked, false};
    const auto learned = static_cast<segment_kind>(at->kind.load(memory_order_relaxed));
    if (learned <= asked) return {asked, false};
    const auto starts = static_cast<std::uint8_t>(at->starts.load(memory_order_relaxed) + 1);
    at->starts.store(starts, memory_order_relaxed);
    if (starts % per_probe != 0) return {learned, false};
    return {static_cast<segment_kind>(static_cast<int>(learned) - 1), true};
}

void learn_from(void (*entry)(void*), segment_kind kind, bool probe, bool grew) noexcept {
    place* at = find(entry);
    if (at == nullptr) return;
    if (probe) {
        const int good = grew ? 0 : at->probes_good.load(memory_order_relaxed) + 1;
        at->probes_good.store(static_cast<std::uint8_t>(good % good_probes), memory_order_relaxed);
        if (good == good_probes) {
            at->kind.store(static_cast<std::uint8_t>(kind), memory_order_relaxed);
            at->score.store(0, memory_order_relaxed);
        }
        return;
    }
    // One that was started with less than is known by now teaches nothing new.
    if (static_cast<std::uint8_t>(kind) < at->kind.load(memory_order_relaxed)) return;
    int score = at->score.load(memory_order_relaxed) + (grew ? 4 : -1);
    if (score >= enough && kind < segment_kind::kib32) {
        at->kind.store(static_cast<std::uint8_t>(static_cast<int>(kind) + 1), memory_order_relaxed);
        score = 0;
    }
    at->score.store(static_cast<std::int8_t>(std::clamp(score, -enough, enough)),
                    memory_order_relaxed);
}

}  // namespace vole::detail
