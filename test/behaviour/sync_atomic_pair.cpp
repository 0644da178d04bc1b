// vole::atomic_pair, vole::uint128. Cites SYNC-73, SYNC-75, SYNC-76, SYNC-95.
#include <catch2/catch.hpp>

#include <vole/atomic_pair.hpp>
#include <vole/sync.hpp>

#include "test/behaviour/sched_support.hpp"
#include "test/behaviour/tagged_stack.hpp"

#include <array>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

using namespace vole::test;

namespace {

enum class colour : std::uint16_t { red, green };
struct two_halves {
    std::uint32_t lo;
    std::uint32_t hi;
    friend bool operator==(two_halves, two_halves) = default;
};
struct padded {
    char c;
    int n;
};

// SYNC-76
static_assert(vole::detail::word_like<two_halves> && vole::detail::word_like<int*>);
static_assert(!vole::detail::word_like<padded>);
static_assert(!vole::detail::word_like<double>);
static_assert(!vole::detail::word_like<std::array<std::uint64_t, 2>>);
static_assert(!vole::detail::word_like<std::string>);

// SYNC-75
static_assert(alignof(vole::uint128) == 16 && sizeof(vole::uint128) == 16);
static_assert(alignof(vole::atomic_pair<char, char>) == 16);
static_assert(vole::uint128::is_always_lock_free);

// SYNC-95
static_assert(!std::is_copy_constructible_v<vole::uint128>);
static_assert(!std::is_move_constructible_v<vole::uint128>);
static_assert(!std::is_copy_assignable_v<vole::uint128>);
static_assert(std::is_trivially_destructible_v<vole::uint128>);
constinit vole::uint128 global(1, 2);
constinit vole::atomic_pair<int*, colour> global_pointer(nullptr, colour::green);
constinit const vole::uint128 constant(3, 4);

using pair = vole::atomic_pair<std::uint64_t, std::uint64_t>;

}  // namespace

TEST_CASE("SYNC-73 operations on a pair", "[sync][atomic_pair]") {
    pair p(1, 2);
    CHECK(p.load() == pair::value_type{1, 2});
    p.store({3, 4});
    const auto [first, second] = p.load();
    CHECK(first == 3);
    CHECK(second == 4);
    CHECK(p.exchange({5, 6}) == pair::value_type{3, 4});  // the old one
    CHECK(p.load() == pair::value_type{5, 6});
    CHECK(pair().load() == pair::value_type{0, 0});
    CHECK(pair(pair::value_type{7, 8}).load() == pair::value_type{7, 8});
}

TEST_CASE("SYNC-73 an exchange that finds what it expects never fails", "[sync][atomic_pair]") {
    pair p;
    int failed = 0;
    for (std::uint64_t i = 0; i < 10'000; ++i) {
        pair::value_type expected{i, i};
        if (!p.compare_exchange(expected, {i + 1, i + 1})) ++failed;
    }
    CHECK(failed == 0);
}

TEST_CASE("SYNC-75 all 128 bits are compared", "[sync][atomic_pair]") {
    constexpr pair::value_type there{0x0123456789abcdef, 0xfedcba9876543210};
    for (int bit = 0; bit < 128; ++bit) {
        const std::uint64_t one = std::uint64_t{1} << (bit % 64);
        pair p(there);
        pair::value_type expected{there.first ^ (bit < 64 ? one : 0),
                                  there.second ^ (bit < 64 ? 0 : one)};
        CHECK(!p.compare_exchange(expected, {0, 0}));
        CHECK(expected == there);  // what was there is written back
        CHECK(p.load() == there);
        CHECK(p.compare_exchange(expected, {1, 2}));
        CHECK(expected == there);
        CHECK(p.load() == pair::value_type{1, 2});
    }
}

