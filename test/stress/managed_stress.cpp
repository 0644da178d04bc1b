// Managed objects under load: weak handles, cleanups, from goroutines and threads. Cites WEAK-2, WEAK-6, CLN-4,
// CLN-5, CLN-13, CLN-14.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/managed.hpp>
#include <vole/panic.hpp>
#include <vole/sync.hpp>

#include "test/support/duel.hpp"
#include "test/support/scale.hpp"
#include "test/support/wait.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <malloc.h>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <unordered_map>
#include <vector>

using namespace vole::test;

namespace {

/// Tells whether it is whole.
struct checked {
    static constexpr std::uint64_t whole = 0x5ca1ab1e;
    std::uint64_t front = whole;
    std::array<std::uint64_t, 6> body{};
    std::uint64_t back = whole;
    ~checked() { front = back = 0; }
    bool is_whole() const { return front == whole && back == whole; }
};

constexpr bool heap_is_measured =
#if defined(VOLE_ASAN) || defined(VOLE_TSAN)
    false;
#else
    true;
#endif

/// Bytes that malloc has handed out.
std::size_t heap_in_use() {
    const auto info = ::mallinfo2();
    return info.uordblks + info.hblkhd;
}

}  // namespace

TEST_CASE("stress WEAK-6: slots of objects that are replaced and looked at", "[stress][managed]") {
    for (const int procs : {1, 2, 4}) {
        constexpr std::size_t slots = 8;
        struct slot {
            vole::mutex mu;
            std::shared_ptr<checked> strong;
            vole::weak<checked> handle;
        };
        std::array<slot, slots> all;
        const int rounds = stress_scaled(20'000);
        std::atomic<int> broken{0};
        std::atomic<int> resurrected{0};
        std::atomic<int> unequal{0};
        std::atomic<std::uint64_t> born{0};
        std::atomic<std::uint64_t> cleaned{0};
        run_on(procs, [&] {
            const auto replace = [&](dice& roll) {
                slot& s = all[roll(slots)];
                auto fresh = vole::make_managed<checked>();
                const auto w = vole::make_weak(fresh);
                ++born;
                vole::add_cleanup(
                    fresh,
                    [&](const vole::weak<checked>& dead) {
                        if (dead.value() != nullptr) ++resurrected;
                        ++cleaned;
                    },
                    w);
                const std::lock_guard lock(s.mu);
                s.strong.swap(fresh);  // the old one dies after the lock is released, or later
                s.handle = w;
            };
            const auto look = [&](dice& roll) {
                slot& s = all[roll(slots)];
                vole::weak<checked> w;
                {
                    const std::lock_guard lock(s.mu);
                    w = s.handle;
                }
                if (roll(4) == 0) vole::gosched();
                const auto got = w.value();
                if (got == nullptr) return;
                if (!got->is_whole()) ++broken;
                if (vole::make_weak(got) != w) ++unequal;
            };
            const auto work = [&](std::uint64_t seed) {
                dice roll(seed);
                for (int i = 0; i < rounds; ++i) {
                    if (roll(3) == 0) {
                        replace(roll);
                    } else {
                        look(roll);
                    }
                }
            };
            std::vector<std::thread> threads;
            vole::wait_group done;
            for (std::uint64_t i = 1; i <= 4; ++i) done.go([&, i] { work(i); });
            for (std::uint64_t i = 5; i <= 6; ++i) threads.emplace_back([&, i] { work(i); });
            done.wait();
            vole::blocking([&] {
                for (auto& t : threads) t.join();
            });
            for (auto& s : all) s.strong.reset();
            vole::drain_cleanups();
        });
        CHECK(broken == 0);
        CHECK(resurrected == 0);
        CHECK(unequal == 0);
        CHECK(cleaned == born);
    }
}

TEST_CASE("stress CLN-4: each cleanup runs exactly once, or was stopped", "[stress][managed]") {
    for (const int procs : {1, 2, 4, 10}) {
        const auto each = stress_scaled<std::size_t>(10'000);
        constexpr std::size_t workers = 8;
        // What became of each: how often it ran, and whether it was stopped in time.
        std::vector<std::atomic<unsigned char>> ran(workers * each);
        std::vector<std::atomic<unsigned char>> dropped(workers * each);
        struct call {
            std::atomic<unsigned char>* ran;
            std::atomic<unsigned char>* dropped;
            call(std::atomic<unsigned char>* r, std::atomic<unsigned char>* d)
                : ran(r), dropped(d) {}
            call(call&& o) noexcept : ran(o.ran), dropped(std::exchange(o.dropped, nullptr)) {}
            ~call() {
                if (dropped != nullptr) ++*dropped;
            }
            void operator()(std::uint64_t kind) const {
                ++*ran;
                if (kind == 0) vole::gosched();
                if (kind == 1) vole::goexit();
                if (kind == 2) {
                    // Dies in a cleanup, and has one.
                    auto p = vole::make_managed<int>(1);
                    vole::add_cleanup(
                        p, [](int) {}, 1);
                }
            }
        };
        std::atomic<std::size_t> stops{0};
        run_on(procs, [&] {
            auto elsewhere = vole::make_chan<std::shared_ptr<checked>>(64);
            const auto work = [&](std::size_t who) {
                dice roll(who + 1);
                std::vector<vole::cleanup_handle> handles;
                for (std::size_t i = 0; i < each;) {
                    auto p = vole::make_managed<checked>();
                    handles.clear();
                    for (auto n = roll(3) + 1; n > 0 && i < each; --n, ++i) {
                        const std::size_t at = who * each + i;
                        handles.push_back(
                            vole::add_cleanup(p, call(&ran[at], &dropped[at]), roll(32)));
                    }
                    // Dies here, or on the other side of a channel; stopped before, after or never.
                    const auto fate = roll(8);
                    if (fate == 0) handles.front().stop(), ++stops;
                    if (roll(2) == 0) {
                        elsewhere.send(std::move(p));
                    } else {
                        p.reset();
                    }
                    if (fate == 1) handles.back().stop();
                }
            };
            vole::wait_group done;
            for (std::size_t i = 0; i + 2 < workers; ++i) done.go([&, i] { work(i); });
            std::vector<std::thread> threads;
            for (std::size_t i = workers - 2; i < workers; ++i) {
                threads.emplace_back([&, i] { work(i); });
            }
            std::thread receiver([&] {
                for (auto& p : elsewhere) p.reset();
            });
            done.wait();
            vole::blocking([&] {
                for (auto& t : threads) t.join();
            });
            elsewhere.close();
            vole::blocking([&] { receiver.join(); });
            vole::drain_cleanups();
        });
        std::size_t lost = 0, twice = 0, kept = 0, stopped = 0;
        for (std::size_t i = 0; i < ran.size(); ++i) {
            if (ran[i] == 0) ++stopped;
            if (ran[i] > 1) ++twice;
            if (dropped[i] != 1) ++kept;
        }
        lost = stopped > 2 * ran.size() / 8 ? stopped : 0;  // more than were stopped
        CHECK(lost == 0);
        CHECK(stopped >= stops);
        CHECK(twice == 0);
        CHECK(kept == 0);
    }
}

TEST_CASE("stress CLN-13: many objects with cleanups, and their memory comes back",
          "[stress][managed]") {
    const auto objects = stress_scaled<std::size_t>(200'000);
    for (const int procs : {1, 4}) {
        std::atomic<std::size_t> ran{0};
        std::size_t before = 0;
        std::size_t after = 0;
        for (int round = 0; round < 2; ++round) {  // the first fills caches and pools
            before = heap_in_use();
            run_on(procs, [&] {
                std::vector<std::shared_ptr<checked>> all;
                std::vector<vole::weak<checked>> handles;
                all.reserve(objects);
                handles.reserve(objects);
                for (std::size_t i = 0; i < objects; ++i) {
                    all.push_back(vole::make_managed<checked>());
                    handles.push_back(vole::make_weak(all.back()));
                    vole::add_cleanup(
                        all.back(), [](std::atomic<std::size_t>* n) { ++*n; }, &ran);
                }
                // Half of them here, the other half on a thread.
                std::vector<std::shared_ptr<checked>> other(
                    std::make_move_iterator(all.begin() + static_cast<std::ptrdiff_t>(objects / 2)),
                    std::make_move_iterator(all.end()));
                std::thread t([&] { other.clear(); });
                all.clear();
                vole::blocking([&] { t.join(); });
                vole::drain_cleanups();
            });
            after = heap_in_use();
        }
        CHECK(ran == 2 * objects);
        if (heap_is_measured) CHECK(after < before + objects);  // a byte each would be too much
    }
}

TEST_CASE("stress CLN-4: cleanups that are stopped leave nothing with an object that lives on",
          "[stress][managed]") {
    const int rounds = stress_scaled(300'000);
    auto p = vole::make_managed<int>(1);
    const std::size_t before = heap_in_use();
    std::atomic<int> ran{0};
    run_on(2, [&] {
        vole::wait_group done;
        for (int g = 0; g < 3; ++g) {
            done.go([&] {
                for (int i = 0; i < rounds / 3; ++i) {
                    vole::add_cleanup(
                        p, [&](int) { ++ran; }, i)
                        .stop();
                }
                vole::add_cleanup(
                    p, [&](int) { ++ran; }, 1);
            });
        }
        done.wait();
    });
    if (heap_is_measured) CHECK(heap_in_use() < before + 64 * 1024);
    p.reset();
    vole::drain_cleanups();
    CHECK(ran == 3);
}

TEST_CASE("stress CLN-2: cleanups that block, among many that do not", "[stress][managed]") {
    for (const int procs : {1, 2, 4}) {
        const int objects = stress_scaled(5'000);
        std::atomic<int> ran{0};
        std::atomic<int> woken{0};
        int blocked = 0;
        run_on(procs, [&] {
            auto gate = vole::make_chan<void>();
            dice roll(7);
            int expected = 0;
            for (int i = 0; i < objects; ++i) {
                auto p = vole::make_managed<int>(i);
                if (roll(50) == 0) {
                    ++blocked;
                    vole::add_cleanup(
                        p,
                        [&](const vole::chan<void>& c) {
                            (void)c.recv();
                            ++woken;
                        },
                        gate);
                } else {
                    ++expected;
                    vole::add_cleanup(
                        p,
                        [&](std::uint64_t kind) {
                            ++ran;
                            if (kind == 0) {
                                vole::blocking([] { std::this_thread::yield(); });
                            }
                        },
                        roll(64));
                }
            }
            wait_until([&] { return ran == expected; }, "cleanups behind blocked ones");
            gate.close();
            vole::drain_cleanups();
        });
        CHECK(woken == blocked);
    }
}

TEST_CASE("stress WEAK-5: a cache whose cleanups erase what has died", "[stress][managed]") {
    for (const int procs : {1, 4}) {
        struct table {
            vole::mutex mu;
            std::unordered_map<int, vole::weak<checked>> entries;
        } t;
        const int rounds = stress_scaled(20'000);
        std::atomic<int> broken{0};
        std::size_t left = 1;
        run_on(procs, [&] {
            const auto intern = [&](int key) {
                const std::lock_guard lock(t.mu);
                auto& entry = t.entries[key];
                if (auto p = entry.value()) return p;
                auto p = vole::make_managed<checked>();
                entry = vole::make_weak(p);
                vole::add_cleanup(
                    p,
                    [&t, key](const vole::weak<checked>& dead) {
                        const std::lock_guard held(t.mu);
                        const auto at = t.entries.find(key);
                        if (at != t.entries.end() && at->second == dead) t.entries.erase(at);
                    },
                    entry);
                return p;
            };
            vole::wait_group done;
            for (std::uint64_t g = 1; g <= 4; ++g) {
                done.go([&, g] {
                    dice roll(g);
                    for (int i = 0; i < rounds; ++i) {
                        const int key = static_cast<int>(roll(16));
                        const auto p = intern(key);
                        if (roll(8) == 0) vole::gosched();
                        if (!p->is_whole() || intern(key) != p) ++broken;
                    }
                });
            }
            done.wait();
            vole::drain_cleanups();
            left = t.entries.size();
        });
        CHECK(broken == 0);
        CHECK(left == 0);
    }
}
