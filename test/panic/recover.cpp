// recover: who gets what, and what follows. PAN-10 to PAN-19.
#include "test/panic/panic_support.hpp"

#include <any>

namespace vole::test {

TEST_CASE("PAN-10 a panic runs the deferred calls upwards, code behind it never") {
    log l;
    recovering([&] {
        defer outer{[&] { l("outer " + recovered()); }};
        [&] {
            defer inner{[&] { l("inner"); }};
            panic("x");
            l("never");
        }();
        l("never");
    });
    l("after");
    CHECK(l.text() == "inner outer x after");
}

TEST_CASE("PAN-11 recover gives the panic to a deferred call of the frame, once") {
    log l;
    recovering([&] {
        defer last{[&] { l(recovered()); }};
        defer d{[&] {
            l(recovered());
            l(recovered());
        }};
        panic(1);
    });
    CHECK(l.text() == "1 nothing nothing");
}

TEST_CASE("PAN-11 recover gives nothing outside of a deferred call that the panic runs") {
    log l;
    CHECK(recovered() == "nothing");
    recovering([&] {
        l(recovered());
        defer d{[&] {
            recovering([&] {  // a frame of the deferred call's own
                l(recovered());
                defer inner{[&] { l(recovered()); }};
            });
            {
                defer scope{[&] { l(recovered()); }};  // run by the end of its scope
            }
            l(recovered());
        }};
        panic("p");
    });
    CHECK(l.text() == "nothing nothing nothing nothing p");
}

TEST_CASE("PAN-11 recover gives nothing without a frame") {
    log l;
    try {
        defer d{[&] { l(recovered()); }};
        panic("p");
    } catch (const panic_error&) {
        l("caught");
    }
    recovering([&] {
        try {
            defer d{[&] { l(recovered()); }};
            panic("caught before it reaches the frame");
        } catch (const panic_error&) {
            l("caught");
        }
    });
    CHECK(l.text() == "nothing caught nothing caught");
}

TEST_CASE("PAN-11 recover in another goroutine gives nothing") {
    log l;
    run([&] {
        recovering([&] {
            defer d{[&] {
                auto c = make_chan<std::string>();
                go([c]() mutable { c.send(recovered()); });
                l(*c.recv());
                l(recovered());
            }};
            panic("mine");
        });
    });
    CHECK(l.text() == "nothing mine");
}

TEST_CASE("PAN-12 without a panic recover gives nothing") {
    log l;
    recovering([&] { defer d{[&] { l(recovered()); }}; });
    CHECK(l.text() == "nothing");
}

TEST_CASE("PAN-13 after recover the other deferred calls run with no panic pending") {
    log l;
    const int r = recovering<int>([&](int& result) {
        defer third{[&] {
            l("third " + recovered());
            result = 3;
        }};
        defer second{[&] { l("second " + recovered()); }};
        defer first{[&] { l("first"); }};
        panic("p");
    });
    CHECK(l.text() == "first second p third nothing");
    CHECK(r == 3);
}

#if !defined(VOLE_ASAN) && !defined(VOLE_TSAN)  // they keep what is freed for a while
TEST_CASE("PAN-14 a recovered panic is over; a million of them take no memory") {
    const auto resident = [] {
        long pages = 0;
        std::FILE* f = std::fopen("/proc/self/statm", "r");
        const int got = std::fscanf(f, "%*d %ld", &pages);
        std::fclose(f);
        return got == 1 ? pages * 4 : 0;
    };
    run([&] {
        const int n = scaled(100'000);
        int count = 0;
        const auto round = [&](int i) {
            recovering([&] {
                defer d{[&] {
                    const auto p = recover();
                    if (p && p->get<int>() != nullptr && *p->get<int>() == i) ++count;
                }};
                panic(i);
            });
        };
        for (int i = 0; i < n / 10; ++i) round(i);
        const long before = resident();
        for (int i = 0; i < n; ++i) round(i);
        CHECK(count == n + n / 10);
        CHECK(resident() < before + 4096);
    });
}

#endif

TEST_CASE("PAN-15 recover gives the value that was panicked with") {
    struct thing {
        int a;
        std::string b;
    };
    const auto with = [](auto value) {
        std::optional<panic_value> got;
        recovering([&] {
            defer d{[&] { got = recover(); }};
            panic(value);
        });
        return *got;
    };
    CHECK(std::any_cast<int>(with(3).value()) == 3);
    CHECK(*with(3).get<int>() == 3);
    CHECK(with(3).get<long>() == nullptr);
    CHECK(with(thing{1, "b"}).get<thing>()->b == "b");
    CHECK(std::string(*with("text").get<const char*>()) == "text");
    CHECK(*with(std::any(5)).get<int>() == 5);
    const auto e = with(std::string("s"));
    CHECK(e.get<panic_error>() != nullptr);
    CHECK_THROWS_AS(std::rethrow_exception(e.exception()), panic_error);
}

TEST_CASE("PAN-15 nil becomes panic_nil_error") {
    const char* text = "panic called with nil argument (use GODEBUG=panicnil=1 to disable)";
    CHECK_THROWS_WITH(panic(nullptr), text);
    CHECK_THROWS_AS(panic(nullptr), panic_nil_error);
    CHECK_THROWS_AS(panic(std::any()), panic_nil_error);
    CHECK_THROWS_AS(panic(static_cast<const char*>(nullptr)), runtime_error);
    CHECK_THROWS_AS(panic(std::exception_ptr()), panic_nil_error);
}

TEST_CASE("any exception that passes a frame can be recovered") {
    std::optional<panic_value> got;
    recovering([&] {
        defer d{[&] { got = recover(); }};
        throw std::out_of_range("index");
    });
    REQUIRE(got);
    CHECK(got->what() == std::string("std::out_of_range: index"));
    CHECK(!got->value().has_value());
    CHECK(got->get<std::logic_error>()->what() == std::string("index"));
    CHECK(got->get<std::runtime_error>() == nullptr);
    recovering([&] {
        defer d{[&] { got = recover(); }};
        throw 7;
    });
    CHECK(*got->get<int>() == 7);
}

TEST_CASE("a panic that nobody recovers leaves the frame as the exception that it is") {
    const auto f = [] {
        recovering([] {
            defer d{[] {}};
            throw std::domain_error("mine");
        });
    };
    CHECK_THROWS_AS(f(), std::domain_error);
    // The same object, not a copy.
    const void* thrown = nullptr;
    const void* caught = nullptr;
    struct error {
        int x = 0;
    };
    try {
        recovering([&] {
            defer d{[] {}};
            try {
                throw error{};
            } catch (const error& e) {
                thrown = &e;
                throw;
            }
        });
    } catch (const error& e) {
        caught = &e;
    }
    CHECK(thrown == caught);
}

TEST_CASE("PAN-16 a panic of a deferred call replaces the first one") {
    log l;
    recovering([&] {
        defer last{[&] {
            l(recovered());
            l(recovered());
        }};
        defer d{[&] {
            l("second");
            panic("newer");
        }};
        defer before{[&] { l("first"); }};
        panic("older");
    });
    CHECK(l.text() == "first second newer nothing");
    // Across frames: the inner frame's deferred call panics, the outer one recovers.
    recovering([&] {
        defer outer{[&] { l(recovered()); }};
        recovering([&] {
            defer inner{[&] {
                l(recovered());
                panic("again");
            }};
            panic("once");
        });
    });
    CHECK(l.text() == "first second newer nothing once again");
}

TEST_CASE("PAN-17 a panic recovered inside the deferred call leaves the outer one pending") {
    log l;
    recovering([&] {
        defer last{[&] { l(recovered()); }};
        defer d{[&] {
            recovering([&] {
                defer inner{[&] { l(recovered()); }};
                panic("inner");
            });
            try {
                throw 1;
            } catch (int) {
                l("caught");
            }
        }};
        panic("outer");
    });
    CHECK(l.text() == "inner caught outer");
}

namespace {
void throw_while_unwinding() {
    run([] {
        try {
            defer d{[] { throw std::runtime_error("second"); }};
            throw std::runtime_error("first");
        } catch (const std::runtime_error&) {
        }
    });
}
struct throws_in_destructor {
    ~throws_in_destructor() noexcept(false) { throw std::runtime_error("second"); }
};
}  // namespace

TEST_CASE("child: deferred call throws while unwinding", "[.child]") { throw_while_unwinding(); }
TEST_CASE("child: deferred call throws while a goroutine dies", "[.child]") {
    set_panic_handler([](const panic_value&) {});
    in_goroutine([] {
        defer d{[] { panic("second"); }};
        panic("first");
    });
}
TEST_CASE("child: destructor throws while unwinding", "[.child]") {
    in_goroutine([] {
        recovering([] {
            throws_in_destructor t;
            panic("first");
        });
    });
}
TEST_CASE("PAN-18 a second exception while one unwinds outside of a frame is fatal, and told") {
    auto r = run_case_in_subprocess("child: deferred call throws while unwinding");
    INFO(r.text());
    CHECK(r.aborted());
    CHECK_THAT(r.err,
               Catch::Contains("\tpanic: std::runtime_error: second\nfatal error: panic during "
                               "unwinding\n"));
    r = run_case_in_subprocess("child: deferred call throws while a goroutine dies");
    INFO(r.text());
    CHECK(r.aborted());
    CHECK_THAT(r.err, Catch::StartsWith(
                          "panic: first\n\tpanic: second\nfatal error: panic during unwinding\n"));
    r = run_case_in_subprocess("child: destructor throws while unwinding");
    INFO(r.text());
    CHECK(r.aborted());
    CHECK_THAT(r.err,
               Catch::StartsWith("panic: first\n\tpanic: std::runtime_error: second\nfatal error: "
                                 "panic during unwinding\n"));
}

TEST_CASE("PAN-19 goroutines panic at once and recover, each its own") {
    std::atomic<int> right{0};
    const int n = scaled(200);
    procs_scope procs(4);
    run([&] {
        wait_group all;
        for (int i = 0; i < 50; ++i) {
            all.go([&, i] {
                for (int j = 0; j < n; ++j) {
                    recovering([&] {
                        defer d{[&] {
                            gosched();
                            const auto p = recover();
                            if (p && *p->get<int>() == i * 1000 + j) ++right;
                        }};
                        panic(i * 1000 + j);
                    });
                }
            });
        }
        all.wait();
    });
    CHECK(right == 50 * n);
}

TEST_CASE("frames and deferred calls work on ordinary threads") {
    log l;
    std::thread([&] {
        recovering([&] {
            defer last{[&] { l(recovered()); }};
            defer d{[&] { panic("replaced"); }};
            panic("p");
        });
    }).join();
    CHECK(l.text() == "replaced");
}

TEST_CASE("panic of a panic_value is the same panic again") {
    std::optional<panic_value> first;
    std::optional<panic_value> second;
    recovering([&] {
        defer outer{[&] { second = recover(); }};
        recovering([&] {
            defer d{[&] {
                first = recover();
                panic(*first);
            }};
            panic("p");
        });
    });
    REQUIRE(first);
    REQUIRE(second);
    CHECK(first->exception() == second->exception());
}

}  // namespace vole::test