TEST_CASE("SYNC-76 halves of other types and sizes", "[sync][atomic_pair]") {
    int target = 0;
    vole::atomic_pair<int*, colour> p(&target, colour::red);
    CHECK(p.load().first == &target);
    decltype(p)::value_type expected{&target, colour::green};
    CHECK(!p.compare_exchange(expected, {nullptr, colour::red}));
    CHECK(expected.second == colour::red);
    CHECK(p.compare_exchange(expected, {nullptr, colour::green}));
    CHECK(p.load() == decltype(p)::value_type{nullptr, colour::green});

    vole::atomic_pair<two_halves, bool> q({1, 2}, true);
    decltype(q)::value_type q_expected{{1, 2}, true};
    CHECK(q.compare_exchange(q_expected, {{3, 4}, false}));
    CHECK(q.load().first == two_halves{3, 4});
    CHECK(!q.load().second);

    vole::atomic_pair<std::int8_t, std::int32_t> r(-1, -2);
    decltype(r)::value_type r_expected{-1, -2};
    CHECK(r.compare_exchange(r_expected, {-3, -4}));
    CHECK(r.load() == decltype(r)::value_type{-3, -4});
}

TEST_CASE("SYNC-95 pairs of namespace scope", "[sync][atomic_pair]") {
    CHECK(global.exchange({1, 2}) == vole::uint128::value_type{1, 2});
    CHECK(global_pointer.load().second == colour::green);
    CHECK(constant.load() == vole::uint128::value_type{3, 4});  // also where a load is an exchange
}

TEST_CASE("SYNC-75 two halves in lock-step", "[sync][atomic_pair]") {
    // First without the runtime, which may know a better way once it has started; then with it.
    const auto each = static_cast<std::uint64_t>(scaled(5'000'000));
    for (const bool goroutines : {false, true}) {
        pair p(0, 0);
        std::atomic<int> apart{0};
        const auto work = [&] {
            pair::value_type seen = p.load();
            for (std::uint64_t i = 0; i < each;) {
                if (seen.first != seen.second) ++apart;
                if (p.compare_exchange(seen, {seen.first + 1, seen.second + 1})) {
                    ++i;
                    if (i % 8 == 0) seen = p.load();
                }
            }
        };
        if (goroutines) {
            const procs_scope procs(2);
            vole::run([&] {
                vole::wait_group done;
                done.go(work);
                done.go(work);
                done.wait();
            });
        } else {
            std::thread other(work);
            work();
            other.join();
        }
        CHECK(apart == 0);
        CHECK(p.load() == pair::value_type{2 * each, 2 * each});
    }
}

TEST_CASE("SYNC-75 a load is never torn", "[sync][atomic_pair]") {
    const auto rounds = static_cast<std::uint64_t>(scaled(1'000'000));
    pair p(0, ~std::uint64_t{0});
    std::atomic<int> torn{0};
    std::atomic<int> backwards{0};
    std::atomic<bool> over{false};
    const procs_scope procs(4);
    vole::run([&] {
        vole::wait_group readers;
        for (int i = 0; i < 3; ++i) {
            readers.go([&] {
                std::uint64_t last = 0;
                while (!over) {
                    const auto [first, second] = p.load();
                    if (first != ~second) ++torn;
                    if (first < last) ++backwards;
                    last = first;
                }
            });
        }
        for (std::uint64_t i = 1; i <= rounds; ++i) p.store({i, ~i});
        over = true;
        readers.wait();
    });
    CHECK(torn == 0);
    CHECK(backwards == 0);
}

