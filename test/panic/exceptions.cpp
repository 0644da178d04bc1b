// The C++ runtime's state of exceptions belongs to the goroutine: PAN-60 to PAN-63. On two Ps, with goroutines
// that are preempted and change threads.
#include "test/panic/panic_support.hpp"

#include "test/support/findings.hpp"

#include <exception>

namespace vole::test {

namespace {

// Other goroutines, so that whoever parks comes back on another thread now and then.
template <class F>
void among_others(F f) {
    std::atomic<bool> stop{false};
    procs_scope procs(2);
    run([&] {
        wait_group noise;
        for (int i = 0; i < 4; ++i) {
            noise.go([&] {
                while (!stop) {
                    for (int k = 0; k < 2000; ++k) asm volatile("" ::: "memory");
                    gosched();
                }
            });
        }
        wait_group all;
        for (int i = 0; i < 8; ++i) all.go([&, i] { f(i); });
        all.wait();
        stop = true;
        noise.wait();
    });
}

void yield_some() {
    for (int i = 0; i < 3; ++i) gosched();
}

struct numbered : std::exception {
    explicit numbered(int number) : n(number) {}
    int n;
};

}  // namespace

TEST_CASE("PAN-60 exceptions of one goroutine are not seen by another, across yields") {
    std::atomic<int> wrong{0};
    const int rounds = scaled(300);
    among_others([&](int i) {
        for (int j = 0; j < rounds; ++j) {
            if (std::current_exception() || std::uncaught_exceptions() != 0) ++wrong;
            try {
                throw numbered(i * 10'000 + j);
            } catch (const numbered& e) {
                yield_some();
                if (e.n != i * 10'000 + j || !std::current_exception()) ++wrong;
                if (std::uncaught_exceptions() != 0) ++wrong;
            }
            yield_some();
            if (std::current_exception()) ++wrong;
        }
    });
    CHECK(wrong == 0);
}

TEST_CASE("PAN-61 parking in destructors while an exception unwinds") {
    std::atomic<int> wrong{0};
    const int rounds = scaled(300);
    struct parks {
        std::atomic<int>& wrong;
        ~parks() {
            if (std::uncaught_exceptions() != 1) ++wrong;
            yield_some();
            if (std::uncaught_exceptions() != 1) ++wrong;
            try {
                throw numbered(-1);
            } catch (const numbered& e) {
                yield_some();
                if (e.n != -1 || std::uncaught_exceptions() != 1) ++wrong;
            }
        }
    };
    among_others([&](int i) {
        for (int j = 0; j < rounds; ++j) {
            try {
                parks a{wrong};
                parks b{wrong};
                throw numbered(i);
            } catch (const numbered& e) {
                if (e.n != i || std::uncaught_exceptions() != 0) ++wrong;
            }
        }
    });
    CHECK(wrong == 0);
}

TEST_CASE("PAN-61 nested handlers that rethrow after parking") {
    std::atomic<int> wrong{0};
    const int rounds = scaled(300);
    among_others([&](int i) {
        for (int j = 0; j < rounds; ++j) {
            try {
                try {
                    throw numbered(i);
                } catch (...) {
                    yield_some();
                    try {
                        throw numbered(j);
                    } catch (const numbered& inner) {
                        yield_some();
                        if (inner.n != j) ++wrong;
                    }
                    yield_some();
                    throw;
                }
            } catch (const numbered& e) {
                yield_some();
                if (e.n != i) ++wrong;
            }
        }
    });
    CHECK(wrong == 0);
}

TEST_CASE("PAN-61 an exception thrown by one goroutine and rethrown in another") {
    std::atomic<int> wrong{0};
    const int rounds = scaled(300);
    among_others([&](int i) {
        auto c = make_chan<std::exception_ptr>();
        go([c, i, rounds]() mutable {
            for (int j = 0; j < rounds; ++j) {
                try {
                    throw numbered(i + j);
                } catch (...) {
                    c.send(std::current_exception());
                    yield_some();
                }
            }
            c.close();
        });
        int j = 0;
        for (std::exception_ptr p : c) {
            try {
                std::rethrow_exception(p);
            } catch (const numbered& e) {
                p = nullptr;
                yield_some();
                if (e.n != i + j) ++wrong;
            }
            ++j;
        }
        if (j != rounds) ++wrong;
    });
    CHECK(wrong == 0);
}

TEST_CASE("PAN-61 current_exception held over a park, and recovery in between") {
    std::atomic<int> wrong{0};
    const int rounds = scaled(200);
    among_others([&](int i) {
        for (int j = 0; j < rounds; ++j) {
            try {
                throw numbered(i);
            } catch (...) {
                const std::exception_ptr mine = std::current_exception();
                recovering([&] {
                    defer d{[&] {
                        yield_some();
                        if (const auto p = recover(); !p || *p->get<int>() != j) ++wrong;
                    }};
                    yield_some();
                    panic(j);
                });
                if (std::current_exception() != mine) ++wrong;
            }
        }
    });
    CHECK(wrong == 0);
}

namespace {
[[gnu::noinline]] void throw_not_allowed() { throw std::runtime_error("not allowed"); }
}  // namespace

TEST_CASE("child: noexcept function throws", "[.child]") {
    in_goroutine([] { []() noexcept { throw_not_allowed(); }(); });
}
TEST_CASE("PAN-62 a noexcept function that throws ends the process, and says on which goroutine") {
    const auto r = run_case_in_subprocess("child: noexcept function throws");
    INFO(r.text());
    CHECK(r.aborted());
    CHECK_THAT(r.err, Catch::StartsWith("panic: std::runtime_error: not allowed\n"));
    CHECK_THAT(r.err, Catch::Contains("goroutine ") && Catch::Contains(" [running]:\n"));
    CHECK_THAT(r.err, Catch::Contains("terminate called after throwing"));
}

TEST_CASE("PAN-63 exceptions pass the runtime's functions to their callers") {
    run([] {
        CHECK_THROWS_AS(blocking([] { throw numbered(1); }), numbered);
        CHECK_THROWS_AS(on_system_stack([] { throw numbered(1); }), numbered);
        CHECK_THROWS_AS(stack::ensure(200'000, [] { throw numbered(1); }), numbered);
        auto c = make_chan<int>(1);
        c.send(1);
        CHECK_THROWS_AS(select(on_recv(c, [] { throw numbered(1); })), numbered);
        c.send(2);
        CHECK(c.recv() == 2);
        CHECK(recovering<int>([](int& result) {
                  defer d{[&] { result = recover()->get<numbered>()->n; }};
                  on_system_stack([] { throw numbered(5); });
              }) == 5);
    });
}

}  // namespace vole::test
