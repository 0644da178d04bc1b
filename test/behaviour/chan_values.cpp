// What becomes of the elements: moves, instances, destruction. Cites CHAN-22, CHAN-23, CHAN-66, CHAN-68.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/select.hpp>
#include <vole/sync.hpp>

#include "test/support/findings.hpp"
#include "test/support/values.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace vole::test;

namespace {

/// Its destructor uses the channel it travels through.
struct talkative {
    vole::chan<int> log;
    int id = 0;
    talkative(vole::chan<int> l, int i) : log(std::move(l)), id(i) {}
    talkative(talkative&& o) noexcept : log(std::move(o.log)), id(o.id) { o.log = {}; }
    talkative(const talkative&) = delete;
    talkative& operator=(const talkative&) = delete;
    talkative& operator=(talkative&&) = delete;
    ~talkative() {
        if (log != vole::chan<int>{}) log.try_send(id);
    }
};

/// Calls a function whenever it is moved and when it dies. Whether its move may throw decides which way a
/// channel takes; so both are tried.
template <bool NoexceptMove>
struct hooked {
    std::function<void()>* hook;
    explicit hooked(std::function<void()>* h) : hook(h) {}
    hooked(hooked&& o) noexcept(NoexceptMove) : hook(o.hook) { call(); }
    hooked(const hooked&) = delete;
    hooked& operator=(const hooked&) = delete;
    hooked& operator=(hooked&&) = delete;
    ~hooked() { call(); }
    void call() const {
        if (hook != nullptr) (*hook)();
    }
};

/// Sends on the very channel from every move and destructor: hangs if a lock is held there. Gives how
/// often that happened, 0 if values were lost.
template <bool NoexceptMove>
int calls_while_travelling(int procs, std::size_t cap) {
    using element = hooked<NoexceptMove>;
    constexpr int count = 20;
    std::atomic<int> calls{0};
    std::atomic<int> extra{0};
    std::atomic<int> received{0};
    run_on(procs, [&] {
        auto c = vole::make_chan<element>(cap);
        std::function<void()> hook = [&] {
            ++calls;
            try {
                if (c.try_send(element(nullptr))) ++extra;
            } catch (const vole::runtime_error&) {
            }  // it is closed by now
        };
        vole::wait_group senders;
        vole::wait_group receivers;
        receivers.go([&] {
            while (c.recv()) ++received;
        });
        receivers.go([&] {
            bool open = true;
            while (open) {
                vole::select(vole::on_recv(c, [&](std::optional<element> v) {
                    open = v.has_value();
                    if (open) ++received;
                }));
            }
        });
        senders.go([&] {
            for (int i = 0; i < count; ++i) c.send(element(&hook));
        });
        senders.go([&] {
            for (int i = 0; i < count; ++i) vole::select(vole::on_send(c, element(&hook)));
        });
        senders.wait();
        c.close();
        receivers.wait();
    });
    return received == 2 * count + extra ? calls.load() : 0;
}

}  // namespace

TEST_CASE("CHAN-22 a value that nobody wants is consumed and destroyed", "[chan][values]") {
    tracked::reset();
    auto c = vole::make_chan<tracked>(2);
    c.send(tracked(1));
    c.send(tracked(2));
    CHECK(tracked::live == 2);
    c.recv();
    CHECK(tracked::live == 1);
    CHECK(c.len() == 1);
    c.try_recv();
    CHECK(tracked::live == 0);
    c.send(tracked(3));
    vole::select(vole::on_recv(c));
    CHECK(tracked::live == 0);
    c.send(tracked(4));
    vole::select(vole::on_recv(c, [] {}));
    CHECK(tracked::live == 0);
    CHECK(c.len() == 0);
}

