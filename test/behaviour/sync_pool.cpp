// vole::pool. Cites SYNC-60 to SYNC-66, SYNC-95, SYNC-97; against a model: property_map_pool.cpp.
#include <catch2/catch.hpp>

#include <vole/pool.hpp>
#include <vole/sync.hpp>

#include "test/behaviour/sched_support.hpp"
#include "test/support/findings.hpp"

#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

using namespace vole::test;

static_assert(!std::is_copy_constructible_v<vole::pool<int>>);
static_assert(!std::is_move_constructible_v<vole::pool<int>>);
static_assert(!std::is_copy_assignable_v<vole::pool<int>>);

namespace {

// SYNC-95: no dynamic initialisation
constinit vole::pool<int> global;
constinit vole::pool<int> global_making([] { return std::make_unique<int>(7); });

// How many exist.
struct counted {
    explicit counted(int k = 0) : n(k) { ++alive; }
    counted(const counted&) = delete;
    counted& operator=(const counted&) = delete;
    ~counted() { --alive; }

    int n;
    static inline std::atomic<int> alive{0};
};

// Puts another one into its pool when it goes, `left` times.
struct chained {
    chained(vole::pool<chained>* p, int n) : from(p), left(n) { ++alive; }
    chained(const chained&) = delete;
    chained& operator=(const chained&) = delete;
    ~chained() {
        --alive;
        if (left > 0) from->put(std::make_unique<chained>(from, left - 1));
    }

    vole::pool<chained>* from;
    int left;
    static inline std::atomic<int> alive{0};
};

std::unique_ptr<int> box(int n) { return std::make_unique<int>(n); }

// -1: nothing.
int got(vole::pool<int>& p) {
    const auto x = p.get();
    return x != nullptr ? *x : -1;
}

}  // namespace

TEST_CASE("SYNC-60 get gives what was put, else what make makes, else null", "[sync][pool]") {
    const std::string text = everywhere([](findings& ok) {
        int made = 0;
        vole::pool<int> plain;
        ok.equal(got(plain), -1);
        plain.put(nullptr);
        ok.equal(got(plain), -1);
        plain.put(box(3));
        ok.equal(got(plain), 3);
        ok.equal(got(plain), -1);

        vole::pool<int> making([&] { return box(100 + ++made); });
        ok.equal(got(making), 101);
        making.put(box(5));
        making.put(nullptr);
        ok.equal(got(making), 5);
        ok.equal(got(making), 102);

        vole::pool<std::string> by_value([] { return std::string("fresh"); });
        ok.equal(*by_value.get(), std::string("fresh"));
    });
    CHECK(text == "");
}

TEST_CASE("SYNC-61 the private item first, then the others, last in first out", "[sync][pool]") {
    const auto attempt = [] {
        return run_on(1, [] {
            vole::pool<int> p;
            for (int i = 1; i <= 40; ++i) p.put(box(i));  // the deque has to grow
            std::vector<int> order;
            for (int i = 0; i <= 40; ++i) order.push_back(got(p));
            return order;
        });
    };
    std::vector<int> expected{1};
    for (int i = 40; i >= 2; --i) expected.push_back(i);
    expected.push_back(-1);
    CHECK(attempt() == expected);
}

TEST_CASE("SYNC-61 others steal, the oldest first, but not the private item", "[sync][pool]") {
    std::vector<int> stolen;
    int left = 0;
    run_on(1, [&] {
        vole::pool<int> p;
        for (int i = 1; i <= 4; ++i) p.put(box(i));
        std::thread t([&] {  // has a shard of its own
            for (int i = 0; i < 4; ++i) stolen.push_back(got(p));
        });
        vole::blocking([&] { t.join(); });
        left = got(p);
    });
    CHECK(stolen == std::vector<int>{2, 3, 4, -1});
    CHECK(left == 1);
}

TEST_CASE("SYNC-62 what nobody takes goes with the second shrink", "[sync][pool]") {
    counted::alive = 0;
    const std::string text = everywhere([](findings& ok) {
        vole::pool<counted> p;
        for (int i = 0; i < 100; ++i) p.put(std::make_unique<counted>(i));
        p.shrink();
        ok.equal(counted::alive.load(), 100);
        for (int i = 0; i < 30; ++i) ok(p.get() != nullptr, "aged items are given, too");
        ok.equal(counted::alive.load(), 70);
        p.put(std::make_unique<counted>(1000));
        p.shrink();
        ok.equal(counted::alive.load(), 1);
        const auto x = p.get();
        ok(x != nullptr && x->n == 1000);
        p.shrink();
        p.shrink();
        ok.equal(counted::alive.load(), 1);
        ok(p.get() == nullptr);
    });
    CHECK(text == "");
    CHECK(counted::alive == 0);
}

