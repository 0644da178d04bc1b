// How panics are printed: PAN-43, PAN-50 to PAN-55. Each text is what Go prints, but for the types' names.
#include "test/panic/panic_support.hpp"

#include <limits>

namespace vole::test {

namespace {

enum class colour { red = 93 };
enum small : signed char { minus = -3 };

struct stringer {
    std::string to_string() const { return "a stringer"; }
};
struct bad_stringer {
    std::string to_string() const {
        throw std::runtime_error("important multi-line\nerror message");
    }
};
struct worse_stringer {
    std::string to_string() const { panic(worse_stringer()); }
};
struct plain {
    int x = 0;
};

// What the default handler would say of it, up to the empty line.
template <class F>
std::string printed(F f) {
    std::string text;
    handler_scope h([&](const panic_value& p) { text = head_of(p.report()); });
    in_goroutine(f);
    return text;
}
template <class T>
std::string printed_value(T v) {
    return printed([&] { panic(v); });
}

}  // namespace

TEST_CASE("PAN-50 values are printed as Go prints them") {
    CHECK(printed_value("text") == "panic: text\n");
    CHECK(printed_value(std::string("Panic\nline two")) == "panic: Panic\n\tline two\n");
    CHECK(printed_value(std::string_view("view")) == "panic: view\n");
    CHECK(printed_value(42) == "panic: 42\n");
    CHECK(printed_value(-7L) == "panic: -7\n");
    CHECK(printed_value(std::numeric_limits<long long>::min()) == "panic: -9223372036854775808\n");
    CHECK(printed_value(std::numeric_limits<unsigned long>::max()) ==
          "panic: 18446744073709551615\n");
    CHECK(printed_value(static_cast<unsigned char>(200)) == "panic: 200\n");
    CHECK(printed_value(true) == "panic: true\n");
    CHECK(printed_value(1234.5) == "panic: +1.234500e+003\n");
    CHECK(printed_value(-0.00015f) == "panic: -1.500000e-004\n");
    CHECK(printed_value(0.0) == "panic: +0.000000e+000\n");
    CHECK(printed_value(1e300) == "panic: +1.000000e+300\n");
    CHECK(printed_value(std::numeric_limits<double>::infinity()) == "panic: +Inf\n");
    CHECK(printed_value(-std::numeric_limits<double>::infinity()) == "panic: -Inf\n");
    CHECK(printed_value(std::numeric_limits<double>::quiet_NaN()) == "panic: NaN\n");
    CHECK(printed_value(colour::red) == "panic: vole::test::(anonymous namespace)::colour(93)\n");
    CHECK(printed_value(minus) == "panic: vole::test::(anonymous namespace)::small(-3)\n");
    CHECK(printed_value(stringer()) == "panic: a stringer\n");
    CHECK(printed_value(std::runtime_error("what")) == "panic: what\n");
    CHECK(printed_value(std::any(5)) == "panic: 5\n");
    CHECK(printed_value(std::any(std::string("s"))) == "panic: s\n");
    CHECK_THAT(printed_value(plain()),
               Catch::StartsWith("panic: (vole::test::(anonymous namespace)::plain) 0x"));
    CHECK(printed([] { panic(nullptr); }) ==
          "panic: panic called with nil argument (use GODEBUG=panicnil=1 to disable)\n");
}

TEST_CASE("PAN-43 other exceptions are printed with their type") {
    CHECK(printed([] { throw std::out_of_range("index 7"); }) ==
          "panic: std::out_of_range: index 7\n");
    CHECK_THAT(printed([] { throw 7; }), Catch::StartsWith("panic: (int) 0x"));
    CHECK_THAT(printed([] { throw plain(); }),
               Catch::StartsWith("panic: (vole::test::(anonymous namespace)::plain) 0x"));
    CHECK(printed([] { throw runtime_error("close of closed channel"); }) ==
          "panic: close of closed channel\n");
}

TEST_CASE("PAN-51 the chain: a recovered one and the next") {
    CHECK(printed([] {
              recovering([] {
                  defer d{[] {
                      recover();
                      panic("second panic");
                  }};
                  panic("first panic");
              });
          }) == "panic: first panic [recovered]\n\tpanic: second panic\n");
    CHECK(printed([] {
              recovering([] {
                  defer d{[] { panic("second panic"); }};
                  panic("first panic");
              });
          }) == "panic: first panic\n\tpanic: second panic\n");
}

TEST_CASE("PAN-51 the chain: repanicked") {
    CHECK(printed([] {
              recovering([] {
                  defer d{[] { panic(*recover()); }};
                  panic("message");
              });
          }) == "panic: message [recovered, repanicked]\n");
    CHECK(printed([] {
              recovering([] {
                  defer d{[] { panic(std::any_cast<const char*>(recover()->value())); }};
                  panic("message");
              });
          }) == "panic: message [recovered, repanicked]\n");
    CHECK(printed([] {
              recovering([] {
                  defer outer{[] {
                      recover();
                      panic("outer");
                  }};
                  recovering([] {
                      defer middle{[] { panic(*recover()); }};
                      recovering([] {
                          defer inner{[] {
                              recover();
                              panic("middle");
                          }};
                          panic("inner");
                      });
                  });
              });
          }) ==
          "panic: inner [recovered]\n\tpanic: middle [recovered, repanicked]\n\tpanic: outer\n");
    // Sandwich
    CHECK(printed([] {
              recovering([] {
                  defer d{[] {
                      const auto outer = recover();
                      recovering([&] {
                          defer e{[&] {
                              recover();
                              panic(*outer);
                          }};
                          panic("inner");
                      });
                  }};
                  panic("outer");
              });
          }) == "panic: outer [recovered]\n\tpanic: inner [recovered]\n\tpanic: outer\n");
}

TEST_CASE("PAN-51 the chain: recursive panics") {
    CHECK(printed([] {  // 3
              recovering([] {
                  defer d{[] {
                      recovering([] {
                          defer e{[] { recover(); }};
                          panic("second panic");
                      });
                  }};
                  panic("first panic");
              });
          }) == "panic: first panic\n");
    CHECK(printed([] {  // 2: the second is recovered, the third remains beside the first
              recovering([] {
                  defer f{[] { panic("third panic"); }};
                  defer d{[] {
                      recovering([] {
                          defer e{[] { recover(); }};
                          panic("second panic");
                      });
                  }};
                  panic("first panic");
              });
          }) == "panic: first panic\n\tpanic: third panic\n");
    CHECK(printed([] {  // 4: recovered by the next deferred call, then a new one
              recovering([] {
                  defer d{[] { panic("second panic"); }};
                  defer e{[] { recover(); }};
                  panic("first panic");
              });
          }) == "panic: second panic\n");
    CHECK(printed([] {  // 5
              recovering([] {
                  defer d{[] { panic("third panic"); }};
                  defer e{[] { panic("second panic"); }};
                  panic("first panic");
              });
          }) == "panic: first panic\n\tpanic: second panic\n\tpanic: third panic\n");
}

TEST_CASE("PAN-53 goexit in between is not printed") {
    CHECK(printed([] {
              recovering([] {
                  defer d{[] { panic("during goexit"); }};
                  defer e{[] { goexit(); }};
                  panic("dropped");
              });
          }) == "panic: during goexit\n");
}

TEST_CASE("child: unprintable", "[.child]") {
    in_goroutine([] { panic(bad_stringer()); });
}
TEST_CASE("child: unprintable twice", "[.child]") {
    in_goroutine([] { panic(worse_stringer()); });
}
TEST_CASE(
    "PAN-52 a value whose text throws is fatal when it is printed, not when it is recovered") {
    bool recovered_it = false;
    recovering([&] {
        defer d{[&] {
            const auto p = recover();
            recovered_it = p && p->get<bad_stringer>() != nullptr;
        }};
        panic(bad_stringer());
    });
    CHECK(recovered_it);
    const auto r = run_case_in_subprocess("child: unprintable");
    INFO(r.text());
    CHECK(r.aborted());
    CHECK_THAT(r.err, Catch::Contains("fatal error: panic while printing panic value: important "
                                      "multi-line\n\terror message\n"));
}

TEST_CASE("PAN-54 PAN-55 run-time errors") {
    const auto check = [](auto f, const char* text) {
        CHECK_THROWS_WITH(f(), text);
        CHECK_THROWS_AS(f(), runtime_error);
        CHECK_THROWS_AS(f(), std::exception);
    };
    check(
        [] {
            auto c = make_chan<int>();
            c.close();
            c.close();
        },
        "close of closed channel");
    check(
        [] {
            auto c = make_chan<int>(1);
            c.close();
            c.send(1);
        },
        "send on closed channel");
    check([] { chan<int>().close(); }, "close of nil channel");
    check([] { wait_group().done(); }, "sync: negative WaitGroup counter");
    check([] { make_chan<int>(std::numeric_limits<std::size_t>::max()); },
          "makechan: size out of range");
}

}  // namespace vole::test
