// The conformance test of a port: what arch/include/vole/arch/port.hpp promises, shown on raw stacks and
// without the scheduler. A port to another processor is right when this passes (and the other suites do).
//
// The switches here are not announced to the sanitizers, so those builds leave them out.
#include <catch2/catch.hpp>

#include <vole/arch/port.hpp>

#include "test/support/scale.hpp"

#include <cfenv>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <unwind.h>

#if defined(__linux__)
#include <cerrno>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace arch = vole::arch;
using port = arch::this_port;

static_assert(arch::port<port>);
static_assert(sizeof(arch::gobuf) == sizeof(void*));

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RAW_SWITCHES 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define RAW_SWITCHES 0
#endif
#endif
#ifndef RAW_SWITCHES
#define RAW_SWITCHES 1
#endif

TEST_CASE("arch: a first frame", "[unit][arch]") {
    alignas(16) static std::byte stack[4096];
    int word = 0;
    // From any top, aligned or not, the context lies inside the stack and leads to the trampoline.
    for (std::size_t skew = 0; skew < 16; ++skew) {
        std::byte* const top = stack + sizeof stack - skew;
        const arch::gobuf g = port::make_context(top, &word);
        const auto at = static_cast<std::byte*>(g.sp);
        CHECK(at >= stack);
        CHECK(at + port::frame_bytes <= top);
        const arch::resume_point r = port::resume(g);
        CHECK(r.pc == reinterpret_cast<std::uintptr_t>(&arch::vole_gostart));
        CHECK(r.sp % 16 == 0);
        CHECK(r.sp <= reinterpret_cast<std::uintptr_t>(top));
    }
}

TEST_CASE("arch: the thread's M is the thread's", "[unit][arch]") {
    int mine = 0;
    int other = 0;
    void* const before = port::current_m();
    port::set_current_m(&mine);
    void* first = &other;
    void* then = nullptr;
    std::thread([&] {
        first = port::current_m();
        port::set_current_m(&other);
        then = port::current_m();
    }).join();
    void* const kept = port::current_m();
    port::set_current_m(before);
    CHECK(first == nullptr);
    CHECK(then == &other);
    CHECK(kept == &mine);
}

TEST_CASE("arch: ticks go up and the pause is short", "[unit][arch]") {
    const auto before = port::ticks();
    for (int i = 0; i < 1000; ++i) port::pause();
    CHECK(port::ticks() >= before);
}

#if defined(__linux__)
TEST_CASE("arch: a system call has its six arguments, and its error in its result",
          "[unit][arch]") {
    CHECK(port::system_call(SYS_getpid) == getpid());
    CHECK(port::system_call(SYS_close, -1) == -EBADF);
    const auto offset = static_cast<long>(sysconf(_SC_PAGESIZE));
    const int fd = memfd_create("six arguments", MFD_CLOEXEC);
    REQUIRE(fd >= 0);
    REQUIRE(pwrite(fd, "second page", 12, offset) == 12);
    const long at = port::system_call(SYS_mmap, 0, offset, PROT_READ, MAP_PRIVATE, fd, offset);
    REQUIRE(at > 0);
    CHECK(std::string(reinterpret_cast<const char*>(at)) == "second page");
    CHECK(munmap(reinterpret_cast<void*>(at), static_cast<std::size_t>(offset)) == 0);
    close(fd);
}
#endif

#if RAW_SWITCHES

