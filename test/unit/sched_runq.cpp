// A P's run queue alone: order, overflow, stealing, and that no goroutine is lost or doubled when an
// owner and thieves work at once. Cites SCHED-13, SCHED-16, SCHED-22 to SCHED-24.
#include <catch2/catch.hpp>

#include "runtime/src/sched/runq.hpp"
#include "test/support/scale.hpp"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

using namespace vole::detail;

namespace {

/// Goroutines that are only names: the queue never looks inside.
std::vector<G> make_gs(std::size_t n) {
    std::vector<G> gs(n);
    for (std::size_t i = 0; i < n; ++i) gs[i].id = i;
    return gs;
}

std::vector<std::uint64_t> drain(run_queue& q) {
    std::vector<std::uint64_t> ids;
    if (G* g = q.pop_next()) ids.push_back(g->id);
    while (G* g = q.pop()) ids.push_back(g->id);
    return ids;
}

}  // namespace

TEST_CASE("SCHED-13 the ring keeps order and holds 256", "[unit][runq]") {
    auto q = std::make_unique<run_queue>();
    auto gs = make_gs(run_queue::capacity + 1);
    // Several rounds, so that the indices wrap around.
    for (int round = 0; round < 5; ++round) {
        CHECK(q->empty());
        CHECK(q->pop() == nullptr);
        for (std::size_t i = 0; i < run_queue::capacity; ++i) REQUIRE(q->push(&gs[i]));
        CHECK_FALSE(q->push(&gs[run_queue::capacity]));
        CHECK(q->ring_size() == run_queue::capacity);
        CHECK_FALSE(q->empty());
        for (std::size_t i = 0; i < run_queue::capacity; ++i) REQUIRE(q->pop() == &gs[i]);
        CHECK(q->ring_empty());
    }
}

TEST_CASE("SCHED-13 runnext is one slot of its own", "[unit][runq]") {
    auto q = std::make_unique<run_queue>();
    q->set_sharing(GENERATE(sharing::exchanged, sharing_with_thieves()));
    auto gs = make_gs(3);
    CHECK(q->pop_next() == nullptr);
    CHECK(q->exchange_next(&gs[0]) == nullptr);
    CHECK(q->exchange_next(&gs[1]) == &gs[0]);
    CHECK(q->ring_empty());
    CHECK_FALSE(q->empty());
    CHECK_FALSE(q->empty_hint());
    CHECK(q->peek_next() == &gs[1]);
    CHECK_FALSE(q->steal_next(&gs[0], &gs));
    CHECK(q->steal_next(&gs[1], &gs));
    CHECK(q->pop_next() == nullptr);
    CHECK(q->empty());
}

TEST_CASE("SCHED-16 a full ring gives away its older half, in order", "[unit][runq]") {
    auto q = std::make_unique<run_queue>();
    auto gs = make_gs(run_queue::capacity);
    g_list out;
    CHECK_FALSE(q->take_half(out));
    for (G& g : gs) REQUIRE(q->push(&g));
    REQUIRE(q->take_half(out));
    CHECK(out.size == run_queue::capacity / 2);
    for (std::size_t i = 0; i < run_queue::capacity / 2; ++i) REQUIRE(out.pop_front() == &gs[i]);
    CHECK(out.pop_front() == nullptr);
    CHECK_FALSE(q->take_half(out));  // no longer full
    for (std::size_t i = run_queue::capacity / 2; i < run_queue::capacity; ++i) {
        REQUIRE(q->pop() == &gs[i]);
    }
}