TEST_CASE("SYNC-62 shrink finds what is private to other Ps, and to threads", "[sync][pool]") {
    counted::alive = 0;
    int after = -1;
    run_on(4, [&] {
        vole::pool<counted> p;
        vole::wait_group done;
        std::atomic<int> here{0};
        for (int g = 0; g < 4; ++g) {
            done.go([&] {  // all at once, so on several Ps
                ++here;
                while (here < 4) vole::gosched();
                p.put(std::make_unique<counted>());
                p.put(std::make_unique<counted>());
            });
        }
        std::thread t([&] { p.put(std::make_unique<counted>()); });
        done.wait();
        vole::blocking([&] { t.join(); });
        p.shrink();
        p.shrink();
        after = counted::alive;
    });
    CHECK(after == 0);
}

TEST_CASE("SYNC-62 the pool's end destroys what is in it", "[sync][pool]") {
    counted::alive = 0;
    const std::string text = everywhere([](findings& ok) {
        {
            vole::pool<counted> p;
            for (int i = 0; i < 50; ++i) p.put(std::make_unique<counted>());
            p.shrink();
            for (int i = 0; i < 50; ++i) p.put(std::make_unique<counted>());
            ok.equal(counted::alive.load(), 100);
        }
        ok.equal(counted::alive.load(), 0);
    });
    CHECK(text == "");
}

TEST_CASE("SYNC-62 so is what its items put back at their end", "[sync][pool]") {
    chained::alive = 0;
    const std::string text = everywhere([](findings& ok) {
        {
            vole::pool<chained> p;
            for (int i = 0; i < 3; ++i) p.put(std::make_unique<chained>(&p, 5));
        }
        ok.equal(chained::alive.load(), 0);
    });
    CHECK(text == "");
}

TEST_CASE("SYNC-62 an item's destructor may use the pool", "[sync][pool]") {
    const std::string text = everywhere([](findings& ok) {
        struct user {
            vole::pool<user>* from;
            bool again;
            ~user() {
                vole::gosched();
                if (again) from->put(std::make_unique<user>(user{from, false}));
            }
            user(vole::pool<user>* p, bool a) : from(p), again(a) {}
            user(user&& other) noexcept
                : from(other.from), again(std::exchange(other.again, false)) {}
        };
        vole::pool<user> p;
        for (int i = 0; i < 10; ++i) p.put(std::make_unique<user>(&p, true));
        p.shrink();
        p.shrink();
        int n = 0;
        while (p.get() != nullptr) ++n;
        ok.equal(n, 10);
        p.put(std::make_unique<user>(&p, true));  // destroyed by the pool's end
    });
    CHECK(text == "");
}

TEST_CASE("SYNC-63 make may throw, block and use the pool", "[sync][pool]") {
    const std::string text = everywhere([](findings& ok) {
        vole::pool<int>* self = nullptr;
        bool throws = true;
        vole::pool<int> p([&]() -> std::unique_ptr<int> {
            vole::gosched();
            if (throws) throw std::runtime_error("cannot");
            self->put(box(1));
            return box(2);
        });
        self = &p;
        ok.throws<std::runtime_error>("cannot", [&] { (void)p.get(); });
        throws = false;
        ok.equal(got(p), 2);
        ok.equal(got(p), 1);
    });
    CHECK(text == "");
}

TEST_CASE("SYNC-65 items survive changes of the number of Ps, or are freed", "[sync][pool]") {
    counted::alive = 0;
    std::size_t distinct = 0;
    int most = 0;
    int after = -1;
    run_on(8, [&] {
        vole::pool<counted> p;
        std::atomic<bool> stop{false};
        vole::wait_group done;
        for (int g = 0; g < 8; ++g) {
            done.go([&] {
                while (!stop) {
                    auto x = p.get();
                    if (x == nullptr) x = std::make_unique<counted>();
                    vole::gosched();
                    p.put(std::move(x));
                }
            });
        }
        for (int round = 0; round < scaled(40); ++round) {
            vole::gomaxprocs(1 + round * 5 % 8);
            for (int i = 0; i < 20; ++i) vole::gosched();
        }
        vole::gomaxprocs(1);
        stop = true;
        done.wait();
        std::set<std::unique_ptr<counted>> taken;
        most = counted::alive;
        while (auto x = p.get()) taken.insert(std::move(x));
        distinct = taken.size();
        p.shrink();
        p.shrink();
        taken.clear();
        after = counted::alive;
    });
    CHECK(distinct > 0);
    CHECK(distinct <= static_cast<std::size_t>(most));
    CHECK(after == 0);
}