namespace {

constexpr std::size_t stack_bytes = 256 * 1024;

struct raw_stack {
    std::unique_ptr<std::byte[]> memory{new std::byte[stack_bytes]};
    void* top() const { return memory.get() + stack_bytes; }
    bool holds(const void* p) const {
        const auto at = static_cast<const std::byte*>(p);
        return at >= memory.get() && at < memory.get() + stack_bytes;
    }
};

/// Two contexts: the test's own and one on a raw stack.
struct pair {
    arch::gobuf main;
    arch::gobuf other;
    raw_stack stack;
    int turns = 0;
    long seen = 0;
    bool on_stack = false;
    std::uintptr_t alignment = 0;
};

[[gnu::noinline]] const void* here() { return __builtin_frame_address(0); }

/// Keeps many values alive over each switch: the compiler puts them where the ABI says that a call keeps
/// them, in integer and floating-point registers, and the port must have kept them.
template <class Switch>
[[gnu::noinline]] bool busy(Switch change, std::uint64_t seed, int rounds) {
    std::uint64_t a = seed, b = seed * 3, c = seed * 5, d = seed * 7, e = seed * 11, f = seed * 13;
    double u = static_cast<double>(seed), v = u * 2, w = u * 3, x = u * 4, y = u * 5, z = u * 6;
    for (int i = 0; i < rounds; ++i) {
        change();
        a += 1, b += a, c += 3, d += 5, e += 7, f += 11;
        u += 1, v += 2, w += 3, x += 4, y += 5, z += 6;
    }
    std::uint64_t want_b = seed * 3;
    for (int i = 1; i <= rounds; ++i) want_b += seed + static_cast<std::uint64_t>(i);
    const auto n = static_cast<std::uint64_t>(rounds);
    const double m = rounds;
    const double s = static_cast<double>(seed);
    return a == seed + n && b == want_b && c == seed * 5 + 3 * n && d == seed * 7 + 5 * n &&
           e == seed * 11 + 7 * n && f == seed * 13 + 11 * n && u == s + m && v == s * 2 + 2 * m &&
           w == s * 3 + 3 * m && x == s * 4 + 4 * m && y == s * 5 + 5 * m && z == s * 6 + 6 * m;
}

_Unwind_Reason_Code count_frame(_Unwind_Context*, void* n) {
    return ++*static_cast<int*>(n) < 1000 ? _URC_NO_REASON : _URC_NORMAL_STOP;
}

[[gnu::noinline]] int frames_above() {
    int n = 0;
    _Unwind_Backtrace(count_frame, &n);
    return n;
}

}  // namespace

TEST_CASE("arch: mcall runs on the given stack and gogo comes back", "[unit][arch]") {
    pair p;
    arch::vole_mcall(
        &p.main, p.stack.top(),
        [](void* arg) {
            auto& q = *static_cast<pair*>(arg);
            alignas(16) volatile char local = 1;
            q.on_stack = q.stack.holds(here()) && local == 1;
            q.alignment = reinterpret_cast<std::uintptr_t>(&local) % 16;
            q.turns = 1;
            arch::vole_gogo(&q.main);
        },
        &p);
    CHECK(p.turns == 1);
    CHECK(p.on_stack);
    CHECK(p.alignment == 0);
}