TEST_CASE("SCHED-23 a thief takes the half, rounded up, and runs the last of it", "[unit][runq]") {
    for (std::size_t n = 0; n <= run_queue::capacity; ++n) {
        auto victim = std::make_unique<run_queue>();
        auto thief = std::make_unique<run_queue>();
        auto gs = make_gs(n);
        for (G& g : gs) REQUIRE(victim->push(&g));

        std::uint32_t count = 99;
        G* run = thief->steal_into(*thief, &count);  // from an empty one
        REQUIRE(run == nullptr);
        REQUIRE(count == 0);

        run = victim->steal_into(*thief, &count);
        const std::size_t half = n - n / 2;
        REQUIRE(count == half);
        if (n == 0) {
            REQUIRE(run == nullptr);
            continue;
        }
        REQUIRE(run == &gs[half - 1]);
        const auto stolen = drain(*thief);
        REQUIRE(stolen.size() == half - 1);
        for (std::size_t i = 0; i < stolen.size(); ++i) REQUIRE(stolen[i] == i);
        const auto kept = drain(*victim);
        REQUIRE(kept.size() == n - half);
        for (std::size_t i = 0; i < kept.size(); ++i) REQUIRE(kept[i] == half + i);
    }
}

TEST_CASE("SCHED-23 an owner and thieves: each goroutine exactly once", "[unit][runq]") {
    const std::size_t total = vole::test::scaled<std::size_t>(200'000);
    constexpr int thieves = 3;
    auto q = std::make_unique<run_queue>();
    q->set_sharing(GENERATE(sharing::exchanged, sharing_with_thieves()));
    auto gs = make_gs(total);
    std::vector<std::atomic<int>> seen(total);
    std::atomic<bool> done{false};

    std::vector<std::thread> threads;
    for (int i = 0; i < thieves; ++i) {
        threads.emplace_back([&] {
            auto mine = std::make_unique<run_queue>();
            for (;;) {
                const bool last_look = done.load();
                std::uint32_t count = 0;
                if (G* g = q->steal_into(*mine, &count)) {
                    seen[g->id].fetch_add(1);
                    for (const auto id : drain(*mine)) seen[id].fetch_add(1);
                } else if (G* next = q->peek_next();
                           next != nullptr && q->steal_next(next, mine.get())) {
                    seen[next->id].fetch_add(1);
                } else if (last_look) {
                    return;
                } else {
                    std::this_thread::yield();
                }
            }
        });
    }

    // The owner does what a P does: runnext, the kick to the tail, overflow to a list, pops.
    g_list overflow;
    const auto push = [&](G* g) {
        while (!q->push(g)) {
            if (q->take_half(overflow)) {
                overflow.push_back(g);
                return;
            }
        }
    };
    for (std::size_t i = 0; i < total; ++i) {
        if (G* kicked = q->exchange_next(&gs[i])) push(kicked);
        if (i % 3 == 0) {
            G* g = i % 2 == 0 ? q->pop_next() : q->pop();
            if (g != nullptr) seen[g->id].fetch_add(1);
        }
    }
    while (G* g = overflow.pop_front()) seen[g->id].fetch_add(1);
    for (const auto id : drain(*q)) seen[id].fetch_add(1);
    done.store(true);
    for (auto& t : threads) t.join();

    std::size_t wrong = 0;
    for (const auto& n : seen) wrong += n.load() != 1;
    CHECK(wrong == 0);
    CHECK(q->empty());
}

TEST_CASE("SCHED-24 what was stolen from runnext may come back into it", "[unit][runq]") {
    auto q = std::make_unique<run_queue>();
    q->set_sharing(sharing_with_thieves());
    auto gs = make_gs(2);
    const auto steal = [&](G* g) { return q->steal_next(g, &gs); };
    CHECK(q->exchange_next(&gs[0]) == nullptr);
    REQUIRE(steal(&gs[0]));
    SECTION("at once") {
        CHECK(q->exchange_next(&gs[0]) == nullptr);
        CHECK(q->pop_next() == &gs[0]);
    }
    SECTION("after another one") {
        CHECK(q->exchange_next(&gs[1]) == nullptr);
        CHECK(q->exchange_next(&gs[0]) == &gs[1]);
        CHECK(q->pop_next() == &gs[0]);
    }
    SECTION("after a look into the empty slot, and again stolen") {
        CHECK(q->pop_next() == nullptr);
        CHECK(q->exchange_next(&gs[0]) == nullptr);
        CHECK(steal(&gs[0]));
        CHECK(q->pop_next() == nullptr);
    }
    SECTION("after there was only one P for a while") {
        q->set_sharing(sharing::alone);
        CHECK(q->exchange_next(&gs[0]) == nullptr);
        q->set_sharing(sharing_with_thieves());
        CHECK(q->pop_next() == &gs[0]);
    }
    CHECK(q->empty());
}

TEST_CASE("SCHED-24 a slot that is filled and emptied, and thieves: each goroutine exactly once",
          "[unit][runq]") {
    const std::size_t total = vole::test::scaled<std::size_t>(2'000'000);
    auto q = std::make_unique<run_queue>();
    q->set_sharing(GENERATE(sharing::exchanged, sharing_with_thieves()));
    auto gs = make_gs(64);  // few, so that they come back soon
    std::vector<std::atomic<bool>> out(gs.size());
    std::atomic<std::size_t> wrong{0};
    std::atomic<std::size_t> stolen{0};
    std::atomic<bool> done{false};
    const auto took = [&](const G* g) {
        if (!out[g->id].exchange(false)) wrong.fetch_add(1);
    };
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
        threads.emplace_back([&, name = std::make_unique<run_queue>()] {
            while (!done.load()) {
                G* next = q->peek_next();
                if (next != nullptr && q->steal_next(next, name.get())) {
                    took(next);
                    stolen.fetch_add(1);
                }
            }
        });
    }
    std::size_t at = 0;
    for (std::size_t i = 0; i < total || stolen.load() < 100; ++i) {
        while (out[at].load()) at = (at + 1) % gs.size();
        out[at].store(true);
        if (G* old = q->exchange_next(&gs[at]); old != nullptr) took(old);
        if (i % 4 != 0) {
            if (G* g = q->pop_next(); g != nullptr) took(g);
        }
    }
    done.store(true);
    for (auto& t : threads) t.join();
    if (G* g = q->pop_next(); g != nullptr) took(g);
    CHECK(wrong.load() == 0);
    for (const auto& still : out) CHECK_FALSE(still.load());
}