TEST_CASE("SYNC-66 each item comes out exactly once", "[sync][pool]") {
    for (const int procs : {1, 2, 4}) {
        const int each = scaled(5000);
        std::vector<std::atomic<int>> seen(static_cast<std::size_t>(4 * each));
        int left = 0;
        run_on(procs, [&] {
            vole::pool<int> p;
            vole::wait_group done;
            std::atomic<int> out{0};
            const auto take = [&] {
                const auto x = p.get();
                if (x == nullptr) return false;
                ++seen[static_cast<std::size_t>(*x)];
                ++out;
                return true;
            };
            for (int g = 0; g < 4; ++g) {
                done.go([&, g] {
                    for (int i = 0; i < each; ++i) {
                        p.put(box(g * each + i));
                        if (i % 5 == 0) take();
                        if (i % 64 == 0) vole::gosched();
                    }
                });
            }
            std::atomic<bool> stop{false};
            std::vector<std::thread> thieves;
            for (int i = 0; i < 2; ++i) {
                thieves.emplace_back([&] {
                    while (!stop) {
                        if (!take()) std::this_thread::yield();
                    }
                });
            }
            done.wait();
            stop = true;
            vole::blocking([&] {
                for (auto& t : thieves) t.join();
            });
            p.shrink();  // what is private to other Ps is found afterwards
            while (take()) {
            }
            left = 4 * each - out;
        });
        CHECK(left == 0);
        std::set<int> counts;
        for (const auto& n : seen) counts.insert(n);
        CHECK(counts == std::set<int>{1});
    }
}

TEST_CASE("SYNC-66 also for threads that have no P", "[sync][pool]") {
    using in_use = std::atomic<bool>;
    vole::pool<in_use> p;
    for (int i = 0; i < 3; ++i) p.put(std::make_unique<in_use>(false));
    std::atomic<int> twice{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < scaled(20000); ++i) {
                auto x = p.get();
                if (x == nullptr) continue;
                if (x->exchange(true)) ++twice;
                *x = false;
                p.put(std::move(x));
            }
        });
    }
    for (auto& t : threads) t.join();
    CHECK(twice == 0);
    std::set<const in_use*> left;
    for (auto x = p.get(); x != nullptr; x = p.get()) left.insert(x.release());
    CHECK(left.size() == 3);
    for (const in_use* x : left) delete x;
}

TEST_CASE("SYNC-60 what was written before put is seen after get", "[sync][pool]") {
    struct message {
        int a = 0;
        int b = 0;
    };
    for (const int procs : {2, 4}) {
        findings ok;
        run_on(procs, [&] {
            vole::pool<message> p([] { return std::make_unique<message>(); });
            vole::wait_group done;
            for (int g = 0; g < 4; ++g) {
                done.go([&] {
                    for (int i = 0; i < scaled(4000); ++i) {
                        auto x = p.get();
                        auto y = p.get();
                        ok(x->a == x->b && y->a == y->b);
                        x->a = x->b = i;  // plain: the pool is the order
                        p.put(std::move(x));
                        if (i % 7 == 0) vole::gosched();
                        p.put(std::move(y));
                        if (i % 100 == 0) p.shrink();
                    }
                });
            }
            done.wait();
        });
        CHECK(ok.text() == "");
    }
}

TEST_CASE("SYNC-95 a pool at namespace scope works before any run", "[sync][pool]") {
    global.put(box(4));
    CHECK(got(global) == 4);
    CHECK(got(global_making) == 7);
}

TEST_CASE("SYNC-97 threads and goroutines share a pool, also inside blocking()", "[sync][pool]") {
    counted::alive = 0;
    run_on(2, [&] {
        vole::pool<counted> p([] { return std::make_unique<counted>(); });
        vole::wait_group done;
        std::vector<std::thread> threads;
        const auto work = [&] {
            for (int i = 0; i < scaled(3000); ++i) {
                auto x = p.get();
                auto y = p.get();
                p.put(std::move(x));
                p.put(std::move(y));
                if (i % 500 == 0) p.shrink();
            }
        };
        for (int i = 0; i < 3; ++i) {
            done.go(work);
            done.go([&] { vole::blocking(work); });
            threads.emplace_back(work);
        }
        done.wait();
        vole::blocking([&] {
            for (auto& t : threads) t.join();
        });
    });
    CHECK(counted::alive == 0);
}
