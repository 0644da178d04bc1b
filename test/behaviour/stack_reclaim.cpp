// Memory of long-parked goroutines: pages below their frames, and the larger half of a stack that may
// move. sysmon does it by itself after some seconds; here it is asked to, at once, by the test's thread.
#include <catch2/catch.hpp>

#include <vole/vole.hpp>

#include <sys/mman.h>

#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "runtime/src/sched/sched.hpp"
#include "runtime/src/stack/grow.hpp"
#include "runtime/src/stack/reclaim.hpp"
#include "test/behaviour/sched_support.hpp"

using namespace vole;

namespace {

std::size_t resident_pages(const char* lo, std::size_t bytes) {
    std::vector<unsigned char> in(bytes / 4096);
    REQUIRE(mincore(const_cast<char*>(lo), bytes, in.data()) == 0);
    std::size_t n = 0;
    for (const unsigned char page : in) n += page & 1;
    return n;
}

[[gnu::noinline]] void use_deeply() {
    char deep[150 * 1024];
    std::memset(deep, 1, sizeof(deep));
    asm volatile("" : : "r"(deep) : "memory");
}

// Reclaims until nothing is left to be had of anybody.
std::uint64_t reclaim_all() {
    std::uint64_t sum = 0;
    for (;;) {
        const detail::reclaimed r = detail::reclaim_parked(true);
        sum += r.bytes;
        if (!r.more) return sum;
    }
}

}  // namespace

TEST_CASE("STK-40 a parked goroutine's deep pages are given back", "[stack]") {
    std::atomic<const detail::stack_segment*> stack{nullptr};
    auto gate = make_chan<int>();
    auto done = make_chan<long>();
    go([&] {
        long kept[64];
        for (long i = 0; i < 64; ++i) kept[i] = i;
        use_deeply();
        stack = detail::current_g()->stack;
        gate.recv();
        use_deeply();
        long sum = 0;
        for (const long k : kept) sum += k;
        done.send(sum);
    });
    test::wait_until([&] { return stack.load() != nullptr; });
    const detail::stack_segment* s = stack.load();
    const char* lo = s->lo + detail::guard_bytes;
    const std::size_t bytes = s->bytes - detail::guard_bytes;
    CHECK(resident_pages(lo, bytes) > 35);
    const auto before = read_stats().stack_bytes_given_back;
    test::wait_until([&] {
        reclaim_all();
        return resident_pages(lo, bytes) <= 4;
    });
    CHECK(read_stats().stack_bytes_given_back > before);
    gate.send(1);
    CHECK(done.recv() == 64 * 63 / 2);
}

TEST_CASE("STK-40 sysmon does so by itself", "[stack]") {
    auto gate = make_chan<int>();
    auto done = make_chan<int>();
    const auto before = read_stats().stack_bytes_given_back;
    go([&] {
        use_deeply();
        gate.recv();
        done.send(1);
    });
    CHECK(test::wait_until([&] { return read_stats().stack_bytes_given_back > before; }));
    gate.send(1);
    done.recv();
}

// Where there is no policy copying, nothing shrinks.
#if defined(__x86_64__) && !defined(VOLE_ASAN)

namespace {

// Calls op() on a stack of policy copying that has grown to 128 KiB and more; op parks, and the test
// thread shrinks the stack under it until it is a quarter full, then calls wake(). The 6,000 bytes keep
// it from getting too small for code that is not instrumented.
template <class Op, class Wake>
void shrink_under(Op op, Wake wake) {
    std::atomic<std::uint64_t> id{0};
    std::size_t grown = 0;
    std::size_t left = 0;
    bool intact = true;
    auto done = make_chan<int>(1);
    go({.stack = stack_policy::copying(64 * 1024)}, [&] {
        stack::ensure(100 * 1024, [&] { grown = stack::size(); });
        char kept[6000];
        std::memset(kept, 42, sizeof(kept));
        char* volatile own = kept;  // follows the stack
        id = goroutine_id();
        op();
        left = stack::size();
        for (const char c : kept) intact = intact && c == 42;
        intact = intact && own == kept;
        done.send(1);
    });
    test::wait_until([&] { return id.load() != 0; });
    const auto shrinks = read_stats().stack_shrinks;
    test::wait_until([&] {
        reclaim_all();
        return read_stats().stack_shrinks >= shrinks + 2;
    });
    wake();
    done.recv();
    CHECK(grown >= 128 * 1024);
    CHECK(left <= grown / 4);
    CHECK(intact);
}

}  // namespace

TEST_CASE("STK-33 a stack shrinks under a parked sender and its value", "[stack]") {
    auto c = make_chan<long>();
    long got = 0;
    shrink_under(
        [&] {
            long value = 1234567;
            c.send(value);
        },
        [&] { got = c.recv().value_or(0); });
    CHECK(got == 1234567);
}

TEST_CASE("STK-33 a stack shrinks under a parked receiver and its variable", "[stack]") {
    auto c = make_chan<long>();
    long got = 0;
    shrink_under([&] { got = c.recv().value_or(0); }, [&] { c.send(7654321); });
    CHECK(got == 7654321);
}

