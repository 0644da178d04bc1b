// read_stats and num_goroutine: sums over the Ps. Stack: any; no lock but for the counts of threads.
#include <vole/runtime.hpp>

#include "runtime/src/sched/sched.hpp"

namespace vole::inline v0::detail {

std::uint64_t count_goroutines() noexcept {
    // Ended first: a goroutine that is created and ends meanwhile must not make the sum negative.
    std::uint64_t ended = 0;
    std::uint64_t created = 0;
    for (const auto& slot : sched.all_ps) {
        const P* p = slot.load(memory_order_acquire);
        if (p == nullptr) break;
        ended += p->stats.ended.load(memory_order_acquire);
    }
    for (const auto& slot : sched.all_ps) {
        const P* p = slot.load(memory_order_acquire);
        if (p == nullptr) break;
        created += p->stats.created.load(memory_order_acquire);
    }
    created += sched.created.load(memory_order_acquire);
    return created - ended;
}

}  // namespace vole::detail

namespace vole::inline v0 {

namespace {
preempt::counts read_preempt_counts() noexcept {
    using namespace detail;
    const preempt_totals& t = preempt_total;
    const auto read = [](const atomic<std::uint64_t>& n) { return n.load(memory_order_relaxed); };
    const auto refused = [&](refusal why) {
        return read(t.refusals[static_cast<std::size_t>(why)]);
    };
    return {.requests = read(t.requests),
            .yields = read(t.yields),
            .signals_sent = read(t.signals_sent),
            .signals_seen = read(t.signals_seen),
            .freezes = read(t.freezes),
            .injections = read(t.injections),
            .refused_request = refused(refusal::request),
            .refused_runtime = refused(refusal::runtime),
            .refused_stack = refused(refusal::stack),
            .refused_code = refused(refusal::code),
            .refused_handler = refused(refusal::handler),
            .refused_work = refused(refusal::work),
            .refused_thread = refused(refusal::thread),
            .refused_cap = refused(refusal::cap),
            .refused_elsewhere = refused(refusal::elsewhere),
            .passed_on = read(t.passed_on),
            .detached_blocked = read(t.detached_blocked),
            .detached_running = read(t.detached_running),
            .returns = read(t.returns),
            .interrupted_calls = read(t.interrupted_calls),
            .frozen = frozen_threads(),
            .most_frozen = read(t.most_frozen)};
}
}  // namespace

std::size_t num_goroutine() { return detail::count_goroutines(); }

runtime_stats read_stats() {
    using namespace detail;
    const runtime_pin pin;
    runtime_stats s{};
    s.goroutines = count_goroutines();
    s.goroutines_created = sched.created.load(memory_order_relaxed);
    s.coroutines = sched.coroutines.load(memory_order_relaxed);
    for (const auto& slot : sched.all_ps) {
        const P* p = slot.load(memory_order_acquire);
        if (p == nullptr) break;
        s.goroutines_created += p->stats.created.load(memory_order_relaxed);
        s.switches += p->stats.switches.load(memory_order_relaxed);
        s.direct_switches += p->stats.direct.load(memory_order_relaxed);
        s.steals += p->stats.steals.load(memory_order_relaxed);
        s.stolen += p->stats.stolen.load(memory_order_relaxed);
        s.global_pops += p->stats.global_pops.load(memory_order_relaxed);
        s.object_cache_hits += p->stats.object_hits.load(memory_order_relaxed);
        s.object_cache_misses += p->stats.object_misses.load(memory_order_relaxed);
    }
    {
        lock_guard held(sched.mu);
        s.threads = sched.m_count;
    }
    s.threads_created = sched.threads_created.load(memory_order_relaxed);
    s.procs = sched.procs.load(memory_order_relaxed);
    s.idle_procs = sched.idle_p_count.load(memory_order_relaxed);
    s.preempt = read_preempt_counts();
    s.handoffs = sched.handoffs.load(memory_order_relaxed);
    s.retakes = sched.retakes.load(memory_order_relaxed);
    const stack_totals stacks = read_stack_totals();
    s.stack_slots = stacks.slots;
    s.stack_slots_in_use = stacks.slots_in_use;
    s.stack_bytes_reserved = stacks.bytes_reserved;
    s.stack_bytes_in_use = stacks.bytes_in_use;
    s.stack_growths = sched.stack_growths.load(memory_order_relaxed);
    s.stack_copies = sched.stack_copies.load(memory_order_relaxed);
    s.stack_shrinks = sched.stack_shrinks.load(memory_order_relaxed);
    s.stack_largest = sched.stack_largest.load(memory_order_relaxed);
    s.stack_bytes_given_back = sched.stack_bytes_given_back.load(memory_order_relaxed);
    s.object_cache_misses += objects_taken_without_p();
    s.object_cache_bytes = object_cache_bytes();
    s.futex_sleeps = sched.futex_sleeps.load(memory_order_relaxed);
    s.futex_wakes = sched.futex_wakes.load(memory_order_relaxed);
    s.maxprocs_updates = sched.maxprocs_updates.load(memory_order_relaxed);
    return s;
}

}  // namespace vole