TEST_CASE("arch: a switch keeps what the ABI says a call keeps", "[unit][arch]") {
    pair p;
    static bool other_ok = false;
    const int rounds = vole::test::scaled(100'000);
    static int other_rounds = 0;
    other_rounds = rounds;
    arch::vole_mcall(
        &p.main, p.stack.top(),
        [](void* arg) {
            auto& q = *static_cast<pair*>(arg);
            other_ok = busy([&q] { arch::vole_switch(&q.other, &q.main); }, 1000003, other_rounds);
            arch::vole_gogo(&q.main);
        },
        &p);
    const bool main_ok = busy([&p] { arch::vole_switch(&p.main, &p.other); }, 77, rounds);
    CHECK(main_ok);
    CHECK(other_ok);
}

TEST_CASE("arch: an exchange keeps the same, and the rounding mode of each side", "[unit][arch]") {
    pair p;  // `main` holds the side that does not run
    static bool other_ok = false;
    static int other_rounds = 0;
    const int before = std::fegetround();
    const int rounds = other_rounds = vole::test::scaled(100'000);
    arch::vole_mcall(
        &p.main, p.stack.top(),
        [](void* arg) {
            auto& q = *static_cast<pair*>(arg);
            std::fesetround(FE_UPWARD);
            const auto change = [&q] { arch::vole_exchange(&q.main); };
            other_ok = busy(change, 1000003, other_rounds) && std::fegetround() == FE_UPWARD;
            arch::vole_gogo(&q.main);
        },
        &p);
    const arch::resume_point r = port::resume(p.main);
    CHECK(p.stack.holds(reinterpret_cast<const void*>(r.sp)));
    const bool main_ok = busy([&p] { arch::vole_exchange(&p.main); }, 77, rounds);
    CHECK(main_ok);
    CHECK(other_ok);
    CHECK(std::fegetround() == before);
}

TEST_CASE("arch: a suspended context tells where it goes on", "[unit][arch]") {
    pair p;
    arch::vole_mcall(
        &p.main, p.stack.top(),
        [](void* arg) {
            auto& q = *static_cast<pair*>(arg);
            arch::vole_switch(&q.other, &q.main);
            arch::vole_gogo(&q.main);
        },
        &p);
    const arch::resume_point r = port::resume(p.other);
    CHECK(p.stack.holds(p.other.sp));
    CHECK(p.stack.holds(reinterpret_cast<const void*>(r.sp)));
    CHECK(r.sp == reinterpret_cast<std::uintptr_t>(p.other.sp) + port::frame_bytes);
    CHECK(r.pc != 0);
    arch::vole_switch(&p.main, &p.other);
}

TEST_CASE("arch: rounding modes belong to the context", "[unit][arch]") {
    pair p;
    const int before = std::fegetround();
    static int seen[2];
    arch::vole_mcall(
        &p.main, p.stack.top(),
        [](void* arg) {
            auto& q = *static_cast<pair*>(arg);
            std::fesetround(FE_UPWARD);
            arch::vole_switch(&q.other, &q.main);
            seen[0] = std::fegetround();
            arch::vole_switch(&q.other, &q.main);
            seen[1] = std::fegetround();
            arch::vole_gogo(&q.main);
        },
        &p);
    const int first = std::fegetround();
    std::fesetround(FE_DOWNWARD);
    arch::vole_switch(&p.main, &p.other);
    const int second = std::fegetround();
    std::fesetround(FE_TOWARDZERO);
    arch::vole_switch(&p.main, &p.other);
    const int third = std::fegetround();
    std::fesetround(before);
    CHECK(first == before);
    CHECK(second == FE_DOWNWARD);
    CHECK(third == FE_TOWARDZERO);
    CHECK(seen[0] == FE_UPWARD);
    CHECK(seen[1] == FE_UPWARD);
}

TEST_CASE("arch: gosave goes on below the saved frame, on the same stack", "[unit][arch]") {
    struct {
        arch::gobuf buf;
        const void* below = nullptr;
        int frames = 0;
    } s;
    const void* const above = here();
    arch::vole_gosave(
        &s.buf,
        [](void* arg) {
            auto* t = static_cast<decltype(s)*>(arg);
            t->below = here();
            t->frames = frames_above();
            arch::vole_gogo(&t->buf);
        },
        &s);
    CHECK(std::less<>{}(s.below, above));
    CHECK(std::less_equal<>{}(static_cast<const std::byte*>(above) - 64 * 1024, s.below));
    CHECK(s.frames > 0);
    CHECK(s.frames < 1000);
}

TEST_CASE("arch: systemstack comes back, and exceptions cross it", "[unit][arch]") {
    pair p;
    arch::vole_systemstack(
        p.stack.top(),
        [](void* arg) {
            auto& q = *static_cast<pair*>(arg);
            alignas(16) volatile char local = 1;
            q.on_stack = q.stack.holds(here()) && local == 1;
            q.alignment = reinterpret_cast<std::uintptr_t>(&local) % 16;
            q.seen = frames_above();
        },
        &p);
    CHECK(p.on_stack);
    CHECK(p.alignment == 0);
    CHECK(p.seen > 2);  // the unwinder crosses to the caller's stack
    CHECK(p.seen < 1000);

    std::string what;
    int destroyed = 0;
    struct bump {
        int& n;
        ~bump() { ++n; }
    };
    for (int i = 0; i < 100; ++i) {
        const bump outer{destroyed};
        try {
            const bump inner{destroyed};
            arch::vole_systemstack(
                p.stack.top(), [](void*) { throw std::runtime_error("from the other stack"); },
                nullptr);
        } catch (const std::runtime_error& e) {
            what = e.what();
        }
    }
    CHECK(what == "from the other stack");
    CHECK(destroyed == 200);
}

TEST_CASE("arch: an unwinder stops at the bottom of a context", "[unit][arch]") {
    pair p;
    arch::vole_mcall(
        &p.main, p.stack.top(),
        [](void* arg) {
            auto& q = *static_cast<pair*>(arg);
            q.seen = frames_above();
            arch::vole_gogo(&q.main);
        },
        &p);
    CHECK(p.seen > 0);
    CHECK(p.seen < 20);  // it does not wander into whoever called mcall, nor beyond the stack
}

TEST_CASE("arch: a context may be resumed by another thread", "[unit][arch]") {
    pair p;
    static int turns = 0;
    turns = 0;
    arch::vole_mcall(
        &p.main, p.stack.top(),
        [](void* arg) {
            auto& q = *static_cast<pair*>(arg);
            for (;;) {
                ++turns;
                arch::vole_switch(&q.other, &q.main);
            }
        },
        &p);
    for (int i = 0; i < 10; ++i) {
        std::thread([&] { arch::vole_switch(&p.main, &p.other); }).join();
    }
    CHECK(turns == 11);
}

#endif  // RAW_SWITCHES
