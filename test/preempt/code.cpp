// Where a signal may stop a goroutine: the program's code, registered libraries, and nothing that was called
// unsafe.
#include <catch2/catch.hpp>

#include "test/preempt/preempt_support.hpp"

#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <stdexcept>
#include <vector>

namespace vole::test {

namespace {

using spinner = void (*)(const std::atomic<bool>*);

// In a section of its own, whose ends the linker names.
extern "C" const char __start_vole_test_unsafe[] __attribute__((visibility("hidden")));
extern "C" const char __stop_vole_test_unsafe[] __attribute__((visibility("hidden")));
__attribute__((section("vole_test_unsafe"), noinline)) void
spin_in_unsafe_code(const std::atomic<bool>* stop) {
    while (!stop->load(std::memory_order_relaxed)) {
    }
}

[[gnu::noinline]] void spin_in_program(const std::atomic<bool>* stop) {
    while (!stop->load(std::memory_order_relaxed)) {
    }
}

struct ways {
    bool frozen;
    bool detached;
    bool refused_for_code;
};

// How the P was taken from a goroutine that runs f on the only one.
ways how_stopped(spinner f) {
    const auto before = counts();
    std::atomic<bool> stop{false};
    run_on(1, [&] {
        std::atomic<bool> begun{false};
        wait_group all;
        all.go([&] {
            begun = true;
            f(&stop);
        });
        wait_until([&] { return begun.load(); });
        stop = true;
        all.wait();
    });
    const auto after = counts();
    return {after.freezes + after.injections > before.freezes + before.injections,
            after.detached_running > before.detached_running,
            after.refused_code > before.refused_code};
}

// The first of some tries in which it was stopped by a signal; on a busy machine it may be detached first.
ways stopped_at_last(spinner f) {
    ways w{};
    for (int i = 0; i < 50 && !w.frozen; ++i) w = how_stopped(f);
    return w;
}

// Never stopped by a signal, though one was sent; the first of some tries in which that is known.
ways refused_at_last(spinner f) {
    ways w{};
    for (int i = 0; i < 50 && !w.refused_for_code && !w.frozen; ++i) w = how_stopped(f);
    return w;
}

struct plugin {
    void* handle = ::dlopen(VOLE_TEST_PLUGIN, RTLD_NOW);
    spinner spin() const { return reinterpret_cast<spinner>(::dlsym(handle, "plugin_spin")); }
    const void* address() const { return ::dlsym(handle, "plugin_spin"); }
};

}  // namespace

TEST_CASE("PRE-12 goroutines are stopped in the program's own code") {
    if (!has_signals) return;
    CHECK(stopped_at_last(spin_in_program).frozen);
}

TEST_CASE("PRE-12 a plugin's code is stopped only while it is registered") {
    if (!has_signals) return;
    const plugin p;
    REQUIRE(p.handle != nullptr);
    ways w = refused_at_last(p.spin());
    CHECK_FALSE(w.frozen);
    CHECK(w.detached);
    CHECK(w.refused_for_code);

    preempt::add_library(p.address());
    preempt::add_library(p.address());  // once is enough, twice no harm
    CHECK(stopped_at_last(p.spin()).frozen);

    preempt::forget_library(p.address());
    w = refused_at_last(p.spin());
    CHECK_FALSE(w.frozen);
    CHECK(w.detached);
    CHECK(w.refused_for_code);
    CHECK(::dlclose(p.handle) == 0);
}

TEST_CASE("child: unsafe range", "[.child]") {
    preempt::add_unsafe_range({__start_vole_test_unsafe, __stop_vole_test_unsafe});
    const ways w = refused_at_last(spin_in_unsafe_code);
    CHECK_FALSE(w.frozen);
    CHECK(w.detached);
    CHECK(stopped_at_last(spin_in_program).frozen);
}
TEST_CASE("PRE-12 an unsafe range is never stopped in") {
    if (!has_signals) return;
    CHECK(stopped_at_last(spin_in_unsafe_code).frozen);  // as long as nobody has said so
    const auto r = run_case_in_subprocess("child: unsafe range");
    INFO(r.text());
    CHECK(r.succeeded());
}

TEST_CASE("child: ranges that cannot be", "[.child]") {
    using Catch::Contains;
    int on_stack = 0;
    CHECK_THROWS_AS(preempt::add_library(&on_stack), std::invalid_argument);
    CHECK_THROWS_WITH(preempt::add_library(nullptr), Contains("no loaded library has code"));
    CHECK_THROWS_AS(preempt::forget_library(&on_stack), std::invalid_argument);
    const char* text = __start_vole_test_unsafe;
    CHECK_THROWS_AS(preempt::add_unsafe_range({text, text}), std::invalid_argument);
    CHECK_THROWS_AS(preempt::add_unsafe_range({text + 1, text}), std::invalid_argument);
    CHECK_THROWS_AS(preempt::add_unsafe_range({}), std::invalid_argument);
    int added = 0;
    try {
        for (; added < 100; ++added) preempt::add_unsafe_range({text, text + 1});
    } catch (const runtime_error& e) {
        CHECK_THAT(e.what(), Contains("64 ranges"));
    }
    CHECK(added >= 60);
    CHECK(added <= 64);
}
TEST_CASE("ranges that cannot be are refused") {
    const auto r = run_case_in_subprocess("child: ranges that cannot be");
    INFO(r.text());
    CHECK(r.succeeded());
}

TEST_CASE("PRE-12 nobody is stopped in libc") {
    if (!has_signals) return;
    const ways w = refused_at_last([](const std::atomic<bool>* stop) {
        std::vector<char> block(std::size_t{64} << 20);
        while (!stop->load(std::memory_order_relaxed)) {
            std::memset(block.data(), 1, block.size());
            asm volatile("" : : "r"(block.data()) : "memory");
        }
    });
    CHECK((w.refused_for_code || w.frozen));  // between two calls it may be found
    CHECK_FALSE(
        detail::is_preemptible(reinterpret_cast<std::uintptr_t>(::dlsym(RTLD_DEFAULT, "malloc"))));
    CHECK_FALSE(
        detail::is_preemptible(reinterpret_cast<std::uintptr_t>(::dlsym(RTLD_DEFAULT, "qsort"))));
    CHECK_FALSE(detail::is_preemptible(
        reinterpret_cast<std::uintptr_t>(::dlsym(RTLD_DEFAULT, "_Unwind_RaiseException"))));
    CHECK_FALSE(detail::is_preemptible(
        reinterpret_cast<std::uintptr_t>(::dlsym(RTLD_DEFAULT, "__cxa_throw"))));
}

}  // namespace vole::test
