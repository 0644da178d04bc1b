// What vole::sync_map does with keys and values: when it destroys them, and what their code may do. Cites SYNC-67,
// SYNC-71, SYNC-98.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/sync.hpp>
#include <vole/sync_map.hpp>

#include "test/behaviour/sched_support.hpp"
#include "test/support/findings.hpp"

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

using namespace vole::test;

using int_map = vole::sync_map<int, int>;

namespace {

// How many exist.
struct counted {
    explicit counted(int k) : n(k) { ++alive; }
    counted(const counted& other) : n(other.n) { ++alive; }
    counted& operator=(const counted&) = delete;
    ~counted() { --alive; }
    friend bool operator==(const counted& a, const counted& b) { return a.n == b.n; }

    int n;
    static inline std::atomic<int> alive{0};
};

// A value whose copies do what the test wants.
struct copied {
    int n = 0;
    const std::function<void()>* on_copy = nullptr;

    copied(int value, const std::function<void()>* f) : n(value), on_copy(f) {}
    copied(const copied& other) : n(other.n), on_copy(other.on_copy) {
        if (on_copy != nullptr && *on_copy) (*on_copy)();
    }
    copied(copied&&) noexcept = default;
    copied& operator=(copied&&) noexcept = default;
};

// Throws at the n-th copy, comparison or hash, once armed with n.
struct thrower {
    int n = 0;
    static void maybe() {
        if (armed > 0 && --armed == 0) throw std::runtime_error("thrown");
    }
    static inline int armed = 0;

    explicit thrower(int k) : n(k) {}
    thrower(const thrower& t) : n(t.n) { maybe(); }
    thrower(thrower&& t) noexcept : n(t.n) {}
    bool operator==(const thrower& t) const {
        maybe();
        return n == t.n;
    }
};
struct throwing_hash {
    std::size_t operator()(const thrower&) const {
        thrower::maybe();
        return 1;
    }
};

}  // namespace

TEST_CASE("SYNC-71 what is erased or replaced is destroyed at once if nobody reads",
          "[sync][sync_map]") {
    const std::string text = everywhere([](findings& ok) {
        const int before = counted::alive;
        vole::sync_map<int, counted> m;
        for (int round = 0; round < scaled(3000); ++round) {
            m.store(round, counted(1));
            m.store(round, counted(2));
            ok.equal(counted::alive - before, 1);
            ok(m.swap(round, counted(3))->n == 2);
            ok.equal(counted::alive - before, 1);
            ok(m.compare_and_swap(round, counted(3), counted(4)));
            ok.equal(counted::alive - before, 1);
            switch (round % 4) {
                case 0: ok(m.erase(round)); break;
                case 1: ok(m.load_and_delete(round)->n == 4); break;
                case 2: ok(m.compare_and_delete(round, counted(4))); break;
                case 3: m.clear(); break;
            }
            ok.equal(counted::alive - before, 0);
        }
    });
    CHECK(text == "");
}

TEST_CASE("SYNC-71 no leak over many distinct keys, and none by the map's end",
          "[sync][sync_map]") {
    counted::alive = 0;
    run_on(4, [] {
        vole::sync_map<int, counted> m;
        vole::wait_group done;
        for (int g = 0; g < 4; ++g) {
            done.go([&, g] {
                for (int i = 0; i < scaled(5000); ++i) {
                    m.store(4 * i + g, counted(i));
                    if (i % 10 != 0) m.erase(4 * i + g);
                }
            });
        }
        done.wait();
    });
    CHECK(counted::alive == 0);
}