TEST_CASE("STK-33 ... between other waiters of the channel", "[stack]") {
    auto c = make_chan<int>();
    std::atomic<int> sum{0};
    std::atomic<int> begun{0};
    const auto receiver = [&] {
        ++begun;
        sum += c.recv().value_or(0);
    };
    auto done = make_chan<int>(2);
    go([&] { receiver(), done.send(1); });
    test::wait_until([&] { return begun.load() == 1; });
    shrink_under(receiver, [&] {
        go([&] { receiver(), done.send(1); });
        test::wait_until([&] { return begun.load() == 3; });
        for (int i = 0; i < 3; ++i) c.send(1 << i);
    });
    done.recv();
    done.recv();
    CHECK(sum == 7);
}

TEST_CASE("STK-33 a stack shrinks under a select, twice on one channel", "[stack]") {
    auto a = make_chan<int>();
    auto b = make_chan<int>();
    int got = 0;
    for (int round = 0; round < 2; ++round) {
        shrink_under(
            [&] {
                select(on_recv(a, [&](auto v) { got = v.value_or(0); }),
                       on_recv(b, [&](auto v) { got = v.value_or(0); }),
                       on_recv(a, [&](auto v) { got = v.value_or(0) + 1000; }));
            },
            [&] { (round == 0 ? a : b).send(5); });
        CHECK(got % 1000 == 5);
    }
    // Nothing is left in the queues.
    CHECK_FALSE(a.try_send(1));
    CHECK_FALSE(b.try_send(1));
}

TEST_CASE("STK-33 a stack shrinks under a selector, whose waiters are on the heap", "[stack]") {
    auto a = make_chan<int>();
    auto b = make_chan<long>();
    long got = 0;
    shrink_under(
        [&] {
            selector s;
            s.recv(a, [&](auto v) { got = v.value_or(0); });
            s.send(b, 99L, [&] { got = -1; });
            s.select();
        },
        [&] { CHECK(b.recv() == 99); });
    CHECK(got == -1);
    CHECK_FALSE(a.try_send(1));
}

TEST_CASE("STK-33 ... between other waiters of a mutex", "[stack]") {
    mutex m;
    m.lock();
    int served = 0;
    const auto take = [&] {
        m.lock();
        ++served;
        m.unlock();
    };
    wait_group others;
    const auto start_other = [&] {
        std::atomic<std::uint64_t> id{0};
        others.go([&] {
            id = goroutine_id();
            take();
        });
        test::wait_until([&] { return id.load() != 0; });
        test::parked_as(id, "sync.Mutex.Lock");
    };
    start_other();
    shrink_under(take, [&] {
        start_other();
        m.unlock();
        others.wait();
    });
    CHECK(served == 3);
}

TEST_CASE("STK-33 a stack shrinks under a waiter of a mutex and of a wait group", "[stack]") {
    mutex m;
    m.lock();
    shrink_under(
        [&] {
            m.lock();
            m.unlock();
        },
        [&] { m.unlock(); });
    wait_group w;
    w.add(1);
    shrink_under([&] { w.wait(); }, [&] { w.done(); });
}

#endif

namespace {

// Pairs that send and receive, half of them on stacks that may move; the sum of what arrived.
long run_pairs(int pairs, long rounds) {
    std::atomic<long> sum{0};
    wait_group w;
    for (int i = 0; i < pairs; ++i) {
        auto c = make_chan<long>();
#if defined(__x86_64__) && !defined(VOLE_ASAN)
        const auto policy =
            i % 2 == 0 ? stack_policy::reserved() : stack_policy::copying(64 * 1024);
#else
        const auto policy = stack_policy::reserved();
#endif
        w.add(2);
        go({.stack = policy}, [&, c, rounds]() mutable {
            for (long k = 0; k < rounds; ++k) {
                // Something to take back, every fourth wait.
                if (k % 4 == 0) stack::ensure(100 * 1024, [] {});
                c.send(k);
            }
            w.done();
        });
        go({.stack = policy}, [&, c, rounds]() mutable {
            for (long k = 0; k < rounds; ++k) {
                // Long enough to be looked at, short enough to end in the middle of it.
                for (long turn = 0; turn < k % 64; ++turn) gosched();
                sum += c.recv().value_or(0);
            }
            w.done();
        });
    }
    w.wait();
    return sum;
}

}  // namespace

TEST_CASE("STK-41 goroutines run on while sysmon looks at them all the time", "[stack]") {
    constexpr int pairs = 8;
    const long rounds = test::scaled(3000);
    std::atomic<bool> stop{false};
    std::thread looker([&] {
        while (!stop) detail::reclaim_parked(true);
    });
    const auto before = read_stats().stack_bytes_given_back;
    for (int i = 0; i < 50; ++i) {
        CHECK(run_pairs(pairs, rounds) == long{pairs} * rounds * (rounds - 1) / 2);
        // Until it has been worth something: the looker needs a processor, too.
        if (i >= 2 && read_stats().stack_bytes_given_back > before + (16U << 20)) break;
    }
    stop = true;
    looker.join();
    CHECK(read_stats().stack_bytes_given_back > before);
}
