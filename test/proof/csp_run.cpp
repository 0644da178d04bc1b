// How the end is found. A process counts its results, and shows its goroutine.
// At rest is when each has returned or its goroutine is `waiting`, and no
// result has come while we looked at them one after the other. That is enough:
// only a process that runs wakes another, and the operation which does that
// gives it a result after the wake-up and before it can wait itself. So if one
// that we saw waiting was woken later on by one that we then saw waiting too,
// the count differs; and if it was woken before we began to count, we have seen
// that it does not wait. No time is measured, and nothing depends on what the
// model thinks of the program.
#include "test/proof/csp_run.hpp"

#include "test/proof/csp_elements.hpp"
#include "test/proof/csp_generator.hpp"

#include <vole/chan.hpp>
#include <vole/panic.hpp>
#include <vole/runtime.hpp>
#include <vole/select.hpp>

#include "runtime/internal/entry.hpp"
#include "runtime/internal/g.hpp"
#include "runtime/internal/m.hpp"
#include "runtime/src/preempt/preempt.hpp"
#include "runtime/src/stack/reclaim.hpp"
#if defined(VOLE_STACK_COPYING)
#include "test/growth/copying/copying_support.hpp"
#endif
#include "test/support/wait.hpp"

#include <array>
#include <atomic>
#include <cstdio>
#include <memory>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

namespace vole::proof {
namespace {

/// What the inspector sees of a process.
struct process {
    std::atomic<detail::G*> goroutine{nullptr};
    std::atomic<std::uint32_t> results{0};  // of which `events` has as many
    std::atomic<bool> ended{false};
    std::vector<event> events;
};

/// A program under way. Shared, because a process that hangs outlives the run.
template <class T>
struct world {
    program what;
    schedule how;
    std::vector<chan<T>> channels;
    std::array<process, program::most_processes> processes;
    std::atomic<std::size_t> begun{0};
    std::atomic<bool> over{false};  // no further operation is begun

