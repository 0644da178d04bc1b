// What survives a move of the stack it lies on. Each case is a row of the table in
// runtime/src/stack/README.md. Cites STK-31, STK-32, STK-37.
//
// A case fills `outcome` on the goroutine that moves; assertions are in the test's own thread.
#include <catch2/catch.hpp>

#include "test/growth/copying/copying_support.hpp"

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstring>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

using namespace vole::test;

namespace {

/// `value` lies in the frame of this function; `same` looks at it after the move.
template <class T, class Same>
outcome survives(T start, Same same) {
    return on_copying_stack([&](outcome& out) {
        T value = start;
        const move_watch watch(value);
        dig(deep_enough);
        out.moved = watch.has_moved(value);
        out.held = same(value);
    });
}

}  // namespace

TEST_CASE("STK-37 survives a move: std::string, short and long", "[copying]") {
    for (const std::string text : {"short", "a string that is too long to be kept in place"}) {
        const outcome r = survives(text, [&](std::string& s) {
            s += '!';
            return s == text + "!";
        });
        CHECK(r.moved);
        CHECK(r.held);
    }
}

TEST_CASE("STK-37 survives a move: std::vector and std::deque with elements", "[copying]") {
    const outcome v = survives(std::vector<int>{1, 2, 3}, [](std::vector<int>& x) {
        x.push_back(4);
        return x == std::vector<int>{1, 2, 3, 4};
    });
    CHECK(v.moved);
    CHECK(v.held);
    const outcome d = survives(std::deque<std::string>(300, "x"), [](std::deque<std::string>& x) {
        x.push_front("y");
        return x.size() == 301 && x.front() == "y" && x.back() == "x";
    });
    CHECK(d.moved);
    CHECK(d.held);
}

TEST_CASE("STK-37 survives a move: optional, variant, unique_ptr, shared_ptr", "[copying]") {
    const outcome r = on_copying_stack([](outcome& out) {
        std::optional<std::string> maybe("in place");
        std::variant<int, std::string> either(std::string("also"));
        auto owned = std::make_unique<std::string>("on the heap");
        auto shared = std::make_shared<int>(7);
        const move_watch watch(maybe);
        dig(deep_enough);
        out.moved = watch.has_moved(maybe);
        out.held = *maybe == "in place" && std::get<std::string>(either) == "also" &&
                   *owned == "on the heap" && *shared == 7 && shared.use_count() == 1;
    });
    CHECK(r.moved);
    CHECK(r.held);
}

TEST_CASE("STK-32 survives a move: pointers and views into the same stack", "[copying]") {
    const outcome r = on_copying_stack([](outcome& out) {
        std::array<int, 4> numbers{1, 2, 3, 4};
        const int* begin = numbers.data();
        const int* end = begin + numbers.size();
        std::string text("short");
        const std::string_view view(text);
        int** twice = nullptr;
        int* once = &numbers[2];
        twice = &once;
        asm volatile("" : "+m"(begin), "+m"(end), "+m"(twice), "+m"(once));
        const move_watch watch(numbers);
        dig(deep_enough);
        out.moved = watch.has_moved(numbers);
        **twice = 30;
        out.held = begin == numbers.data() && end == numbers.data() + 4 && *twice == &numbers[2] &&
                   numbers[2] == 30 && view.data() == text.data() && view == "short";
    });
    CHECK(r.moved);
    CHECK(r.held);
}

TEST_CASE("STK-37 survives a move: a lambda that refers to the same stack", "[copying]") {
    const outcome r = on_copying_stack([](outcome& out) {
        int sum = 0;
        auto add = [&sum](int n) { sum += n; };
        add(1);
        const move_watch watch(sum);
        dig(deep_enough);
        add(2);
        out.moved = watch.has_moved(sum);
        out.held = sum == 3;
    });
    CHECK(r.moved);
    CHECK(r.held);
}

TEST_CASE("STK-37 survives a move: a std::function that fits in place", "[copying]") {
    const outcome r = on_copying_stack([](outcome& out) {
        int sum = 0;
        std::function<void(int)> add = [&sum](int n) { sum += n; };
        add(1);
        const move_watch watch(sum);
        dig(deep_enough);
        add(2);
        out.moved = watch.has_moved(sum);
        out.held = sum == 3;
    });
    CHECK(r.moved);
    CHECK(r.held);
}

TEST_CASE("STK-37 survives a move: std::sort whose comparison grows the stack", "[copying]") {
    const outcome r = on_copying_stack([](outcome& out) {
        std::array<int, 200> numbers{};
        for (std::size_t i = 0; i < numbers.size(); ++i)
            numbers[i] = static_cast<int>(i * 7919 % 200);
        const move_watch watch(numbers);
        std::size_t calls = 0;
        std::sort(numbers.begin(), numbers.end(), [&calls](int a, int b) {
            if (++calls % 100 == 0) dig(calls);
            return a < b;
        });
        out.moved = watch.has_moved(numbers);
        out.held = std::is_sorted(numbers.begin(), numbers.end()) && numbers.back() == 199;
    });
    CHECK(r.moved);
    CHECK(r.held);
}

