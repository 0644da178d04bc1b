// vole::sync_map. Cites SYNC-67 to SYNC-70, SYNC-72, SYNC-95, SYNC-97; its values: sync_map_values.cpp; against
// models: property_map_pool.cpp. Values that are words change in their entries, others (wide_int) are replaced with them.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/sync.hpp>
#include <vole/sync_map.hpp>

#include "test/behaviour/sched_support.hpp"
#include "test/support/findings.hpp"
#include "test/support/wide_int.hpp"

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

using namespace vole::test;

using int_map = vole::sync_map<int, int>;

static_assert(!std::is_copy_constructible_v<int_map>);
static_assert(!std::is_move_constructible_v<int_map>);
static_assert(!std::is_copy_assignable_v<int_map>);

namespace {

constinit int_map global;  // SYNC-95: no dynamic initialisation

// All keys in one run of equal orders.
struct same_hash {
    std::size_t operator()(int) const noexcept { return 7; }
};

template <class M>
std::map<typename M::key_type, typename M::mapped_type> content(const M& m) {
    std::map<typename M::key_type, typename M::mapped_type> all;
    m.range([&](const auto& k, const auto& v) { all.emplace(k, v); });
    return all;
}

template <class M>
void check_single_operations(findings& ok) {
    using V = typename M::mapped_type;
    M m;
    ok(m.empty());
    ok(!m.load(1));
    ok(!m.contains(1));
    m.store(1, 10);
    ok(m.load(1) == 10);
    ok(m.contains(1));
    m.store(1, 11);
    ok(m.load(1) == 11);
    ok(m.size() == 1);

    ok(m.load_or_store(1, 99) == std::pair<V, bool>(11, true));
    ok(m.load_or_store(2, 20) == std::pair<V, bool>(20, false));
    ok(m.load(2) == 20);

    ok(m.swap(2, 21) == 20);
    ok(!m.swap(3, 30));
    ok(m.load(3) == 30);

    ok(!m.load_and_delete(4));
    ok(m.load_and_delete(3) == 30);
    ok(!m.load(3));
    ok(!m.load_and_delete(3));

    ok(m.erase(2));
    ok(!m.erase(2));
    ok(!m.load(2));

    ok(m.compare_and_swap(1, 11, 12));
    ok(!m.compare_and_swap(1, 11, 13));
    ok(m.load(1) == 12);
    ok(!m.compare_and_delete(1, 11));
    ok(m.load(1) == 12);
    ok(m.compare_and_delete(1, 12));
    ok(!m.load(1));
    ok(m.empty());
}

}  // namespace

TEMPLATE_TEST_CASE("SYNC-67 each operation does what it says", "[sync][sync_map]", int, wide_int) {
    CHECK(everywhere([](findings& ok) {
              check_single_operations<vole::sync_map<int, TestType>>(ok);
          }) == "");
    CHECK(everywhere([](findings& ok) {
              check_single_operations<vole::sync_map<int, TestType, same_hash>>(ok);
          }) == "");
}

TEMPLATE_TEST_CASE("SYNC-67 many keys, added and erased while the map grows", "[sync][sync_map]",
                   int, wide_int) {
    const std::string text = everywhere([](findings& ok) {
        vole::sync_map<int, TestType> m;
        const int n = scaled(20000, 100);
        for (int i = 0; i < n; ++i) m.store(i, -i);
        ok(m.size() == static_cast<std::size_t>(n));
        for (int i = 0; i < n; i += 2) ok(m.erase(i));
        for (int i = 0; i < n; ++i) {
            ok(i % 2 == 0 ? !m.load(i) : m.load(i) == -i);
        }
        ok(content(m).size() == static_cast<std::size_t>(n / 2));
    });
    CHECK(text == "");
}

TEMPLATE_TEST_CASE("SYNC-67 keys with one hash are told apart", "[sync][sync_map]", int, wide_int) {
    const std::string text = everywhere([](findings& ok) {
        vole::sync_map<int, TestType, same_hash> m;
        for (int i = 0; i < 100; ++i) m.store(i, i * i);
        for (int i = 0; i < 100; i += 3) ok(m.erase(i));
        for (int i = 1; i < 100; i += 3) m.store(i, -i);
        for (int i = 0; i < 100; ++i) {
            const auto v = m.load(i);
            ok(i % 3 == 0 ? !v : v == (i % 3 == 1 ? -i : i * i));
        }
        ok(content(m).size() == 66);
    });
    CHECK(text == "");
}

