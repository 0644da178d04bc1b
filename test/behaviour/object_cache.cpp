// The memory of the library's small objects: <vole/detail/object_cache.hpp>.
#include <vole/context.hpp>
#include <vole/iter.hpp>
#include <vole/vole.hpp>

#include <vole/detail/object_cache.hpp>

#include <catch2/catch.hpp>

#include "test/behaviour/sched_support.hpp"
#include "test/support/findings.hpp"

#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace vole::test {

namespace {

#if defined(VOLE_ASAN) || defined(VOLE_TSAN)
constexpr bool cached = false;
#else
constexpr bool cached = true;
#endif

struct counts {
    std::uint64_t hits, misses;
};
template <class F>
counts counted(F f) {
    const runtime_stats before = read_stats();
    f();
    const runtime_stats after = read_stats();
    return {after.object_cache_hits - before.object_cache_hits,
            after.object_cache_misses - before.object_cache_misses};
}

}  // namespace

TEST_CASE("objects are used again: contexts, channels, timers, coroutines, entries, cleanups",
          "[objects]") {
    findings ok;
    run_on(1, [&] {
        const auto reused = [&](const char* what, auto f) {
            const auto many = [&] {
                for (int i = 0; i < 1000; ++i) f();
            };
            many();  // entries of stopped timers and of maps are given back in batches
            const counts c = counted(many);
            if (cached) {
                ok(c.hits >= 8 * c.misses, what);
            } else {
                ok.equal(c.hits, std::uint64_t{0});
            }
            ok(c.hits + c.misses >= 1000, what);
        };
        reused("context", [] { with_cancel(context::background()).second(); });
        reused("deadline",
               [] { with_timeout(context::background(), std::chrono::hours(1)).second(); });
        reused("channel", [] { make_chan<int>(4); });
        reused("timer", [] { timer(std::chrono::hours(1)).stop(); });
        reused("function", [] { after_func(std::chrono::hours(1), [] {}).stop(); });
        reused("coroutine", [] { iter::pull([](iter::yielder<int> yield) { yield(1); }); });
        sync_map<int, int> map;
        reused("entry", [&] { map.store(1, 1), map.erase(1); });
        sync_map<int, std::string> texts;
        reused("entry of a value that is no word", [&] { texts.store(1, "one"); });
        map.store(1, 0);
        int value = 0;
        const counts none = counted([&] {
            for (; value < 1000; ++value) map.store(1, value);
        });
        ok(none.hits + none.misses == 0, "a word is replaced without an entry");
        reused("box", [] {
            auto c = make_chan<std::string>(1);
            c.send("a string that needs a box");
            c.recv();
        });
    });
    CHECK(ok.text() == "");
}

TEST_CASE("each object has its memory for itself, whatever its size and whoever gives it back",
          "[objects]") {
    struct piece {
        unsigned char* at;
        std::size_t bytes;
        unsigned char mark;
        bool intact() const {
            for (std::size_t i = 0; i < bytes; ++i) {
                if (at[i] != mark) return false;
            }
            return true;
        }
    };
    std::atomic<int> wrong{0};
    run_on(4, [&] {
        auto pieces = make_chan<piece>(64);
        wait_group makers;
        wait_group takers;
        for (unsigned g = 0; g < 4; ++g) {
            makers.go([&, g] {
                for (unsigned i = 0; i < 5000; ++i) {
                    const std::size_t bytes = 1 + (i * 37 + g * 11) % 700;  // some are not cached
                    const auto mark = static_cast<unsigned char>(i + g * 64);
                    void* at = detail::take_object(bytes);
                    if (at == nullptr || reinterpret_cast<std::uintptr_t>(at) % 16 != 0) {
                        ++wrong;
                        return;
                    }
                    std::memset(at, mark, bytes);
                    pieces.send({static_cast<unsigned char*>(at), bytes, mark});
                }
            });
            takers.go([&] {
                for (const piece& p : pieces) {
                    if (!p.intact()) ++wrong;
                    detail::give_object(p.at, p.bytes);
                }
            });
        }
        makers.wait();
        pieces.close();
        takers.wait();
    });
    CHECK(wrong == 0);
}

TEST_CASE("what is kept has a limit, and Ps that go leave nothing behind", "[objects]") {
    std::uint64_t with_four = 0;
    std::uint64_t with_one = 0;
    run_on(4, [&] {
        wait_group all;
        for (int g = 0; g < 16; ++g) {
            all.go([] {
                std::vector<void*> objects;
                for (int i = 0; i < 2000; ++i) objects.push_back(detail::take_object(512));
                gosched();
                for (void* o : objects) detail::give_object(o, 512);
            });
        }
        all.wait();
        with_four = read_stats().object_cache_bytes;
        gomaxprocs(1);
        with_one = read_stats().object_cache_bytes;
    });
    // 32 classes; 32 in each P, 256 in the depot.
    CHECK(with_four <= 32 * 520 * (4 * 32 + 256));
    CHECK(with_one <= 32 * 520 * (1 * 32 + 256));
    if (cached) CHECK(with_one > 0);
}

TEST_CASE("threads that are no goroutines take and give, too", "[objects]") {
    const counts c = counted([] {
        for (int i = 0; i < 10; ++i) detail::give_object(detail::take_object(100), 100);
    });
    CHECK(c.hits == 0);
    CHECK(c.misses >= 10);
}

TEST_CASE("an object aligned beyond malloc's alignment is aligned", "[objects]") {
    struct alignas(128) wide : detail::cached_object {
        char bytes[128];
    };
    run_on(1, [&] {
        std::vector<std::unique_ptr<wide>> some;
        for (int i = 0; i < 10; ++i) {
            some.push_back(std::make_unique<wide>());
            if (reinterpret_cast<std::uintptr_t>(some.back().get()) % 128 != 0) std::abort();
        }
    });
}

}  // namespace vole::test