TEST_CASE("STK-37 survives a move: std::ostringstream", "[copying]") {
    const outcome r = on_copying_stack([](outcome& out) {
        std::ostringstream text;
        text << "before " << 1.5;
        const move_watch watch(text);
        dig(deep_enough);
        text << " after " << 42;
        out.moved = watch.has_moved(text);
        out.held = text.str() == "before 1.5 after 42";
    });
    CHECK(r.moved);
    CHECK(r.held);
}

#if !defined(VOLE_TSAN)  // which knows a mutex by its address
TEST_CASE("STK-37 survives a move: std::mutex under a std::unique_lock", "[copying]") {
    const outcome r = on_copying_stack([](outcome& out) {
        std::mutex mu;
        std::unique_lock held(mu);
        const move_watch watch(mu);
        dig(deep_enough);
        out.moved = watch.has_moved(mu);
        held.unlock();
        out.held = held.mutex() == &mu && mu.try_lock();
        if (out.held) mu.unlock();
    });
    CHECK(r.moved);
    CHECK(r.held);
}
#endif

TEST_CASE("STK-37 survives a move: empty containers of nodes, filled afterwards", "[copying]") {
    const outcome r = on_copying_stack([](outcome& out) {
        std::list<int> list;
        std::set<int> set;
        std::map<int, int> map;
        std::unordered_map<int, int> table;
        const move_watch watch(list);
        dig(deep_enough);
        out.moved = watch.has_moved(list);
        for (int i = 0; i < 100; ++i) {
            list.push_back(i);
            set.insert(i);
            map[i] = i;
            table[i] = i;
        }
        int sum = 0;
        for (const int n : list) sum += n;
        for (const int n : set) sum += n;
        for (const auto& [k, n] : map) sum += n;
        for (const auto& [k, n] : table) sum += n;
        out.held = sum == 4 * 4950 && table.find(99) != table.end();
    });
    CHECK(r.moved);
    CHECK(r.held);
}

TEST_CASE("STK-37 survives a move: a full container of nodes that is itself on the heap",
          "[copying]") {
    const outcome r = on_copying_stack([](outcome& out) {
        int local = 0;
        auto map = std::make_unique<std::map<int, int>>();
        for (int i = 0; i < 100; ++i) (*map)[i] = i;
        const move_watch watch(local);
        dig(deep_enough);
        out.moved = watch.has_moved(local);
        int sum = 0;
        for (const auto& [k, n] : *map) sum += n;
        out.held = sum == 4950;
    });
    CHECK(r.moved);
    CHECK(r.held);
}

TEST_CASE("STK-37 survives a move: alignment of locals up to a page", "[copying]") {
    const outcome r = on_copying_stack([](outcome& out) {
        struct alignas(64) line {
            char text[64];
        };
        struct alignas(4096) page {
            char text[4096];
        };
        line small{"line"};
        page large{"page"};
        const move_watch watch(small);
        dig(deep_enough);
        out.moved = watch.has_moved(small);
        // Not by the compiler, who knows the answer.
        auto a = reinterpret_cast<std::uintptr_t>(&small);
        auto b = reinterpret_cast<std::uintptr_t>(&large);
        asm volatile("" : "+r"(a), "+r"(b));
        out.held = a % 64 == 0 && b % 4096 == 0 && std::strcmp(small.text, "line") == 0 &&
                   std::strcmp(large.text, "page") == 0;
    });
    CHECK(r.moved);
    CHECK(r.held);
}

#if !defined(__clang__)  // which refuses variable arguments in instrumented code
namespace {

int sum_of(int n, ...) {
    va_list rest;
    va_start(rest, n);
    int sum = 0;
    for (int i = 0; i < n; ++i) {
        if (i % 4 == 2) dig(deep_enough * static_cast<std::size_t>(i));
        sum += va_arg(rest, int);
    }
    va_end(rest);
    return sum;
}

}  // namespace

TEST_CASE("STK-37 survives a move: variable arguments that are being read", "[copying]") {
    const outcome r = on_copying_stack([](outcome& out) {
        int local = 0;
        const move_watch watch(local);
        // Six arrive in registers, the others on the stack.
        out.held = sum_of(12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12) == 78;
        out.moved = watch.has_moved(local);
    });
    CHECK(r.moved);
    CHECK(r.held);
}
#endif