TEMPLATE_TEST_CASE("SYNC-67 of those who store one key first exactly one is told so",
                   "[sync][sync_map]", int, wide_int) {
    for (const int procs : {1, 2, 4}) {
        const int keys = scaled(2000);
        std::atomic<int> firsts{0};
        findings ok;
        run_on(procs, [&] {
            vole::sync_map<int, TestType> m;
            vole::wait_group done;
            for (int g = 0; g < 8; ++g) {
                done.go([&, g] {
                    for (int k = 0; k < keys; ++k) {
                        const auto [value, loaded] = m.load_or_store(k, g);
                        firsts += !loaded;
                        ok(loaded || value == g);
                        ok(m.load(k) == value);
                    }
                });
            }
            done.wait();
        });
        CHECK(firsts == keys);
        CHECK(ok.text() == "");
    }
}

TEMPLATE_TEST_CASE("SYNC-67 compare_and_swap loses no step", "[sync][sync_map]", int, wide_int) {
    for (const int procs : {1, 2, 4}) {
        const int each = scaled(3000);
        int sum = 0;
        run_on(procs, [&] {
            vole::sync_map<int, TestType> m;
            m.store(0, 0);
            vole::wait_group done;
            for (int g = 0; g < 6; ++g) {
                done.go([&] {
                    for (int i = 0; i < each; ++i) {
                        for (;;) {
                            const int seen = *m.load(0);
                            if (m.compare_and_swap(0, seen, seen + 1)) break;
                            vole::gosched();
                        }
                    }
                });
            }
            done.wait();
            sum = *m.load(0);
        });
        CHECK(sum == 6 * each);
    }
}

TEMPLATE_TEST_CASE("SYNC-67 what is swapped in comes out exactly once", "[sync][sync_map]", int,
                   wide_int) {
    for (const int procs : {2, 4}) {
        const int each = scaled(3000);
        std::vector<int> seen(static_cast<std::size_t>(6 * each) + 1);
        run_on(procs, [&] {
            vole::sync_map<int, TestType> m;
            vole::mutex mu;
            vole::wait_group done;
            const auto note = [&](std::optional<TestType> v) {
                if (!v) return;
                const std::lock_guard hold(mu);
                ++seen[static_cast<std::size_t>(*v)];
            };
            for (int g = 0; g < 6; ++g) {
                done.go([&, g] {
                    for (int i = 0; i < each; ++i) {
                        note(m.swap(0, g * each + i + 1));
                        if (i % 3 == 0) note(m.load_and_delete(0));
                    }
                });
            }
            done.wait();
            note(m.load_and_delete(0));
        });
        seen[0] = 1;
        CHECK(std::set<int>(seen.begin(), seen.end()) == std::set<int>{1});
    }
}

TEST_CASE("SYNC-67 of those who delete or swap one key at once each value goes to one",
          "[sync][sync_map]") {
    // While one has read the value, and has not erased it yet, another one does.
    struct yielding {
        int n;
        explicit yielding(int k) : n(k) {}
        yielding(const yielding& other) : n(other.n) { vole::gosched(); }
        yielding(yielding&& other) noexcept : n(other.n) {}
    };
    const auto attempt = [](bool swaps) {
        std::vector<int> got;
        run_on(1, [&] {
            vole::sync_map<int, yielding> m;
            m.store(1, yielding(1));
            vole::wait_group done;
            for (int i = 2; i < 6; ++i) {
                done.go([&, i] {
                    const auto old =
                        swaps && i % 2 != 0 ? m.swap(1, yielding(i)) : m.load_and_delete(1);
                    if (old) got.push_back(old->n);
                });
            }
            done.wait();
            if (const auto last = m.load_and_delete(1)) got.push_back(last->n);
        });
        std::sort(got.begin(), got.end());
        return got;
    };
    CHECK(attempt(false) == std::vector<int>{1});
    CHECK(attempt(true) == std::vector<int>{1, 3, 5});
}

TEST_CASE("SYNC-68 a missing key is never swapped nor deleted by comparison", "[sync][sync_map]") {
    vole::sync_map<int, std::shared_ptr<int>> m;
    CHECK_FALSE(m.compare_and_swap(1, nullptr, std::make_shared<int>(1)));
    CHECK_FALSE(m.compare_and_delete(1, nullptr));
    CHECK(m.empty());
    m.store(1, nullptr);
    CHECK(m.compare_and_swap(1, nullptr, std::make_shared<int>(1)));
    CHECK_FALSE(m.compare_and_delete(1, nullptr));
}