    chan<T> channel(std::uint8_t c) const { return c == nil_channel ? chan<T>() : channels[c]; }
};

/// The panics that a channel has.
template <class F>
event or_panic(F f) {
    try {
        return f();
    } catch (const runtime_error& e) {
        const std::string_view text = e.what();
        if (text == "send on closed channel") return {event_kind::send_panics};
        if (text == "close of closed channel") return {event_kind::close_panics};
        if (text == "close of nil channel") return {event_kind::nil_panics};
        return {event_kind::other};
    }
}

// ---- operations
// -----------------------------------------------------------------------------------------------------

template <class T>
event received(std::optional<T> v, std::uint8_t arm) {
    if (!v) return {event_kind::closed, arm};
    return {event_kind::value, arm, number_of(*v)};
}

template <class T>
event try_receive(const chan<T>& c) {
    recv_result<T> got = c.try_recv();
    if (got.is_empty()) return {event_kind::not_ready};
    if (got.is_closed()) return {event_kind::closed};
    return {event_kind::value, 0, number_of(*got)};
}

/// vole::select with as many arguments as the operation has arms: one more at
/// each level.
template <class T, class... Cases>
event select_now(const world<T>& w, const operation& op, event& result, Cases&... cases) {
    constexpr std::size_t i = sizeof...(Cases);
    if constexpr (i < operation::most_arms) {
        if (i < op.arms) {
            const select_arm& arm = op.arm[i];
            const auto number = static_cast<std::uint8_t>(i + 1);
            if (arm.send) {
                T value = make_element<T>(arm.value);
                auto next = on_send(w.channel(arm.channel), std::move(value), [&] {
                    result = {event_kind::sent, number};
                });
                return select_now(w, op, result, cases..., next);
            }
            auto next = on_recv(w.channel(arm.channel), [&](std::optional<T> v) {
                result = received(std::move(v), number);
            });
            return select_now(w, op, result, cases..., next);
        }
    }
    std::size_t taken = 0;
    if (op.has_default)
        taken = vole::select(cases..., otherwise([&] { result = {event_kind::defaulted}; }));
    else
        taken = vole::select(cases...);
    const std::size_t told = result.kind == event_kind::defaulted ? op.arms : result.arm - 1U;
    return taken == told ? result : event{event_kind::other};
}

template <class T>
event select_by_selector(const world<T>& w, const operation& op) {
    event result{event_kind::other};
    selector s;
    for (std::uint8_t i = 0; i < op.arms; ++i) {
        const select_arm& arm = op.arm[i];
        const auto number = static_cast<std::uint8_t>(i + 1);
        if (arm.send)
            s.send(w.channel(arm.channel), make_element<T>(arm.value), [&result, number] {
                result = {event_kind::sent, number};
            });
        else
            s.recv(w.channel(arm.channel), [&result, number](std::optional<T> v) {
                result = received(std::move(v), number);
            });
    }
    if (op.has_default) s.otherwise([&result] { result = {event_kind::defaulted}; });
    s.select();
    return result;
}

/// All but range, which has several results, and pause, which is none of a
/// channel's.
template <class T>
event perform(const world<T>& w, const operation& op) {
    const chan<T> c = w.channel(op.channel);
    switch (op.kind) {
        case op_kind::send: c.send(make_element<T>(op.value)); return {event_kind::sent};
        case op_kind::recv: return received(c.recv(), 0);
        case op_kind::close: c.close(); return {event_kind::closes};
        case op_kind::try_send:
            return {c.try_send(make_element<T>(op.value)) ? event_kind::sent
                                                          : event_kind::not_ready};
        case op_kind::try_recv: return try_receive(c);
        case op_kind::select: {
            if (w.how.boxed && !w.how.moving) return select_by_selector(w, op);
            event result{event_kind::other};
            return select_now(w, op, result);
        }
        case op_kind::range:
        case op_kind::pause: break;
    }
    return {event_kind::other};
}

// ---- rest
// -----------------------------------------------------------------------------------------------------------

template <class T>
std::uint32_t results_of(const world<T>& w) {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < w.what.processes.size(); ++i)
        sum += w.processes[i].results.load(std::memory_order_acquire);
    return sum;
}

inline constexpr std::size_t nobody = ~std::size_t{0};

/// All but one of them.
template <class T>
bool is_at_rest(const world<T>& w, std::size_t but) {
    const std::uint32_t before = results_of(w);
    for (std::size_t i = 0; i < w.what.processes.size(); ++i) {
        const process& p = w.processes[i];
        if (i == but || p.ended.load(std::memory_order_acquire)) continue;
        const detail::G* g = p.goroutine.load(std::memory_order_acquire);
        if (g == nullptr || g->status.load(std::memory_order_acquire) != detail::g_status::waiting)
            return false;
    }
    return results_of(w) == before;
}

/// Of goroutines that wait and have used more of them before: what sysmon does now and then. Only where there is room.
void move_stacks() {
    const detail::runtime_pin pin;  // nobody is to stop us while wakers wait for us
    detail::reclaim_parked(true);
}

template <class T>
void wait_for_rest(const world<T>& w, std::size_t but) {
    using clock = std::chrono::steady_clock;
    const auto end = clock::now() + test::patience();
    for (std::uint64_t round = 1; !is_at_rest(w, but); ++round) {
        if (w.how.moving && but == nobody) move_stacks();
        gosched();
        if (round % 64 == 0) std::this_thread::yield();
        if (round % 4096 != 0 || clock::now() < end) continue;
        std::fprintf(stderr, "%s", to_text(w.what).c_str());
        test::give_up("a process that neither ends nor waits", test::here());
    }
}

// ---- a process
// ------------------------------------------------------------------------------------------------------

void spin(std::uint32_t rounds) {
    const std::atomic<std::uint32_t> nothing{0};
    for (; rounds > 0; --rounds) (void)nothing.load();
}

/// As if its time slice were over: the goroutine gives way somewhere in its
/// next operation, or a signal stops it there.
void ask_myself_to_yield() {
    const detail::runtime_pin pin;
    const detail::M* m = detail::current_m();
    if (m->p != nullptr) detail::ask_to_yield(m->p);
}

#if defined(VOLE_STACK_COPYING)
void use_stack(std::uint32_t levels) { test::dig(levels); }
stack_policy stack_of(const schedule& s) {
    return s.moving ? stack_policy::copying() : stack_policy();
}
#else
void use_stack(std::uint32_t) {}
stack_policy stack_of(const schedule&) { return {}; }
#endif

void linger(random_source& random, const schedule& how) {
    if (how.moving && random.percent(60)) use_stack(random.below(200));
    const std::uint32_t roll = random.below(100);
    if (roll < 40) return;
    if (roll < 60)
        gosched();
    else if (roll < 80)
        spin(random.below(64));
    else if (roll < 90)
        spin(random.below(2000));
    else
        ask_myself_to_yield();
}

template <class T>
class actor {
  public:
    actor(world<T>& w, std::size_t index)
        : w_(w), index_(index), me_(w.processes[index]),
          random_(w.how.seed * program::most_processes + index) {}

