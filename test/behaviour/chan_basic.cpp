// Channels when nothing goes wrong: making, nil, len and cap, values in and out, the directional views.
// Cites CHAN-1 to CHAN-17, CHAN-19, CHAN-22, CHAN-36, CHAN-69.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/sync.hpp>

#include "test/support/findings.hpp"
#include "test/support/values.hpp"

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

using namespace vole::test;

namespace {

// What can be written down at all; asked of types only, so nothing here needs to run.
template <class C, class T>
concept can_send = requires(C c, T v) {
    c.send(std::move(v));
};
template <class C, class T>
concept can_try_send = requires(C c, T v) {
    c.try_send(std::move(v));
};
template <class C>
concept can_recv = requires(C c) {
    c.recv();
};
template <class C>
concept can_try_recv = requires(C c) {
    c.try_recv();
};
template <class C>
concept can_range = requires(C c) {
    c.begin() != c.end();
};
template <class C>
concept can_close = requires(C c) {
    c.close();
};
template <class C>
concept can_send_nothing = requires(C c) {
    c.send();
};

}  // namespace

TEST_CASE("CHAN-1 an unbuffered channel has length and capacity 0", "[chan]") {
    CHECK(vole::make_chan<int>().cap() == 0);
    const auto c = vole::make_chan<int>(0);
    CHECK(c.len() == 0);
    CHECK(c.cap() == 0);
    findings ok;
    run_on(2, [&] {
        vole::go([c]() mutable { c.send(1); });
        ok.equal(c.len(), 0U);
        auto in = c;
        ok.equal(in.recv().value_or(0), 1);
        ok.equal(c.len(), 0U);
        ok.equal(c.cap(), 0U);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CHAN-2 a buffered channel takes cap values without a receiver", "[chan]") {
    CHECK(everywhere([](findings& ok) {
              for (const std::size_t n : {1U, 2U, 3U, 10U, 1000U}) {
                  auto c = vole::make_chan<int>(n);
                  ok.equal(c.cap(), n);
                  ok.equal(c.len(), 0U);
                  for (std::size_t k = 1; k <= n; ++k) {
                      c.send(static_cast<int>(k));
                      ok.equal(c.len(), k);
                  }
                  ok.equal(c.cap(), n);
                  for (std::size_t k = 1; k <= n; ++k)
                      ok.equal(c.recv().value_or(-1), static_cast<int>(k));
                  ok.equal(c.len(), 0U);
              }
          }) == "");
}

TEST_CASE("CHAN-3 sizes that cannot be are refused", "[chan]") {
    CHECK_THROWS_WITH(vole::make_chan<int>(SIZE_MAX), "makechan: size out of range");
    CHECK_THROWS_WITH(vole::make_chan<int>(SIZE_MAX / sizeof(int) + 1),
                      "makechan: size out of range");
    CHECK_THROWS_WITH(vole::make_chan<std::uint64_t>(SIZE_MAX / sizeof(std::uint64_t) + 1),
                      "makechan: size out of range");
    CHECK_THROWS_WITH(vole::make_chan<std::string>(SIZE_MAX / 2), "makechan: size out of range");
    CHECK_THROWS_AS(vole::make_chan<int>(SIZE_MAX), vole::runtime_error);
    CHECK_THROWS_WITH(vole::make_chan<large>(SIZE_MAX / sizeof(large) + 1),
                      "makechan: size out of range");
}

TEST_CASE("CHAN-4 elements of any size and alignment", "[chan]") {
    CHECK(everywhere([](findings& ok) {
              for (const std::size_t n : {0U, 1U, 3U}) {
                  auto c = vole::make_chan<over_aligned>(n);
                  vole::go([c]() mutable {
                      for (int i = 0; i < 10; ++i) c.send(over_aligned{i});
                      c.close();
                  });
                  int next = 0;
                  while (auto v = c.recv()) {
                      ok(v->aligned());
                      ok.equal(v->value, next++);
                  }
                  ok.equal(next, 10);
              }
          }) == "");
}

TEST_CASE("CHAN-4 an element of a mebibyte", "[chan]") {
    // On the test's own thread: its stack is the only one here with room for the values on their way.
    auto c = vole::make_chan<large>(2);
    auto v = std::make_unique<large>();
    std::iota(v->bytes.begin(), v->bytes.end(), static_cast<unsigned char>(1));
    c.send(*v);
    c.send(*v);
    CHECK(c.len() == 2);
    const auto got = c.recv();
    REQUIRE(got.has_value());
    CHECK(got->bytes == v->bytes);
}

TEST_CASE("CHAN-5 void and empty elements", "[chan]") {
    CHECK(everywhere([](findings& ok) {
              for (const std::size_t n : {0U, 1U, 5U}) {
                  auto v = vole::make_chan<void>(n);
                  auto e = vole::make_chan<nothing>(n);
                  ok.equal(v.cap(), n);
                  ok.equal(e.cap(), n);
                  for (std::size_t k = 0; k < n; ++k) {
                      v.send();
                      e.send(nothing{});
                      ok.equal(v.len(), k + 1);
                      ok.equal(e.len(), k + 1);
                  }
                  ok(!v.try_send());
                  ok(!e.try_send(nothing{}));
                  vole::go([=]() mutable {
                      for (int i = 0; i < 7; ++i) v.send();
                      v.close();
                      for (int i = 0; i < 7; ++i) e.send({});
                      e.close();
                  });
                  std::size_t voids = 0;
                  std::size_t empties = 0;
                  while (v.recv()) ++voids;
                  while (e.recv().has_value()) ++empties;
                  ok.equal(voids, n + 7);
                  ok.equal(empties, n + 7);
                  ok(!v.recv());
                  ok(e.recv() == std::nullopt);
              }
          }) == "");
}

TEST_CASE("CHAN-5 a large capacity of nothing costs nothing", "[chan]") {
    // More than any address space holds, if each took a byte.
    auto v = vole::make_chan<void>(SIZE_MAX / 4);
    auto e = vole::make_chan<nothing>(SIZE_MAX / 4);
    CHECK(v.cap() == SIZE_MAX / 4);
    CHECK(e.cap() == SIZE_MAX / 4);
    for (int i = 0; i < 1000; ++i) {
        v.send();
        e.send({});
    }
    CHECK(v.len() == 1000);
    CHECK(e.len() == 1000);
    CHECK(v.recv());
    CHECK(v.len() == 999);
}

TEST_CASE("CHAN-6 the nil channel has length and capacity 0", "[chan]") {
    const vole::chan<int> c;
    CHECK(c.len() == 0);
    CHECK(c.cap() == 0);
    const vole::chan<void> v;
    CHECK(v.len() == 0);
    CHECK(v.cap() == 0);
    const vole::send_chan<int> s;
    const vole::recv_chan<int> r;
    CHECK(s.len() == 0);
    CHECK(s.cap() == 0);
    CHECK(r.len() == 0);
    CHECK(r.cap() == 0);
}

TEST_CASE("CHAN-10 equality is identity", "[chan]") {
    const auto a = vole::make_chan<int>();
    const auto b = vole::make_chan<int>();
    const auto also_a = a;
    CHECK(a == also_a);
    CHECK(a != b);
    CHECK(vole::chan<int>{} == vole::chan<int>{});
    CHECK(a != vole::chan<int>{});

    CHECK(vole::make_chan<void>(1) != vole::make_chan<void>(1));
    CHECK(vole::make_chan<nothing>() != vole::make_chan<nothing>());

    const vole::send_chan<int> s = a;
    const vole::recv_chan<int> r = a;
    CHECK(s == a);
    CHECK(r == a);
    CHECK(a == s);
    CHECK(a == r);
    CHECK(s != b);
    CHECK(r != b);
    CHECK(s == vole::send_chan<int>(also_a));
    CHECK(vole::send_chan<int>{} == vole::send_chan<int>{});
    CHECK(vole::recv_chan<int>{} == vole::chan<int>{});

    auto moved_from = a;
    const auto moved = std::move(moved_from);
    CHECK(moved == a);
    CHECK(moved_from == vole::chan<int>{});  // NOLINT: what a moved-from handle is, is promised
}

TEST_CASE("CHAN-11 len counts what is buffered, cap stays", "[chan]") {
    findings ok;
    run_on(1, [&] {
        auto c = vole::make_chan<int>(2);
        c.send(1);
        c.send(2);
        vole::go([=]() mutable { c.send(3); });
        settle();
        ok.equal(c.len(), 2U);  // the parked sender's value is not counted
        c.recv();
        ok.equal(c.len(), 2U);  // and has moved up
        c.recv();
        ok.equal(c.len(), 1U);
        c.close();
        ok.equal(c.len(), 1U);
        ok.equal(c.cap(), 2U);

        auto u = vole::make_chan<int>();
        for (int i = 0; i < 3; ++i) vole::go([=]() mutable { u.send(i); });
        settle();
        ok.equal(u.len(), 0U);
        for (int i = 0; i < 3; ++i) u.recv();
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CHAN-13 an unbuffered send completes when its value is taken", "[chan]") {
    findings ok;
    run_on(1, [&] {
        auto c = vole::make_chan<int>();
        bool sent = false;
        vole::go([&, c]() mutable {
            c.send(7);
            sent = true;
        });
        settle();
        ok(!sent, "before the receive");
        ok.equal(c.recv().value_or(0), 7);
        settle();
        ok(sent, "after it");
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CHAN-13 plain variables are ordered by an unbuffered channel both ways", "[chan]") {
    // The sums are right in any case, as good as always; ThreadSanitizer is the judge here.
    for (const int procs : {1, 2, 4}) {
        const int rounds = scaled(2000);
        int written_by_sender = 0;
        int written_by_receiver = 0;
        int sum_sent = 0;
        int sum_received = 0;
        run_on(procs, [&] {
            auto c = vole::make_chan<void>();
            vole::wait_group both;
            both.go([&] {
                for (int i = 1; i <= rounds; ++i) {
                    written_by_sender = i;  // before the send begins
                    c.send();
                    sum_received += written_by_receiver;  // after it completed
                    c.send();
                }
            });
            both.go([&] {
                for (int i = 1; i <= rounds; ++i) {
                    written_by_receiver = i;  // before the receive begins
                    c.recv();
                    sum_sent += written_by_sender;  // after it completed
                    c.recv();
                }
            });
            both.wait();
        });
        CHECK(sum_sent == rounds * (rounds + 1) / 2);
        CHECK(sum_received == rounds * (rounds + 1) / 2);
    }
}

TEST_CASE("CHAN-14 a buffered channel works as a semaphore", "[chan]") {
    // Capacity 1 makes a lock of it: ThreadSanitizer would see a counter that is not kept apart.
    for (const int procs : {1, 4}) {
        const int rounds = scaled(2000);
        int count = 0;
        int inside = 0;
        int most = 0;
        std::atomic<int> in_three{0};
        std::atomic<int> most_in_three{0};
        run_on(procs, [&] {
            auto one = vole::make_chan<void>(1);
            auto three = vole::make_chan<void>(3);
            vole::wait_group all;
            for (int g = 0; g < 8; ++g) {
                all.go([&, one, three]() mutable {
                    for (int i = 0; i < rounds; ++i) {
                        one.send();
                        most = std::max(most, ++inside);
                        ++count;
                        if (i % 8 == 0) vole::gosched();
                        --inside;
                        one.recv();

                        three.send();
                        const int now = ++in_three;
                        int seen = most_in_three;
                        while (now > seen && !most_in_three.compare_exchange_weak(seen, now)) {
                        }
                        if (i % 8 == 4) vole::gosched();
                        --in_three;
                        three.recv();
                    }
                });
            }
            all.wait();
        });
        CHECK(count == 8 * rounds);
        CHECK(most == 1);
        CHECK(most_in_three <= 3);
    }
}

TEST_CASE("CHAN-17 values are FIFO at every capacity", "[chan]") {
    CHECK(everywhere([](findings& ok) {
              const int count = scaled(300, 30);
              for (std::size_t cap = 0; cap <= 20; ++cap) {
                  auto c = vole::make_chan<int>(cap);
                  vole::go([=]() mutable {
                      for (int i = 0; i < count; ++i) c.send(i);
                      c.close();
                  });
                  int next = 0;
                  while (const auto v = c.recv()) ok.equal(*v, next++);
                  ok.equal(next, count);
              }
          }) == "");
}

TEST_CASE("CHAN-19 many senders and receivers: nothing lost, nothing twice, each sender in order",
          "[chan]") {
    for (const int procs : {1, 2, 4}) {
        for (const std::size_t cap : {0U, 1U, 7U}) {
            const int each = scaled(500, 50);
            constexpr int senders = 5;
            constexpr int receivers = 4;
            std::vector<std::vector<int>> got(receivers);
            run_on(procs, [&] {
                auto c = vole::make_chan<int>(cap);
                vole::wait_group sending;
                vole::wait_group receiving;
                for (int s = 0; s < senders; ++s) {
                    sending.go([&, s] {
                        for (int i = 0; i < each; ++i) c.send(s * each + i);
                    });
                }
                for (auto& mine : got) {
                    receiving.go([&] {
                        while (const auto v = c.recv()) mine.push_back(*v);
                    });
                }
                sending.wait();
                c.close();
                receiving.wait();
            });
            std::vector<int> all;
            bool in_order = true;
            for (const auto& mine : got) {
                std::vector<int> last(senders, -1);
                for (const int v : mine) {
                    int& l = last[static_cast<std::size_t>(v / each)];
                    in_order = in_order && v > l;
                    l = v;
                }
                all.insert(all.end(), mine.begin(), mine.end());
            }
            std::sort(all.begin(), all.end());
            std::vector<int> wanted(static_cast<std::size_t>(senders * each));
            std::iota(wanted.begin(), wanted.end(), 0);
            CHECK(in_order);
            CHECK(all == wanted);
        }
    }
}

TEST_CASE("CHAN-36 the directional views offer their direction only", "[chan]") {
    using both = vole::chan<int>;
    using out = vole::send_chan<int>;
    using in = vole::recv_chan<int>;
    STATIC_REQUIRE(can_send<both, int>);
    STATIC_REQUIRE(can_try_send<both, int>);
    STATIC_REQUIRE(can_recv<both>);
    STATIC_REQUIRE(can_try_recv<both>);
    STATIC_REQUIRE(can_range<both>);
    STATIC_REQUIRE(can_close<both>);

    STATIC_REQUIRE(can_send<out, int>);
    STATIC_REQUIRE(can_try_send<out, int>);
    STATIC_REQUIRE(can_close<out>);
    STATIC_REQUIRE_FALSE(can_recv<out>);
    STATIC_REQUIRE_FALSE(can_try_recv<out>);
    STATIC_REQUIRE_FALSE(can_range<out>);

    STATIC_REQUIRE(can_recv<in>);
    STATIC_REQUIRE(can_try_recv<in>);
    STATIC_REQUIRE(can_range<in>);
    STATIC_REQUIRE_FALSE(can_send<in, int>);
    STATIC_REQUIRE_FALSE(can_try_send<in, int>);
    STATIC_REQUIRE_FALSE(can_close<in>);

    STATIC_REQUIRE(can_send_nothing<vole::send_chan<void>>);
    STATIC_REQUIRE_FALSE(can_send_nothing<vole::recv_chan<void>>);
    STATIC_REQUIRE_FALSE(can_recv<vole::send_chan<void>>);

    // Implicit from the channel, not back, not sideways.
    STATIC_REQUIRE(std::convertible_to<both, out>);
    STATIC_REQUIRE(std::convertible_to<both, in>);
    STATIC_REQUIRE_FALSE(std::constructible_from<both, out>);
    STATIC_REQUIRE_FALSE(std::constructible_from<both, in>);
    STATIC_REQUIRE_FALSE(std::constructible_from<in, out>);
    STATIC_REQUIRE_FALSE(std::constructible_from<out, in>);
    STATIC_REQUIRE_FALSE(std::constructible_from<vole::chan<long>, both>);
}

TEST_CASE("CHAN-36 the views work as the channel does", "[chan]") {
    CHECK(everywhere([](findings& ok) {
              auto c = vole::make_chan<int>(1);
              vole::send_chan<int> out = c;
              vole::recv_chan<int> in = c;
              out.send(1);
              ok.equal(in.len(), 1U);
              ok.equal(out.len(), 1U);
              ok.equal(in.cap(), 1U);
              ok(!out.try_send(2));
              ok.equal(in.recv().value_or(0), 1);
              ok(out.try_send(3));
              ok.equal(*in.try_recv(), 3);
              ok(in.try_recv().is_empty());
              out.send(4);
              out.close();
              std::vector<int> rest;
              for (const int v : in) rest.push_back(v);
              ok(rest == std::vector<int>{4});
          }) == "");
}

TEST_CASE("CHAN-69 references are refused; const, void and channels are elements", "[chan]") {
    STATIC_REQUIRE_FALSE(std::is_same_v<vole::chan<const int>, vole::chan<int>>);
    CHECK(everywhere([](findings& ok) {
              auto k = vole::make_chan<const int>(1);
              k.send(5);
              ok.equal(k.recv().value_or(0), 5);
              k.send(6);
              ok.equal(*k.try_recv(), 6);

              // A request that carries where the answer goes.
              struct request {
                  int question;
                  vole::send_chan<int> answer;
              };
              auto requests = vole::make_chan<request>();
              vole::go([=]() mutable {
                  for (auto& r : requests) r.answer.send(r.question * 2);
              });
              auto answer = vole::make_chan<int>();
              for (int i = 0; i < 5; ++i) {
                  requests.send({i, answer});
                  ok.equal(answer.recv().value_or(-1), 2 * i);
              }
              requests.close();

              auto outer = vole::make_chan<vole::chan<vole::chan<int>>>(1);
              outer.send(vole::make_chan<vole::chan<int>>(1));
              auto middle = outer.recv().value();
              middle.send(vole::make_chan<int>(1));
              auto inner = middle.recv().value();
              inner.send(9);
              ok.equal(inner.recv().value_or(0), 9);
          }) == "");
}

TEST_CASE("CHAN-75 a chain of goroutines hands one value through", "[chan]") {
    for (const int procs : {1, 4}) {
        const int length = scaled(10'000, 100);
        const int got = run_on(procs, [&] {
            auto first = vole::make_chan<int>();
            auto left = first;
            for (int i = 0; i < length; ++i) {
                auto right = vole::make_chan<int>();
                vole::go([left, right]() mutable { left.send(1 + right.recv().value()); });
                left = right;
            }
            left.send(0);
            return first.recv().value();
        });
        CHECK(got == length);
    }
}

TEST_CASE("CHAN-75 prime sieve", "[chan]") {
    for (const int procs : {1, 2, 4}) {
        const auto primes = run_on(procs, [] {
            auto source = vole::make_chan<int>();
            vole::go([=]() mutable {
                for (int i = 2; i < 230; ++i) source.send(i);
                source.close();
            });
            std::vector<int> found;
            auto in = source;
            while (const auto prime = in.recv()) {
                found.push_back(*prime);
                auto out = vole::make_chan<int>();
                vole::go([in, out, p = *prime]() mutable {
                    for (const int i : in) {
                        if (i % p != 0) out.send(i);
                    }
                    out.close();
                });
                in = out;
            }
            return found;
        });
        CHECK(primes.size() == 50);
        CHECK(primes.back() == 229);
    }
}