TEST_CASE("SYNC-69 range visits each key once and stops when told to", "[sync][sync_map]") {
    const std::string text = everywhere([](findings& ok) {
        int_map m;
        for (int i = 0; i < 1000; ++i) m.store(i, i + 1);
        std::map<int, int> visits;
        m.range([&](int k, int v) {
            ++visits[k];
            ok(v == k + 1);
            return true;
        });
        ok(visits.size() == 1000);
        for (const auto& [k, n] : visits) ok(n == 1);
        int calls = 0;
        m.range([&](int, int) { return ++calls < 10; });
        ok.equal(calls, 10);
    });
    CHECK(text == "");
}

TEMPLATE_TEST_CASE("SYNC-69 the function may use the map", "[sync][sync_map]", int, wide_int) {
    const auto each = []<class M>(findings& ok, M& m) {
        for (int i = 0; i < 30; ++i) m.store(i, 0);
        std::map<int, int> visits;
        m.range([&](int k, int v) {
            ++visits[k];
            ok(v == 0 || k >= 30);
            m.store(k, 1);  // not again for that
            m.erase(k);
            m.store(k, 2);  // nor for that
            if (k < 30) m.load_or_store(k + 1000, 3);
            m.range([&](int other, int) {
                m.compare_and_swap(other, 2, 4);
                return other != k;
            });
        });
        for (int i = 0; i < 30; ++i) ok(visits[i] == 1);
        for (const auto& [k, n] : visits) ok(n == 1);
        m.range([&](int k, int) { m.erase(k); });
        ok(m.empty());
        ok(content(m).empty());
    };
    CHECK(everywhere([&](findings& ok) {
              vole::sync_map<int, TestType> m;
              each(ok, m);
          }) == "");
    CHECK(everywhere([&](findings& ok) {
              vole::sync_map<int, TestType, same_hash> m;
              each(ok, m);
          }) == "");
}

TEMPLATE_TEST_CASE("SYNC-69 what is there all the time is visited while others write",
                   "[sync][sync_map]", int, wide_int) {
    for (const int procs : {1, 2, 4}) {
        findings ok;
        run_on(procs, [&] {
            vole::sync_map<int, TestType> m;
            for (int i = 0; i < 200; ++i) m.store(i, 0);
            std::atomic<bool> stop{false};
            vole::wait_group done;
            for (int g = 0; g < 3; ++g) {
                done.go([&, g] {
                    for (int i = 0; !stop; ++i) {
                        m.store(i % 200, i);                  // replaced: always there
                        m.store(1000 + g * 100 + i % 50, i);  // comes and goes
                        m.erase(1000 + g * 100 + (i + 25) % 50);
                        if (i % 32 == 0) vole::gosched();
                    }
                });
            }
            for (int round = 0; round < scaled(300); ++round) {
                std::map<int, int> visits;
                m.range([&](int k, int) { ++visits[k]; });
                for (int i = 0; i < 200; ++i) ok(visits[i] == 1, "there all the time");
                for (const auto& [k, n] : visits) ok(n == 1, "once");
                vole::gosched();
            }
            stop = true;
            done.wait();
        });
        CHECK(ok.text() == "");
    }
}

TEST_CASE("SYNC-69 nobody waits for a range that blocks", "[sync][sync_map]") {
    bool went_on = false;
    run_on(1, [&] {
        int_map m;
        for (int i = 0; i < 10; ++i) m.store(i, i);
        auto entered = vole::make_chan<void>();
        auto go_on = vole::make_chan<void>();
        vole::wait_group done;
        done.go([&] {
            m.range([&](int, int) {
                entered.send();
                go_on.recv();
                return false;
            });
        });
        entered.recv();
        for (int i = 0; i < 100; ++i) m.store(i, -i);
        for (int i = 0; i < 50; ++i) m.erase(i);
        went_on = m.load(70) == -70 && !m.load(20);
        m.clear();
        went_on = went_on && content(m).empty();
        go_on.close();
        done.wait();
    });
    CHECK(went_on);
}

TEST_CASE("SYNC-70 clear erases what was there", "[sync][sync_map]") {
    CHECK(everywhere([](findings& ok) {
              int_map m;
              m.clear();
              for (int i = 0; i < 1000; ++i) m.store(i, i);
              m.clear();
              ok(m.empty());
              ok(content(m).empty());
              for (int i = 0; i < 1000; ++i) ok(!m.load(i));
              m.store(1, 2);
              ok(m.load(1) == 2);
          }) == "");
}