namespace {

// The array does not fit, so it becomes a block of its own, and holds addresses of the stack.
bool with_dynamic_block(std::size_t n) {
    int target = 5;
    auto* const addresses = static_cast<int**>(__builtin_alloca(n * sizeof(int*)));
    for (std::size_t i = 0; i < n; ++i) addresses[i] = &target;
    dig(2 * deep_enough);
    for (std::size_t i = 0; i < n; ++i)
        if (addresses[i] != &target) return false;
    return target == 5;
}

}  // namespace

TEST_CASE("STK-31 survives a move: addresses in memory from alloca", "[copying]") {
    for (const std::size_t n : {10u, 1'000u, 20'000u}) {
        const outcome r = on_copying_stack([n](outcome& out) {
            int local = 0;
            const move_watch watch(local);
            out.held = with_dynamic_block(n);
            out.moved = watch.has_moved(local);
        });
        CHECK(r.moved);
        CHECK(r.held);
    }
}

// ---- exceptions -----------------------------------------------------------------------------------------

namespace {

struct grows_when_destroyed {
    std::size_t levels;
    int* count;
    ~grows_when_destroyed() {
        dig(levels);
        ++*count;
    }
};

[[gnu::noinline]] void thrower(int* count, int level) {
    const grows_when_destroyed guard{deep_enough * static_cast<std::size_t>(level + 1), count};
    if (level == 0) {
        dig(deep_enough);
        throw std::runtime_error("from below");
    }
    thrower(count, level - 1);
}

}  // namespace

TEST_CASE("STK-74 an exception in flight survives growth in destructors during unwinding",
          "[copying]") {
    const outcome r = on_copying_stack([](outcome& out) {
        int count = 0;
        const move_watch watch(count);
        try {
            thrower(&count, 7);
        } catch (const std::runtime_error& e) {
            out.held = count == 8 && std::string(e.what()) == "from below" &&
                       std::uncaught_exceptions() == 0;
        }
        out.moved = watch.has_moved(count);
    });
    CHECK(r.moved);
    CHECK(r.held);
}

TEST_CASE("STK-74 growth in a catch block: the exception can be thrown again", "[copying]") {
    const outcome r = on_copying_stack([](outcome& out) {
        int local = 0;
        const move_watch watch(local);
        try {
            try {
                throw std::runtime_error("first");
            } catch (...) {
                dig(deep_enough);
                out.moved = watch.has_moved(local);
                throw;
            }
        } catch (const std::runtime_error& e) {
            out.held = std::string(e.what()) == "first";
        }
    });
    CHECK(r.moved);
    CHECK(r.held);
}

TEST_CASE("STK-31 survives a move: recovering frames, deferred calls, a panic in flight",
          "[copying]") {
    const outcome r = on_copying_stack([](outcome& out) {
        int result = 0;
        const move_watch watch(result);
        vole::recovering([&] {
            vole::defer last{[&] {
                dig(deep_enough);
                if (const auto p = vole::recover(); p && *p->get<int>() == 2) result += 1;
                dig(deep_enough * 2);
                if (!vole::recover()) result += 10;
            }};
            vole::defer first{[&] {
                dig(deep_enough / 2);
                vole::panic(2);
            }};
            vole::panic(1);
        });
        dig(deep_enough * 4);
        vole::recovering([&] {
            vole::defer d{[&] {
                if (vole::recover()) result += 100;
            }};
            dig(deep_enough * 8);
            vole::panic(3);
        });
        out.moved = watch.has_moved(result);
        out.held = result == 111;
    });
    CHECK(r.moved);
    CHECK(r.held);
}

TEST_CASE("STK-71 goexit runs destructors and catch blocks that grow the stack", "[copying]") {
    static int count;
    count = 0;
    static bool caught;
    caught = false;
    const outcome r = on_copying_stack([](outcome& out) {
        out.held = true;
        const grows_when_destroyed outer{4 * deep_enough, &count};
        try {
            const grows_when_destroyed inner{deep_enough, &count};
            vole::goexit();
        } catch (...) {
            const move_watch watch(outer);
            dig(3 * deep_enough);
            out.moved = watch.has_moved(outer);
            caught = true;
            throw;
        }
        out.held = false;
    });
    CHECK(r.moved);
    CHECK(r.held);
    CHECK(caught);
    CHECK(count == 2);
}

TEST_CASE("STK-74 growth inside a noexcept function", "[copying]") {
    const outcome r = on_copying_stack([](outcome& out) {
        int local = 3;
        const move_watch watch(local);
        auto calm = [&local]() noexcept {
            dig(deep_enough);
            return ++local;
        };
        out.held = calm() == 4 && local == 4;
        out.moved = watch.has_moved(local);
    });
    CHECK(r.moved);
    CHECK(r.held);
}
