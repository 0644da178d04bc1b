// Bubbles: what happens when nothing of one goes on. runtime/internal/bubble.hpp counts.
//
// The driver is the goroutine that called test() (or, for a thread, one of its own). It belongs to the bubble while it
// drives, so that what it starts does, too; it is not counted among its goroutines. It sleeps until
// the count of those that run is zero, then does the first of these that there is (SYN-19): fires the timers
// that are due, wakes the goroutine in wait(), moves the clock to the next deadline, ends.
//
// Timers that are due at once are fired in an order by the bubble's random source (SYN-26).
//
// A bubble that is deadlocked is left as it is: its goroutines are parked for ever, so its memory stays.
//
// Locks: mu, of `waiter` and `cleanups`, alone. Stack: goroutine.
#include <vole/synctest.hpp>

#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <vole/panic.hpp>
#include <vole/runtime.hpp>
#include <vole/sync.hpp>

#include "runtime/internal/deep.hpp"
#include "runtime/internal/explore.hpp"
#include "runtime/internal/fatal.hpp"
#include "runtime/internal/park.hpp"
#include "time/src/test_bubble.hpp"

namespace vole::inline v0::detail {

namespace {

test_bubble* here() {
    bubble* b = current_bubble();
    if (b == nullptr) throw_runtime_error("goroutine is not in a bubble");
    return static_cast<test_bubble*>(b);
}

// ---- the main goroutine -----------------------------------------------------------------------

std::optional<test_bubble::cleanup> next_cleanup(test_bubble* b) {
    const runtime_pin pin;
    const lock_guard held(b->mu);
    if (b->cleanups.empty()) return std::nullopt;
    const test_bubble::cleanup last = b->cleanups.back();
    b->cleanups.pop_back();
    return last;
}

// Calls f; what leaves it is kept, if it is the first. goexit goes on.
template <class F>
void keeping_error(test_bubble* b, F f) {
    try {
        f();
    } catch (...) {
        const std::exception_ptr error = std::current_exception();
        if (error == nullptr) throw;  // goexit: no exception of C++
        if (b->error == nullptr) b->error = error;
    }
}

// In a goroutine of its own, since the main one may be on its way out by goexit.
void clean_up(test_bubble* b) {
    struct at_end {
        test_bubble* b;
        ~at_end() { b->main_gone.store(true, memory_order_release); }
    } end{b};
    while (const auto c = next_cleanup(b)) keeping_error(b, [&] { c->call(c->arg); });
}

void run_main_goroutine(test_bubble* b) {
    struct at_end {
        test_bubble* b;
        ~at_end() { go(clean_up, b); }
    } end{b};
    keeping_error(b, [b] { b->fn(b->arg); });
}

// ---- the driver -------------------------------------------------------------------------------

std::uint64_t below(bubble* b, std::size_t n) noexcept {
    return b->how != nullptr ? choose_below(static_cast<std::uint32_t>(n)) : bubble_random(b) % n;
}

// True: something was due.
bool fire_due(test_bubble* b) {
    constexpr std::size_t most = 64;
    const std::int64_t now = b->now.load(memory_order_relaxed);
    deadline due[most];
    std::size_t n = 0;
    {
        const runtime_pin pin;
        const lock_guard held(b->heap.mu);
        n = b->heap.take_due(now, due, most);
    }
    for (std::size_t i = n; i > 1; --i) std::swap(due[i - 1], due[below(b, i)]);
    const runtime_pin pin;
    for (std::size_t i = 0; i < n; ++i) fire(&b->heap, due[i], now, queueing::quietly);
    const lock_guard held(b->heap.mu);
    b->heap.settle(n);
    return n != 0;
}

bool wake_waiter(test_bubble* b) {
    const runtime_pin pin;
    G* g = nullptr;
    {
        const lock_guard held(b->mu);
        g = std::exchange(b->waiter, nullptr);
    }
    if (g != nullptr) ready(g);
    return g != nullptr;
}

bool advance(test_bubble* b) {
    const runtime_pin pin;
    const std::int64_t next = b->heap.first_alive();
    if (next == no_deadline) return false;
    b->now.store(next, memory_order_relaxed);
    return true;
}

bubble_outcome drive(test_bubble* b) {
    for (;;) {
        {
            const runtime_entry entry;
            bubble_wait_idle(b, wait_reason::synctest_run);
        }
        if (fire_due(b) || wake_waiter(b)) continue;
        const bool main_gone = b->main_gone.load(memory_order_acquire);
        if (!main_gone && advance(b)) {
            fire_due(b);
            continue;
        }
        if (b->total.load(memory_order_acquire) == 0) return bubble_outcome::ended;
        return main_gone ? bubble_outcome::left_over : bubble_outcome::deadlock;
    }
}

// Timers that never went off.
void drop_timers(test_bubble* b) {
    for (;;) {
        deadline d{};
        {
            const runtime_pin pin;
            const lock_guard held(b->heap.mu);
            if (b->heap.take_due(no_deadline, &d, 1) == 0) return;
            b->heap.settle(1);
        }
        drop_entry(d);
    }
}

}  // namespace

test_bubble::test_bubble(std::uint64_t seed_, void (*fn_)(void*), void* arg_) noexcept
    : seed(seed_), fn(fn_), arg(arg_) {
    constexpr std::int64_t first_moment = 946'684'800'000'000'000;  // 2000-01-01 00:00 UTC
    now.store(first_moment, memory_order_relaxed);
    random.store(seed, memory_order_relaxed);
}

bubble_outcome run_test_bubble(test_bubble* b) {
    if (!bubble_begin(b)) throw_bad_alloc();
    struct at_end {
        test_bubble* b;
        ~at_end() { bubble_end(b); }
    } const ends{b};
    go(run_main_goroutine, b);
    const bubble_outcome how = drive(b);
    if (how == bubble_outcome::ended) drop_timers(b);
    return how;
}

const char* to_text(bubble_outcome o) noexcept {
    return o == bubble_outcome::deadlock
               ? "deadlock: all goroutines in bubble are blocked"
               : "deadlock: main bubble goroutine has exited but blocked goroutines remain";
}

// ---- around it --------------------------------------------------------------------------------

namespace {

std::uint64_t seed_from_environment() {
    const char* text = std::getenv("VOLE_SYNCTEST_SEED");
    if (text == nullptr || *text == '\0') return 0;
    std::uint64_t seed = 0;
    const char* end = text + std::strlen(text);
    const auto [at, error] = std::from_chars(text, end, seed);
    if (error != std::errc{} || at != end) {
        throw std::invalid_argument(
            std::string("VOLE_SYNCTEST_SEED is \"") + text +
            "\"; it must be a number between 1 and 18446744073709551615, or not be set");
    }
    return seed;
}

}  // namespace

std::uint64_t choose_seed(std::uint64_t asked) {
    if (asked == 0) asked = seed_from_environment();
    if (asked != 0) return asked;
    std::random_device source;
    return (std::uint64_t{source()} << 32 | source()) | 1;
}

watchdog::watchdog(clock::duration patience) {
    if (patience <= clock::duration::zero()) return;
    timer_ = after_func(patience,
                        [] { fatal("synctest: test has run for longer than its real_timeout"); });
}

void call_outside_of_bubbles(void (*f)(void*), void* arg) {
    if (current_bubble() != nullptr) {
        throw_runtime_error("synctest.Run called from within a synctest bubble");
    }
    if (current_g() != nullptr) return f(arg);
    std::exception_ptr error;
    wait_group done;
    done.go([&] {
        try {
            f(arg);
        } catch (...) {
            error = std::current_exception();
        }
    });
    done.wait();
    if (error != nullptr) std::rethrow_exception(error);
}

namespace {

void tell_seed(const test_bubble* b) noexcept {
    message text;
    text << "synctest: the bubble's seed was " << b->seed << "\n";
    text.write_to(STDERR_FILENO);
}

// One after the other: they belong together.
void tell_deadlock(const test_bubble* b, bubble_outcome how) {
    static constinit mutex one_at_a_time;
    const std::lock_guard held(one_at_a_time);
    message text;
    text << to_text(how) << "\n\n";
    text.write_to(STDERR_FILENO);
    write_bubble_traceback(STDERR_FILENO, b->id);
}

// On a goroutine that is in no bubble.
void run_here(const synctest::options& opts, void (*fn)(void*), void* arg) {
    auto b = std::make_unique<test_bubble>(choose_seed(opts.seed), fn, arg);
    const watchdog watching(opts.real_timeout);
    const bubble_outcome how = run_test_bubble(b.get());
    if (how != bubble_outcome::ended) tell_deadlock(b.get(), how);
    if (how == bubble_outcome::ended && b->error == nullptr) return;
    tell_seed(b.get());
    const std::exception_ptr error = b->error;
    if (how != bubble_outcome::ended) (void)b.release();  // goroutines are parked on it
    if (error != nullptr) std::rethrow_exception(error);
    throw_runtime_error(to_text(how));
}

}  // namespace

}  // namespace vole::detail

