// sync_map and pool under load. Cites SYNC-65, SYNC-66, SYNC-67, SYNC-69, SYNC-71.
#include <catch2/catch.hpp>

#include <vole/pool.hpp>
#include <vole/sync.hpp>
#include <vole/sync_map.hpp>

#include "test/support/findings.hpp"
#include "test/support/scale.hpp"
#include "test/support/wait.hpp"

#include <atomic>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

using namespace vole::test;

namespace {

// Says whether it is alive: memory that is read too late has another number in it, most likely.
struct marked {
    explicit marked(int n) : number(n), mark(0x600d) { ++alive; }
    marked(const marked& other) : number(other.number), mark(other.mark) { ++alive; }
    marked& operator=(const marked&) = delete;
    ~marked() {
        mark = 0xdead;
        --alive;
    }
    bool whole() const { return mark == 0x600d; }

    int number;
    volatile int mark;
    static inline std::atomic<long> alive{0};
};

// The same for a word, which changes in its entry: it has no life of its own, but may be torn.
struct marked_word {
    explicit marked_word(int n) : number(n), mark(~n) {}
    bool whole() const { return mark == ~number; }

    int number;
    int mark;
};

struct poor_hash {
    std::size_t operator()(int k) const noexcept { return static_cast<std::size_t>(k % 5); }
};

// `f` for 6 goroutines and 2 threads; each gets its number.
template <class F>
void crowd(int procs, F f) {
    run_on(procs, [&] {
        vole::wait_group done;
        std::vector<std::thread> threads;
        for (int i = 0; i < 6; ++i) done.go([&, i] { f(i); });
        for (int i = 6; i < 8; ++i) threads.emplace_back([&, i] { f(i); });
        done.wait();
        vole::blocking([&] {
            for (auto& t : threads) t.join();
        });
    });
}

// Each key's values are added and taken out in steps that can be summed up: in the end, what went in is what came
// out and what is left.
template <class Map>
void balance(int procs, int keys, int each) {
    using value = typename Map::mapped_type;
    marked::alive = 0;
    findings ok;
    {
        Map m;
        std::atomic<long> in{0};
        std::atomic<long> out{0};
        crowd(procs, [&](int who) {
            std::minstd_rand random(static_cast<unsigned>(who * 31 + procs));
            const auto took = [&](const auto& old) {
                if (!old) return;
                ok(old->whole());
                out += old->number;
            };
            for (int i = 0; i < each; ++i) {
                const int k = static_cast<int>(random() % static_cast<unsigned>(keys));
                const int n = static_cast<int>(random() % 1000);
                switch (random() % 8) {
                    case 0:
                        in += n;
                        took(m.swap(k, value(n)));
                        break;
                    case 1: took(m.load_and_delete(k)); break;
                    case 2: {
                        const auto [v, loaded] = m.load_or_store(k, value(n));
                        ok(v.whole());
                        if (!loaded) in += n;
                        break;
                    }
                    case 3:
                        if (i % 64 == 0) {
                            m.range([&](int, const value& v) {
                                ok(v.whole());
                                return (v.number & 7) != 0;
                            });
                        }
                        break;
                    default:
                        if (const auto v = m.load(k)) ok(v->whole());
                }
                if (i % 100 == 0) vole::gosched();
            }
        });
        long left = 0;
        std::size_t entries = 0;
        m.range([&](int, const value& v) {
            left += v.number;
            ++entries;
        });
        CHECK(in == out + left);
        CHECK(m.size() == entries);
        if (std::is_same_v<value, marked>) CHECK(marked::alive == static_cast<long>(entries));
    }
    CHECK(ok.text() == "");
    CHECK(marked::alive == 0);
}

}  // namespace

TEMPLATE_TEST_CASE("stress SYNC-67: few keys, many writers, and nothing is lost or read too late",
                   "[stress][sync_map]", marked, marked_word) {
    for (const int procs : {1, 2, 4, 8}) {
        balance<vole::sync_map<int, TestType>>(procs, 8, stress_scaled(60000));
        balance<vole::sync_map<int, TestType, poor_hash>>(procs, 20, stress_scaled(30000));
    }
}