TEST_CASE("SYNC-71 a value lives until the last who copies it is done", "[sync][sync_map]") {
    for (const int procs : {1, 2}) {
        std::vector<long> uses;
        int got = 0;
        run_on(procs, [&] {
            struct slow {
                std::shared_ptr<int> p;
                vole::chan<void> entered;
                vole::chan<void> go_on;
                slow(std::shared_ptr<int> q, vole::chan<void> a, vole::chan<void> b)
                    : p(std::move(q)), entered(a), go_on(b) {}
                slow(const slow& other) : entered(other.entered), go_on(other.go_on) {
                    if (entered) {
                        entered.send();
                        go_on.recv();
                    }
                    p = other.p;  // still there
                }
                slow(slow&&) = default;
            };
            auto p = std::make_shared<int>(5);
            auto entered = vole::make_chan<void>();
            auto go_on = vole::make_chan<void>();
            vole::sync_map<int, slow> m;
            m.store(1, slow(p, entered, go_on));
            vole::wait_group done;
            done.go([&] { got = *m.load(1)->p; });
            entered.recv();
            m.erase(1);
            m.store(2, slow(p, {}, {}));
            m.erase(2);
            uses.push_back(p.use_count());  // ours, and both in the map
            go_on.close();
            done.wait();
            uses.push_back(p.use_count());
        });
        CHECK(got == 5);
        CHECK(uses == std::vector<long>{3, 1});
    }
}

TEST_CASE("SYNC-71 destructors, copies, hashes and comparisons may use the map",
          "[sync][sync_map]") {
    const std::string text = everywhere([](findings& ok) {
        static int_map* other = nullptr;
        struct user {
            int n;
            explicit user(int k) : n(k) {}
            user(const user& u) : n(u.n) { touch(); }
            ~user() { touch(); }
            void touch() const {
                if (other == nullptr) return;
                other->store(n, n);
                other->erase(n);
                vole::gosched();
            }
            bool operator==(const user& u) const {
                touch();
                return n == u.n;
            }
        };
        struct hash {
            std::size_t operator()(const user& u) const {
                u.touch();
                return static_cast<std::size_t>(u.n % 3);
            }
        };
        int_map used;
        other = &used;
        {
            vole::sync_map<user, user, hash> m;
            for (int i = 0; i < 30; ++i) m.store(user(i), user(i));
            for (int i = 0; i < 30; ++i) ok(m.load(user(i))->n == i);
            m.range([&](const user& k, const user&) { ok(m.erase(k)); });
            ok(m.empty());
        }
        other = nullptr;
    });
    CHECK(text == "");
}

TEST_CASE("SYNC-67 what a copy, a hash or a comparison throws leaves the map as it was",
          "[sync][sync_map]") {
    vole::sync_map<thrower, thrower, throwing_hash> m;
    for (int i = 0; i < 3; ++i) m.store(thrower(i), thrower(i));
    const thrower key(1);
    const thrower added(7);
    const std::vector<std::function<void()>> operations{
        [&] { (void)m.load(key); },
        [&] { m.store(thrower(1), thrower(9)); },
        [&] { m.store(thrower(7), thrower(9)); },
        [&] { (void)m.load_or_store(key, thrower(9)); },
        [&] { (void)m.load_or_store(added, thrower(9)); },
        [&] { (void)m.swap(thrower(1), thrower(9)); },
        [&] { m.erase(key); },
        [&] { (void)m.load_and_delete(key); },
        [&] { m.compare_and_swap(key, thrower(1), thrower(9)); },
        [&] { m.compare_and_delete(key, thrower(1)); },
    };
    for (const auto& operation : operations) {
        int thrown = 0;
        for (int at = 1;; ++at) {
            thrower::armed = at;
            try {
                operation();
                break;
            } catch (const std::runtime_error&) {
                ++thrown;
            }
            thrower::armed = 0;
            std::map<int, int> all;
            m.range([&](const thrower& k, const thrower& v) { all[k.n] = v.n; });
            CHECK(all == std::map<int, int>{{0, 0}, {1, 1}, {2, 2}});
        }
        thrower::armed = 0;
        CHECK(thrown > 0);
        m.clear();
        for (int i = 0; i < 3; ++i) m.store(thrower(i), thrower(i));
    }
}

TEST_CASE("SYNC-98 goexit in a copy leaves nothing behind", "[sync][sync_map]") {
    bool ok = false;
    run_on(1, [&] {
        const std::function<void()> leave = [] { vole::goexit(); };
        vole::sync_map<int, copied> m;
        m.store(1, copied(1, &leave));
        vole::wait_group done;
        done.go([&] { (void)m.load(1); });
        done.wait();
        const int before = counted::alive;
        vole::sync_map<int, counted> other;
        other.store(1, counted(1));
        other.erase(1);
        ok = counted::alive == before && m.erase(1);
    });
    CHECK(ok);
}
