// What reads and writes cost of the heap: nothing. Cites NET-82.
//
// operator new is replaced for the whole program, which does not change what it does.
#include "test/net/socket_support.hpp"

#include <cstdlib>
#include <new>

namespace {

std::atomic<std::uint64_t> allocations{0};

}  // namespace

#if !defined(VOLE_ASAN) && !defined(VOLE_TSAN)
#define VOLE_TEST_COUNTS_NEW 1

// noinline: seen through, free() of what operator new gave is a mistake to GCC.
[[gnu::noinline]] void* operator new(std::size_t n) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    if (void* p = std::malloc(n != 0 ? n : 1)) return p;
    throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t n, std::align_val_t align) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    const auto a = static_cast<std::size_t>(align);
    if (void* p = std::aligned_alloc(a, (n + a - 1) / a * a)) return p;
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t, std::align_val_t) noexcept {
    std::free(p);
}
#endif

namespace vole::test {

namespace {

/// How often `round` allocates, on average of many, after as many have gone before.
template <class F>
double allocations_of(F round) {
    const int n = 2000;
    for (int i = 0; i < n; ++i) round();
    const std::uint64_t before = allocations;
    for (int i = 0; i < n; ++i) round();
    return static_cast<double>(allocations - before) / n;
}

}  // namespace

TEST_CASE("NET-82 reads and writes allocate nothing", "[net][alloc]") {
#if !defined(VOLE_TEST_COUNTS_NEW)
    WARN("not counted under this sanitizer: skipped");
    return;
#endif
    CHECK(allocations_of([] { ::operator delete(::operator new(8)); }) > 0.9);
    const std::string text = everywhere([](findings& ok) {
        with_streams([&](net::conn& a, net::conn& b) {
            // Somebody who answers, so that reads wait as well as find something.
            wait_group server;
            server.go([&] {
                std::array<std::byte, 64> buffer;
                for (;;) {
                    std::error_code ec;
                    const std::size_t n = b.read(buffer, ec);
                    if (ec || n == 0) return;
                    b.write(std::span(buffer).first(n), ec);
                }
            });
            std::array<std::byte, 64> buffer{};
            const std::array<std::span<const std::byte>, 2> pieces{std::span(buffer).first(10),
                                                                   std::span(buffer).last(10)};
            std::error_code ec;
            const double n = allocations_of([&] {
                a.write(buffer, ec);
                (void)a.read_full(buffer, ec);
                a.write_v(pieces, ec);
                (void)a.read_full(std::span(buffer).first(20), ec);
            });
            ok(!ec);
            // Caches grow now and then.
            ok(n < 0.01, "reads and writes: " + std::to_string(n) + " allocations a round");
            const double timed = allocations_of([&] {
                a.set_deadline(in(1h));
                a.write(buffer, ec);
                (void)a.read_full(buffer, ec);
            });
            ok(timed < 0.01, "with deadlines: " + std::to_string(timed) + " allocations a round");
            ok(!close_write(a));
            server.wait();
        });
    });
    CHECK(text == "");
}

}  // namespace vole::test