TEMPLATE_TEST_CASE("SYNC-70 what was stored before a clear is gone after it, whoever writes",
                   "[sync][sync_map]", int, wide_int) {
    for (const int procs : {2, 4}) {
        findings ok;
        run_on(procs, [&] {
            vole::sync_map<int, TestType> m;
            std::atomic<bool> stop{false};
            vole::wait_group done;
            done.go([&] {
                for (int i = 0; !stop; ++i) {
                    m.store(i % 100, -1);  // other keys than those that are looked for
                    if (i % 16 == 0) vole::gosched();
                }
            });
            for (int round = 0; round < scaled(300); ++round) {
                for (int i = 0; i < 20; ++i) m.store(1000 + i, round);
                m.clear();
                for (int i = 0; i < 20; ++i) ok(!m.load(1000 + i));
                vole::gosched();
            }
            stop = true;
            done.wait();
        });
        CHECK(ok.text() == "");
    }
}

TEMPLATE_TEST_CASE("SYNC-72 a write is seen whole by who sees its effect", "[sync][sync_map]", int,
                   wide_int) {
    for (const int procs : {2, 4}) {
        findings ok;
        const int rounds = scaled(5000);
        run_on(procs, [&] {
            std::vector<int> plain(
                static_cast<std::size_t>(rounds));  // no atomics: the map is the order
            vole::sync_map<int, TestType> m;
            vole::wait_group done;
            done.go([&] {
                for (int i = 0; i < rounds; ++i) {
                    plain[static_cast<std::size_t>(i)] = i + 1;
                    m.store(i % 50, i);
                }
            });
            done.go([&] {
                for (int i = 0; i < rounds; ++i) {
                    const auto seen = m.load(i % 50);
                    if (seen) ok(plain[static_cast<std::size_t>(*seen)] == *seen + 1);
                    if (i % 20 == 0) vole::gosched();
                }
            });
            done.wait();
        });
        CHECK(ok.text() == "");
    }
}

namespace {
struct padded {
    char a;
    int b;
    friend bool operator==(const padded& x, const padded& y) { return x.a == y.a && x.b == y.b; }
};
enum class colour : std::uint8_t { red, green };
}  // namespace
TEMPLATE_TEST_CASE("SYNC-67 SYNC-68 a word of any type keeps its value", "[sync][sync_map]", bool,
                   signed char, short, float, double, const char*, colour, padded) {
    static const char text[] = "text";
    const auto values = [] {
        if constexpr (std::is_same_v<TestType, padded>) {
            return std::pair(padded{'a', -1}, padded{'b', 2});
        } else if constexpr (std::is_pointer_v<TestType>) {
            return std::pair<TestType, TestType>(text, nullptr);
        } else {
            return std::pair(static_cast<TestType>(1), static_cast<TestType>(0));
        }
    }();
    static_assert(vole::detail::changes_in_place<TestType>);
    vole::sync_map<int, TestType> m;
    m.store(1, values.first);
    CHECK(m.load(1) == values.first);
    CHECK_FALSE(m.compare_and_swap(1, values.second, values.second));
    CHECK(m.compare_and_swap(1, values.first, values.second));
    CHECK(m.swap(1, values.first) == values.second);
    CHECK_FALSE(m.compare_and_delete(1, values.second));
    CHECK(m.load_and_delete(1) == values.first);
    CHECK(m.empty());
}

TEST_CASE("SYNC-95 a map at namespace scope works before any run", "[sync][sync_map]") {
    global.store(1, 2);
    CHECK(global.load(1) == 2);
    global.clear();
    CHECK(global.empty());
}

TEST_CASE("SYNC-97 threads and goroutines share a map, also inside blocking()",
          "[sync][sync_map]") {
    const int each = scaled(3000);
    findings ok;
    run_on(2, [&] {
        vole::sync_map<int, std::string> m;
        vole::wait_group done;
        std::vector<std::thread> threads;
        const auto work = [&](int who) {
            for (int i = 0; i < each; ++i) {
                const int k = who * each + i;
                m.store(k, std::to_string(k));
                ok(m.load(k) == std::to_string(k));
                if (i % 2 == 0) ok(m.erase(k));
            }
        };
        for (int i = 0; i < 3; ++i) {
            done.go([&, i] { work(i); });
            done.go([&, i] { vole::blocking([&] { work(3 + i); }); });
            threads.emplace_back([&, i] { work(6 + i); });
        }
        done.wait();
        vole::blocking([&] {
            for (auto& t : threads) t.join();
        });
        ok(m.size() == static_cast<std::size_t>(9 * (each / 2)));
    });
    CHECK(ok.text() == "");
}