TEMPLATE_TEST_CASE("stress SYNC-67: many keys, while the table grows", "[stress][sync_map]", marked,
                   marked_word) {
    for (const int procs : {2, 4}) {
        balance<vole::sync_map<int, TestType>>(procs, 20000, stress_scaled(100000));
    }
}

TEST_CASE("stress SYNC-69: ranges and clears among writers", "[stress][sync_map]") {
    for (const int procs : {2, 4}) {
        findings ok;
        marked::alive = 0;
        {
            vole::sync_map<int, marked, poor_hash> m;
            for (int k = 0; k < 10; ++k) m.store(k, marked(k));  // replaced, never erased
            crowd(procs, [&](int who) {
                for (int i = 0; i < stress_scaled(10000); ++i) {
                    if (who == 0) {
                        std::vector<int> visits(110);
                        m.range([&](int k, const marked& v) {
                            ok(v.whole());
                            ++visits[static_cast<std::size_t>(k)];
                        });
                        for (int k = 0; k < 110; ++k) {
                            const int n = visits[static_cast<std::size_t>(k)];
                            ok(k < 10 ? n == 1 : n <= 1);
                        }
                    } else {
                        m.store(i % 10, marked(i));
                        m.store(10 + (i * 7 + who) % 100, marked(i));
                        m.erase(10 + (i * 5 + who) % 100);
                    }
                    if (i % 50 == 0) vole::gosched();
                }
            });
            m.clear();
            CHECK(m.empty());
            CHECK(marked::alive == 0);
        }
        CHECK(ok.text() == "");
    }
}

TEST_CASE("stress SYNC-71: readers that wait in their copies, while all is replaced",
          "[stress][sync_map]") {
    struct slow : marked {
        explicit slow(int n) : marked(n) {}
        slow(const slow& other) : marked(other) {
            vole::gosched();  // perhaps on another P
            if (!other.whole()) mark = 0xbad;
        }
    };
    for (const int procs : {1, 2, 4}) {
        findings ok;
        marked::alive = 0;
        vole::sync_map<int, slow> m;
        crowd(procs, [&](int who) {
            for (int i = 0; i < stress_scaled(10000); ++i) {
                if (who % 2 == 0) {
                    if (const auto v = m.load(i % 5)) ok(v->whole());
                } else if (i % 3 == 0) {
                    m.erase(i % 5);
                } else {
                    m.store(i % 5, slow(i));
                }
            }
        });
        m.clear();
        CHECK(ok.text() == "");
        CHECK(marked::alive == 0);
    }
}

TEST_CASE("stress SYNC-65: a pool while the number of Ps changes", "[stress][pool]") {
    findings ok;
    marked::alive = 0;
    {
        vole::pool<marked> p;
        crowd(8, [&](int who) {
            std::minstd_rand random(static_cast<unsigned>(who + 1));
            std::vector<std::unique_ptr<marked>> held;
            for (int i = 0; i < stress_scaled(40000); ++i) {
                switch (random() % 4) {
                    case 0:
                    case 1: {
                        auto x = p.get();
                        if (x == nullptr)
                            x = std::make_unique<marked>(static_cast<int>(random() % 64));
                        ok(x->whole());
                        held.push_back(std::move(x));
                        break;
                    }
                    case 2:
                        if (!held.empty()) {
                            p.put(std::move(held.back()));
                            held.pop_back();
                        }
                        break;
                    case 3:
                        if (i % 128 == 0) p.shrink();
                        if (who == 0 && i % 64 == 0)
                            vole::gomaxprocs(1 + static_cast<int>(random() % 8));
                        break;
                }
                if (held.size() > 20) {
                    for (auto& x : held) p.put(std::move(x));
                    held.clear();
                }
                if (i % 50 == 0) vole::gosched();
            }
        });
        p.shrink();
        p.shrink();
        CHECK(marked::alive == 0);
    }
    CHECK(ok.text() == "");
}
