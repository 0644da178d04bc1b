// The model of memory itself: what small programs may see, and may not. The names are those of the literature.
#include <catch2/catch.hpp>

#include <vole/explore.hpp>

#include "test/explore/weak/memory.hpp"
#include "test/explore/weak/threads.hpp"

#include <set>
#include <string>

using namespace weak_memory;
constexpr auto relaxed = std::memory_order_relaxed;
constexpr auto acquire = std::memory_order_acquire;
constexpr auto release = std::memory_order_release;
constexpr auto seq_cst = std::memory_order_seq_cst;
namespace synctest = vole::synctest;

namespace {

using cell = weak_memory::atomic<int>;

// All outcomes.
template <class F>
std::set<std::string> outcomes(F program) {
    std::set<std::string> seen;
    synctest::explore_options o;
    o.how = synctest::strategy::exhaustive;
    o.preemptions = -1;
    o.schedules = 1'000'000;
    const auto result = synctest::explore(o, [&] {
        world w(without::nothing);
        seen.insert(program(w));
    });
    CHECK(result.complete);
    return seen;
}

std::string text(std::initializer_list<int> values) {
    std::string all;
    for (const int v : values) all += std::to_string(v);
    return all;
}

std::set<std::string> store_buffering(std::memory_order of_stores, std::memory_order of_loads,
                                      bool fences) {
    return outcomes([=](world& w) {
        cell x{0};
        cell y{0};
        int a = 0;
        int b = 0;
        const auto one = [=](cell& mine, cell& other, int& seen) {
            mine.store(1, of_stores);
            if (fences) fence(seq_cst);
            seen = other.load(of_loads);
        };
        run_threads(w, {[&] { one(x, y, a); }, [&] { one(y, x, b); }});
        return text({a, b});
    });
}

std::set<std::string> message_passing(std::memory_order of_store, std::memory_order of_load) {
    return outcomes([=](world& w) {
        cell data{0};
        cell flag{0};
        std::string seen;
        run_threads(w, {[&] {
                            data.store(1, relaxed);
                            flag.store(1, of_store);
                        },
                        [&] {
                            const int f = flag.load(of_load);
                            seen = text({f, data.load(relaxed)});
                        }});
        return seen;
    });
}

}  // namespace

TEST_CASE("weak: store buffering", "[explore][weak]") {
    CHECK(store_buffering(relaxed, relaxed, false).count("00") == 1);
    CHECK(store_buffering(release, acquire, false).count("00") == 1);
    const std::set<std::string> in_order{"01", "10", "11"};
    CHECK(store_buffering(seq_cst, seq_cst, false) == in_order);
    CHECK(store_buffering(relaxed, relaxed, true) == in_order);
}

TEST_CASE("weak: message passing", "[explore][weak]") {
    CHECK(message_passing(relaxed, relaxed) == std::set<std::string>{"00", "01", "10", "11"});
    CHECK(message_passing(release, relaxed).count("10") == 1);
    CHECK(message_passing(relaxed, acquire).count("10") == 1);
    CHECK(message_passing(release, acquire) == std::set<std::string>{"00", "01", "11"});
}

TEST_CASE("weak: message passing by fences", "[explore][weak]") {
    const auto with = [](bool release_fence, bool acquire_fence) {
        return outcomes([=](world& w) {
            cell data{0};
            cell flag{0};
            std::string seen;
            run_threads(w, {[&] {
                                data.store(1, relaxed);
                                if (release_fence) fence(release);
                                flag.store(1, relaxed);
                            },
                            [&] {
                                const int f = flag.load(relaxed);
                                if (acquire_fence) fence(acquire);
                                seen = text({f, data.load(relaxed)});
                            }});
            return seen;
        });
    };
    CHECK(with(true, true).count("10") == 0);
    CHECK(with(true, false).count("10") == 1);
    CHECK(with(false, true).count("10") == 1);
}

TEST_CASE("weak: a value once read is not followed by an older one", "[explore][weak]") {
    const auto seen = outcomes([](world& w) {
        cell x{0};
        std::string s;
        run_threads(w, {[&] { x.store(1, relaxed); },
                        [&] {
                            const int a = x.load(relaxed);
                            s = text({a, x.load(relaxed)});
                        }});
        return s;
    });
    CHECK(seen == std::set<std::string>{"00", "01", "11"});
}

TEST_CASE("weak: independent readers of independent writers may disagree", "[explore][weak]") {
    const auto seen = outcomes([](world& w) {
        cell x{0};
        cell y{0};
        int r[4] = {};
        run_threads(w, {[&] { x.store(1, release); }, [&] { y.store(1, release); },
                        [&] {
                            r[0] = x.load(acquire);
                            r[1] = y.load(acquire);
                        },
                        [&] {
                            r[2] = y.load(acquire);
                            r[3] = x.load(acquire);
                        }});
        return text({r[0], r[1], r[2], r[3]});
    });
    CHECK(seen.count("1010") == 1);
}

TEST_CASE("weak: a read-modify-write carries on what was released before it", "[explore][weak]") {
    const auto seen = outcomes([](world& w) {
        cell data{0};
        cell flag{0};
        std::string s = "-";
        run_threads(w, {[&] {
                            data.store(1, relaxed);
                            flag.store(1, release);
                        },
                        [&] { flag.fetch_add(1, relaxed); },
                        [&] {
                            if (flag.load(acquire) == 2) s = text({data.load(relaxed)});
                        }});
        return s;
    });
    CHECK(seen == std::set<std::string>{"-", "1"});
}

TEST_CASE("weak: additions are not lost", "[explore][weak]") {
    const auto seen = outcomes([](world& w) {
        cell x{0};
        const auto twice = [&] {
            x.fetch_add(1, relaxed);
            x.fetch_add(1, relaxed);
        };
        run_threads(w, {twice, twice});
        return text({x.load(relaxed)});
    });
    CHECK(seen == std::set<std::string>{"4"});
}

TEST_CASE("weak: a fence that one thread makes all others pass", "[explore][weak]") {
    const auto with = [](bool fences) {
        return outcomes([=](world& w) {
            cell x{0};
            cell y{0};
            int a = 0;
            int b = 0;
            run_threads(w, {[&] {  // the side that pays nothing
                                x.store(1, relaxed);
                                a = y.load(relaxed);
                            },
                            [&] {
                                y.store(1, relaxed);
                                if (fences) fence_all();
                                b = x.load(relaxed);
                            }});
            return text({a, b});
        });
    };
    CHECK(with(false).count("00") == 1);
    CHECK(with(true).count("00") == 0);
}

TEST_CASE("weak: plain memory that is handed over without order is a race", "[explore][weak]") {
    const auto hand_over = [](std::memory_order of_store) {
        synctest::explore_options o;
        o.how = synctest::strategy::exhaustive;
        o.preemptions = -1;
        o.shorten = false;
        synctest::explore(o, [=] {
            world w(without::nothing);
            plain data;
            cell flag{0};
            run_threads(w, {[&] {
                                data.write(1);
                                flag.store(1, of_store);
                            },
                            [&] {
                                if (flag.load(acquire) == 1) (void)data.read();
                            }});
        });
    };
    CHECK_NOTHROW(hand_over(release));
    CHECK_THROWS_WITH(hand_over(relaxed), "a data race");
}