TEST_CASE("SCHED-16 lists of goroutines keep order and count", "[unit][runq]") {
    auto gs = make_gs(5);
    g_list a;
    g_list b;
    CHECK(a.pop_front() == nullptr);
    a.append(b);
    CHECK(a.size == 0);
    b.push_back(&gs[0]);
    b.push_back(&gs[1]);
    a.append(b);
    CHECK(b.size == 0);
    CHECK(b.head == nullptr);
    b.push_back(&gs[2]);
    a.append(b);
    CHECK(a.size == 3);
    for (std::size_t i = 0; i < 3; ++i) CHECK(a.pop_front() == &gs[i]);
    CHECK(a.tail == nullptr);
    a.push_back(&gs[4]);
    CHECK(a.pop_front() == &gs[4]);
}

TEST_CASE("batches keep order and count, whole or split", "[unit][runq]") {
    // Sizes as they occur: single ones, a full overflow of 129, and what is left of a split.
    std::vector<G> gs(400);
    std::size_t next = 0;
    batch_queue q;
    const auto push = [&](std::size_t n) {
        g_list list;
        for (std::size_t i = 0; i < n; ++i) list.push_back(&gs[next++]);
        q.push(list);
    };
    for (const std::size_t n : {1U, 1U, 129U, 5U, 1U, 200U, 1U}) push(n);
    CHECK(q.size() == next);
    std::size_t seen = 0;
    bool in_order = true;
    for (const unsigned ask : {1U, 4U, 128U, 3U, 1U, 64U, 128U, 128U}) {
        const g_list got = q.take(ask);
        CHECK(got.size >= (q.size() == 0 ? 0U : 1U));
        CHECK(got.size <= ask + 1);
        std::size_t walked = 0;
        for (const G* g = got.head; g != nullptr; g = g->link, ++walked) {
            in_order = in_order && g == &gs[seen++];
        }
        CHECK(walked == got.size);
    }
    CHECK(in_order);
    while (q.size() != 0) seen += q.take(128).size;
    CHECK(seen == next);
    CHECK(q.take(1).size == 0);
}