TEST_CASE("SYNC-73 what was done before a write is seen after a read of it",
          "[sync][atomic_pair]") {
    // ThreadSanitizer is the judge: the payload is not atomic.
    struct message {
        int text;
    };
    vole::atomic_pair<message*, std::uint64_t> box;
    const int rounds = scaled(20'000);
    long sum = 0;
    const procs_scope procs(2);
    vole::run([&] {
        vole::wait_group done;
        done.go([&] {
            for (int i = 1; i <= rounds; ++i) {
                auto* m = new message{i};
                decltype(box)::value_type expected{nullptr, static_cast<std::uint64_t>(i - 1)};
                while (!box.compare_exchange(expected, {m, expected.second + 1})) {
                    expected.first = nullptr;
                    vole::gosched();
                }
            }
        });
        done.go([&] {
            for (int taken = 0; taken < rounds;) {
                auto seen = box.load();
                if (seen.first == nullptr) {
                    vole::gosched();
                    continue;
                }
                sum += seen.first->text;
                delete seen.first;
                box.store({nullptr, seen.second});
                ++taken;
            }
        });
        done.wait();
    });
    CHECK(sum == static_cast<long>(rounds) * (rounds + 1) / 2);
}

TEST_CASE("SYNC-73 of two stores and two loads, one load sees a store", "[sync][atomic_pair]") {
    // What sequential consistency adds to acquire and release.
    const auto rounds = static_cast<std::uint64_t>(scaled(20'000));
    pair a(0, 0);
    pair b(0, 0);
    std::atomic<std::uint64_t> begun{0};
    std::atomic<std::uint64_t> ended{0};
    int neither = 0;
    std::uint64_t seen_there = 0;
    std::thread other([&] {
        for (std::uint64_t i = 1; i <= rounds; ++i) {
            while (begun != i) std::this_thread::yield();
            b.store({i, i});
            seen_there = a.load().first;
            ended = i;
        }
    });
    for (std::uint64_t i = 1; i <= rounds; ++i) {
        begun = i;
        a.store({i, i});
        const std::uint64_t seen_here = b.load().first;
        while (ended != i) std::this_thread::yield();
        if (seen_here != i && seen_there != i) ++neither;
    }
    other.join();
    CHECK(neither == 0);
}

// ---- the worked example -----------------------------------------------------------------------

namespace {

/// Three nodes, A on B on C. While a pop of A is on its way, others pop A and B and push A. Gives what the
/// stack holds then, and what it may hold: B belongs to those others.
template <class Top>
std::string after_late_pop() {
    stack_node a, b, c;
    a.value = 'A';
    b.value = 'B';
    c.value = 'C';
    lock_free_stack<Top> s;
    for (stack_node* n : {&c, &b, &a}) s.push(n);
    bool interfered = false;
    std::string text;
    const stack_node* got = s.pop([&] {
        if (interfered) return;
        interfered = true;
        stack_node* first = s.pop();
        s.pop();  // B, which they keep
        s.push(first);
    });
    text += static_cast<char>(got->value);
    text += ':';
    while (const stack_node* n = s.pop()) text += static_cast<char>(n->value);
    return text;
}

}  // namespace

TEST_CASE("SYNC-75 a top that is what it was: a word is deceived, a pair with a tag is not",
          "[sync][atomic_pair]") {
    CHECK(after_late_pop<bare_top>() == "A:BC");  // B is on the stack, and somebody else has it
    CHECK(after_late_pop<tagged_top>() == "A:C");
}

TEST_CASE("SYNC-75 the same pointer with another tag is another pair", "[sync][atomic_pair]") {
    int x = 0;
    vole::atomic_pair<int*, std::uint64_t> p(&x, 1);
    auto old = p.load();
    p.store({nullptr, 2});
    p.store({&x, 3});
    CHECK(!p.compare_exchange(old, {nullptr, 4}));
    CHECK(old.first == &x);
    CHECK(old.second == 3);
}

TEST_CASE("SYNC-75 a lock-free stack of tagged pointers", "[sync][atomic_pair]") {
    constexpr int nodes = 5;  // few, so that the same ones come back all the time
    const int rounds = scaled(100'000);
    std::array<stack_node, nodes> all;
    lock_free_stack<tagged_top> s;
    for (auto& n : all) s.push(&n);
    std::atomic<int> shared{0};
    const auto work = [&] {
        for (int i = 0; i < rounds; ++i) {
            stack_node* n = s.pop();
            if (n == nullptr) {
                vole::gosched();
                continue;
            }
            if (n->owners.fetch_add(1) != 0) ++shared;
            ++n->value;  // plain: whoever has popped it owns it
            if (i % 64 == 0) vole::gosched();
            n->owners.fetch_sub(1);
            s.push(n);
        }
    };
    const procs_scope procs(4);
    vole::run([&] {
        vole::wait_group done;
        std::thread plain(work);
        for (int i = 0; i < 4; ++i) done.go(work);
        done.wait();
        vole::blocking([&] { plain.join(); });
    });
    int left = 0;
    while (s.pop() != nullptr) ++left;
    CHECK(shared == 0);
    CHECK(left == nodes);
}