namespace vole::inline v0::synctest {

using namespace vole::detail;

void detail::run_bubble(const options& opts, void (*fn)(void*), void* arg) {
    struct run {
        const options& opts;
        void (*fn)(void*);
        void* arg;
    } r{opts, fn, arg};
    call_outside_of_bubbles(
        [](void* p) {
            const auto* it = static_cast<const run*>(p);
            run_here(it->opts, it->fn, it->arg);
        },
        &r);
}

void detail::add_cleanup(void (*call)(void*), void* arg) {
    test_bubble* b = here();
    std::vector<test_bubble::cleanup> more;
    for (;;) {
        std::size_t wanted = 0;
        {
            const runtime_pin pin;
            const lock_guard held(b->mu);
            if (b->cleanups.size() < b->cleanups.capacity()) {
                b->cleanups.push_back({call, arg});
                return;
            }
            wanted = b->cleanups.size() * 2 + 8;
            if (more.capacity() >= wanted) {
                more.assign(b->cleanups.begin(), b->cleanups.end());
                more.swap(b->cleanups);
                b->cleanups.push_back({call, arg});
                return;
            }
        }
        more.reserve(wanted);
    }
}

void wait() {
    test_bubble* b = here();
    const runtime_entry entry;
    park_scope self;
    b->mu.acquire();
    if (b->waiter != nullptr) {
        b->mu.release();
        throw_runtime_error("wait already in progress");
    }
    b->waiter = self.g();
    park_unlock(self.g(), b->mu, durable(wait_reason::synctest_wait));
}

bool in_bubble() noexcept { return current_bubble() != nullptr; }

std::uint64_t random() { return bubble_random(here()); }
std::uint64_t seed() { return here()->seed; }

hold::hold() : bubble_(static_cast<bubble*>(here())) {
    bubble_enter(static_cast<bubble*>(bubble_));
}
hold::~hold() { bubble_leave(static_cast<bubble*>(bubble_)); }

}  // namespace vole::synctest
