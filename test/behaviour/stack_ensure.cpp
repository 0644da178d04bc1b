// stack::ensure: room for deep calls in any build, on any architecture. Cites STK-22, STK-74.
#include <catch2/catch.hpp>

#include <vole/vole.hpp>

#include <atomic>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>

#include "test/behaviour/sched_support.hpp"

using namespace vole;

namespace {

#if defined(VOLE_ASAN) || defined(VOLE_TSAN)
constexpr long deep = 2'000;
#else
constexpr long deep = 20'000;
#endif

constexpr std::size_t room = 24 * 1024;

std::atomic<long> alive{0};
struct counted {
    counted() { ++alive; }
    ~counted() { --alive; }
    counted(const counted&) = delete;
    counted& operator=(const counted&) = delete;
};

template <class F>
auto in_goroutine(F f) {
    return run([&] {
        auto done = make_chan<int>();
        std::exception_ptr error;
        go([&] {
            try {
                f();
            } catch (...) {
                error = std::current_exception();
            }
            done.close();
        });
        done.recv();
        if (error) std::rethrow_exception(error);
    });
}

[[gnu::noinline]] long recurse(long n) {
    return stack::ensure(room, [n]() -> long {
        char block[1000];
        std::memset(block, static_cast<char>(n), sizeof(block));
        asm volatile("" : : "r"(block) : "memory");
        const long r = n == 0 ? 0 : recurse(n - 1) + 1;
        return block[0] == static_cast<char>(n) && block[999] == block[0] ? r : -1'000'000;
    });
}

[[gnu::noinline]] long throw_from(long n) {
    return stack::ensure(room, [n]() -> long {
        counted c;
        char block[1000];
        asm volatile("" : : "r"(block) : "memory");
        if (n == 0) throw std::runtime_error("bottom");
        return throw_from(n - 1) + 1;
    });
}

[[gnu::noinline]] void exit_from(long n) {
    stack::ensure(room, [n] {
        counted c;
        char block[1000];
        asm volatile("" : : "r"(block) : "memory");
        if (n == 0) goexit();
        exit_from(n - 1);
    });
}

[[gnu::noinline]] long wait_at(long n, chan<long>& c) {
    return stack::ensure(room, [n, &c]() -> long {
        char block[1000];
        asm volatile("" : : "r"(block) : "memory");
        if (n % 100 == 0) {
            gosched();
            c.send(n);
        }
        return n == 0 ? 0 : wait_at(n - 1, c) + 1;
    });
}

}  // namespace

TEST_CASE("STK-74 recursion by ensure goes on where a stack of 256 KiB ends", "[stack]") {
    long result = 0;
    std::size_t size = 0;
    in_goroutine([&] {
        result = recurse(deep);
        result += recurse(deep);
        size = stack::size();
    });
    CHECK(result == 2 * deep);
    CHECK(size == 256 * 1024);
}

TEST_CASE("STK-74 exceptions pass from the bottom to the top", "[stack]") {
    std::string text;
    in_goroutine([&] {
        for (int i = 0; i < 2; ++i) {
            try {
                throw_from(deep / 4);
            } catch (const std::exception& e) {
                text += e.what();
            }
        }
    });
    CHECK(text == "bottombottom");
    CHECK(alive == 0);
}

TEST_CASE("STK-71 goexit leaves through ensured frames", "[stack]") {
    run([] {
        wait_group ended;
        ended.add(1);
        go([&] {
            struct at_end {
                wait_group& w;
                ~at_end() { w.done(); }
            } last{ended};
            exit_from(deep / 4);
        });
        ended.wait();
    });
    CHECK(alive == 0);
}

TEST_CASE("STK-70 goroutines park and change threads on the way down", "[stack]") {
    const long levels = 2'000;
    std::atomic<long> sum{0};
    run([&] {
        wait_group all;
        for (int i = 0; i < 8; ++i) {
            auto c = make_chan<long>();
            all.go([&, c]() mutable {
                sum += wait_at(levels, c);
                c.close();
            });
            all.go([&, c]() mutable {
                for (const long v : c) sum += v - v;
            });
        }
        all.wait();
    });
    CHECK(sum == 8 * levels);
}

TEST_CASE("STK-22 results: values, references, what only moves, nothing", "[stack]") {
    in_goroutine([] {
        int there = 5;
        const auto far = std::size_t{1} << 20;  // always a new segment
        if (stack::ensure(far, [] { return 7; }) != 7) throw std::logic_error("value");
        int& r = stack::ensure(far, [&]() -> int& { return there; });
        if (&r != &there) throw std::logic_error("reference");
        const auto p = stack::ensure(far, [] { return std::make_unique<int>(9); });
        if (*p != 9) throw std::logic_error("unique_ptr");
        stack::ensure(far, [&] { there = 6; });
        if (there != 6) throw std::logic_error("void");
        const auto s = stack::ensure(far, [] { return std::string(100, 'x'); });
        if (s != std::string(100, 'x')) throw std::logic_error("string");
    });
}

TEST_CASE("STK-74 ensure where there is room costs no segment; nested ones share theirs",
          "[stack]") {
    std::size_t near = 0;
    std::size_t outer = 0;
    std::size_t inner = 0;
    in_goroutine([&] {
        stack::ensure(1000, [&] { near = stack::size(); });
        stack::ensure(std::size_t{1} << 20, [&] {
            outer = stack::size();
            stack::ensure(std::size_t{1} << 19, [&] { inner = stack::size(); });
        });
    });
    CHECK(near == 256 * 1024);
    CHECK(outer > (std::size_t{1} << 20));
    CHECK(inner == outer);
}

TEST_CASE("ensure on an ordinary thread just calls", "[stack]") {
    CHECK(stack::ensure(std::size_t{1} << 28, [] { return stack::size() + 3; }) == 3);
}

TEST_CASE("ensure refuses what no stack may grow to", "[stack]") {
    const auto refused = [] { stack::ensure((std::size_t{1} << 29) + 1, [] {}); };
    CHECK_THROWS_AS(refused(), std::invalid_argument);
    CHECK_THROWS_AS(in_goroutine(refused), std::invalid_argument);
}