TEST_CASE("CHAN-23 a slot is empty at once when its value is taken", "[chan][values]") {
    CHECK(everywhere([](findings& ok) {
              const auto shared = std::make_shared<int>(1);
              auto c = vole::make_chan<std::shared_ptr<int>>(3);
              for (int round = 0; round < 5; ++round) {
                  for (int i = 0; i < 3; ++i) {
                      c.send(shared);
                      ok.equal(shared.use_count(), 2L + i);
                  }
                  for (int i = 0; i < 3; ++i) {
                      {
                          const auto got = c.recv();
                          ok.equal(shared.use_count(), 4L - i);
                      }
                      ok.equal(shared.use_count(), 3L - i);
                  }
              }
              c.send(shared);
              c.close();
              c.recv();
              ok.equal(shared.use_count(), 1L);
          }) == "");

    tracked::reset();
    auto t = vole::make_chan<tracked>(4);
    for (int i = 0; i < 100; ++i) {
        t.send(tracked(i));
        t.send(tracked(i));
        REQUIRE(tracked::live == static_cast<int>(t.len()));
        t.recv();
        t.recv();
        REQUIRE(tracked::live == 0);
    }
}

TEST_CASE("CHAN-23 no instance is left after a hand-over of any kind", "[chan][values]") {
    for (const int procs : {1, 4}) {
        for (const std::size_t cap : {0U, 1U, 4U}) {
            tracked::reset();
            std::vector<int> sums(3);
            const int rounds = scaled(500, 50);
            run_on(procs, [&] {
                auto c = vole::make_chan<tracked>(cap);
                // One for each side: on a common one the two selects would pair with each other.
                auto idle = vole::make_chan<tracked>();
                auto silent = vole::make_chan<tracked>();
                vole::wait_group senders;
                vole::wait_group receivers;
                senders.go([&] {
                    for (int i = 0; i < rounds; ++i) c.send(tracked(1));
                });
                senders.go([&] {
                    for (int i = 0; i < rounds; ++i) {
                        vole::select(vole::on_send(c, tracked(1)),
                                     vole::on_send(idle, tracked(100)));
                    }
                });
                senders.go([&] {
                    for (int i = 0; i < rounds;) {
                        tracked t(1);
                        if (c.try_send(std::move(t)))
                            ++i;
                        else
                            vole::gosched();
                    }
                });
                receivers.go([&] {
                    while (auto v = c.recv()) sums[0] += v->value;
                });
                receivers.go([&] {
                    bool open = true;
                    while (open) {
                        vole::select(vole::on_recv(silent),
                                     vole::on_recv(c, [&](std::optional<tracked> v) {
                                         open = v.has_value();
                                         if (v) sums[1] += v->value;
                                     }));
                    }
                });
                receivers.go([&] {
                    for (;;) {
                        auto r = c.try_recv();
                        if (r.is_closed()) break;
                        if (r)
                            sums[2] += (*r).value;
                        else
                            vole::gosched();
                    }
                });
                senders.wait();
                c.close();
                receivers.wait();
            });
            CHECK(sums[0] + sums[1] + sums[2] == 3 * rounds);
            CHECK(tracked::live == 0);
            CHECK(tracked::copies == 0);
        }
    }
}