    void act(const std::vector<operation>& operations) {
        {
            const detail::runtime_pin pin;
            me_.goroutine.store(detail::running_g(), std::memory_order_release);
        }
        w_.begun.fetch_add(1);
        if (w_.how.together) wait_for_others();
        for (const operation& op : operations) {
            linger(random_, w_.how);
            if (w_.over.load()) break;
            if (op.kind == op_kind::range)
                range(op);
            else if (op.kind == op_kind::pause)
                pause();
            else
                note(or_panic([&] { return perform(w_, op); }));
        }
        me_.ended.store(true, std::memory_order_release);
    }

  private:
    void wait_for_others() {
        for (std::uint32_t i = 1; w_.begun.load() < w_.what.processes.size(); ++i) {
            if (i % 64 == 0) gosched();
        }
    }
    void pause() {
        wait_for_rest(w_, index_);
        note({event_kind::paused});
    }
    void range(const operation& op) {
        for (T& v : w_.channel(op.channel)) {
            note({event_kind::value, 0, number_of(v)});
            if (w_.over.load()) return;
            linger(random_, w_.how);
        }
        note({event_kind::closed});
    }
    void note(const event& e) {
        me_.events.push_back(e);
        me_.results.fetch_add(1, std::memory_order_release);
    }

    world<T>& w_;
    std::size_t index_;
    process& me_;
    random_source random_;
};

// ---- the end
// --------------------------------------------------------------------------------------------------------

template <class T>
class inspector {
  public:
    explicit inspector(world<T>& w) : w_(w), n_(w.what.processes.size()) {}

    outcome inspect() {
        wait_for_rest(w_, nobody);
        if (w_.how.moving) move_stacks();
        outcome o;
        for (std::size_t i = 0; i < n_; ++i)
            o.before_inspection.push_back(w_.processes[i].results.load(std::memory_order_acquire));
        w_.over = true;
        // They all wait: what they do next is caused by us.
        for (const chan<T>& c : w_.channels) {
            o.inspection.push_back({event_kind::length, 0, static_cast<std::uint8_t>(c.len())});
            drain(c, o.inspection);
        }
        for (const chan<T>& c : w_.channels) fill(c, o.inspection);
        for (const chan<T>& c : w_.channels)
            o.inspection.push_back(or_panic([&] {
                c.close();
                return event{event_kind::closes};
            }));
        wait_for_rest(w_, nobody);
        for (std::size_t i = 0; i < n_; ++i) {
            const auto& events = w_.processes[i].events;
            o.processes.emplace_back(events.begin(),
                                     events.begin() +
                                         w_.processes[i].results.load(std::memory_order_acquire));
        }
        return o;
    }

  private:
    static void drain(const chan<T>& c, std::vector<event>& log) {
        for (int i = 0; i < 2 * most_inspector_values; ++i) {
            log.push_back(or_panic([&] { return try_receive(c); }));
            if (log.back().kind != event_kind::value) return;
        }
    }
    static void fill(const chan<T>& c, std::vector<event>& log) {
        for (int i = 0; i < most_inspector_values; ++i) {
            log.push_back(or_panic([&] {
                const bool sent = c.try_send(make_element<T>(inspector_values + i));
                return event{sent ? event_kind::sent : event_kind::not_ready};
            }));
            if (log.back().kind != event_kind::sent) return;
        }
    }

    world<T>& w_;
    std::size_t n_;
};

template <class T>
outcome run_with(const program& p, const schedule& s) {
    auto w = std::make_shared<world<T>>();
    w->what = p;
    w->how = s;
    for (const std::uint8_t capacity : p.capacities) w->channels.push_back(make_chan<T>(capacity));
    std::vector<std::size_t> order(p.processes.size());
    std::iota(order.begin(), order.end(), 0U);
    random_source random(~s.seed);
    for (std::size_t i = order.size(); i > 1; --i)
        std::swap(order[i - 1], order[random.below(static_cast<std::uint32_t>(i))]);
    const std::string title = " of VOLE_PROOF_SEED=" + std::to_string(s.program_seed);
    for (const std::size_t i : order) {
        const std::string name = "p" + std::to_string(i) + title;
        go({.name = name, .stack = stack_of(s)},
           [w, i] { actor<T>(*w, i).act(w->what.processes[i]); });
    }
    return inspector<T>(*w).inspect();
}

}  // namespace

outcome run(const program& p, const schedule& s) {
    return s.boxed ? run_with<boxed_number>(p, s) : run_with<plain_number>(p, s);
}

}  // namespace vole::proof