TEST_CASE("CHAN-66 elements that can only be moved", "[chan][values]") {
    CHECK(everywhere([](findings& ok) {
              for (const std::size_t cap : {0U, 2U}) {
                  auto c = vole::make_chan<move_only>(cap);
                  vole::go([=]() mutable {
                      for (int i = 0; i < 10; ++i) {
                          if (i % 2 == 0)
                              c.send(move_only(i));
                          else
                              vole::select(vole::on_send(c, move_only(i)));
                      }
                      c.close();
                  });
                  int next = 0;
                  ok.equal(c.recv().value().value, next++);
                  vole::select(vole::on_recv(
                      c, [&](std::optional<move_only> v) { ok.equal(v->value, next++); }));
                  for (auto& v : c) ok.equal(v.value, next++);
                  ok.equal(next, 10);
              }
          }) == "");

    findings ok;
    run_on(2, [&] {
        auto c = vole::make_chan<std::unique_ptr<std::string>>();
        vole::go([=]() mutable { c.send(std::make_unique<std::string>("text")); });
        const auto p = c.recv();
        ok(p.has_value() && *p != nullptr && **p == "text");

        auto f = vole::make_chan<std::function<int()>>(1);
        f.send([] { return 3; });
        ok.equal((*f.recv())(), 3);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CHAN-66 a hand-over moves twice at most", "[chan][values]") {
    int to_parked_receiver = 0;
    int from_parked_sender = 0;
    int through_buffer = 0;
    int values = 0;
    run_on(1, [&] {
        auto c = vole::make_chan<move_only>();
        vole::wait_group all;
        move_only::reset();
        all.go([&] {
            const std::optional<move_only> got = c.recv();
            values += got->value;
        });
        settle();
        move_only a(1);
        c.send(std::move(a));
        all.wait();
        to_parked_receiver = move_only::moves;

        move_only::moves = 0;
        all.go([&] {
            move_only b(10);
            c.send(std::move(b));
        });
        settle();
        {
            const std::optional<move_only> got = c.recv();
            values += got->value;
        }
        all.wait();
        from_parked_sender = move_only::moves;

        auto d = vole::make_chan<move_only>(1);
        move_only::moves = 0;
        move_only e(100);
        d.send(std::move(e));
        const std::optional<move_only> got = d.recv();
        values += got->value;
        through_buffer = move_only::moves;
    });
    CHECK(values == 111);
    CHECK(to_parked_receiver <= 2);
    CHECK(from_parked_sender <= 2);
    CHECK(through_buffer <= 2);
}

TEST_CASE("CHAN-66 an lvalue is copied once and stays", "[chan][values]") {
    tracked::reset();
    auto c = vole::make_chan<tracked>(1);
    tracked mine(5);
    c.send(mine);
    CHECK(mine.value == 5);
    CHECK(tracked::copies == 1);
    CHECK(c.recv()->value == 5);
    CHECK(tracked::copies == 1);
    const tracked constant(6);
    CHECK(c.try_send(constant));
    CHECK(c.recv()->value == 6);
    CHECK(tracked::copies == 2);
}

TEST_CASE("CHAN-68 an element's destructor may use the channel that delivers it",
          "[chan][values]") {
    findings ok;
    run_on(1, [&] {
        auto log = vole::make_chan<int>(10);
        {
            auto c = vole::make_chan<talkative>(3);
            for (int i = 0; i < 3; ++i) c.send(talkative(log, i));
            ok.equal(log.len(), 0U);
            c.recv();
            ok.equal(log.recv().value_or(-1), 0);
            vole::select(vole::on_recv(c));
            ok.equal(log.recv().value_or(-1), 1);
        }
        ok.equal(log.recv().value_or(-1), 2);  // from the channel's destructor
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CHAN-68 moving and destroying an element holds no lock", "[chan][values]") {
    for (const int procs : {1, 2, 4}) {
        for (const std::size_t cap : {0U, 1U, 10U}) {
            CHECK(calls_while_travelling<true>(procs, cap) > 0);
            CHECK(calls_while_travelling<false>(procs, cap) > 0);
        }
    }
}

TEST_CASE("CHAN-68 an element that sends on its own channel when it dies", "[chan][values]") {
    // The channel is of a type of its own, so the element knows it only through a function.
    struct echo {
        std::function<void()> last_words;
        explicit echo(std::function<void()> f) : last_words(std::move(f)) {}
        echo(echo&& o) noexcept : last_words(std::exchange(o.last_words, nullptr)) {}
        echo(const echo&) = delete;
        echo& operator=(const echo&) = delete;
        echo& operator=(echo&&) = delete;
        ~echo() {
            if (last_words) last_words();
        }
    };
    findings ok;
    run_on(1, [&] {
        auto c = vole::make_chan<echo>(1);
        int words = 0;
        c.send(echo([&] {
            ++words;
            // The slot is free by now, and the lock not held.
            ok(c.try_send(echo(nullptr)));
        }));
        c.recv();
        ok.equal(words, 1);
        ok.equal(c.len(), 1U);
        c.recv();

        // From a parked sender's hand.
        auto u = vole::make_chan<echo>();
        vole::go([&, u]() mutable {
            u.send(echo([&] {
                ++words;
                echo other(nullptr);
                ok(!u.try_send(std::move(other)));
            }));
        });
        settle();
        u.recv();
        ok.equal(words, 2);
        settle();
    });
    CHECK(ok.text() == "");
}
