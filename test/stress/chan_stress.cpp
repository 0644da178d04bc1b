// Channels under load: many goroutines, threads, closes at any moment, changing numbers of Ps. Each test
// checks a sum or a set at the end; a lost wake-up shows as a hang, which main.cpp reports with tracebacks.
// Cites CHAN-13, CHAN-18, CHAN-19, CHAN-28, CHAN-35, CHAN-44, CHAN-71, CHAN-74.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/select.hpp>
#include <vole/sync.hpp>

#include "test/support/duel.hpp"
#include "test/support/findings.hpp"
#include "test/support/values.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace vole::test;

TEST_CASE("CHAN-19 stress: many to many, every capacity", "[stress][chan]") {
    for (const int procs : {1, 2, 4}) {
        for (const std::size_t cap : {0U, 1U, 2U, 10U, 100U}) {
            const long each = stress_scaled(40'000L, 100);
            constexpr long senders = 8;
            std::atomic<long> sum{0};
            std::atomic<long> count{0};
            run_on(procs, [&] {
                auto c = vole::make_chan<long>(cap);
                vole::wait_group sending;
                vole::wait_group receiving;
                for (long s = 0; s < senders; ++s) {
                    sending.go([&, s] {
                        for (long i = 0; i < each; ++i) c.send(s * each + i);
                    });
                }
                for (int r = 0; r < 5; ++r) {
                    receiving.go([&] {
                        long mine = 0;
                        long n = 0;
                        for (const long v : c) {
                            mine += v;
                            ++n;
                        }
                        sum += mine;
                        count += n;
                    });
                }
                sending.wait();
                c.close();
                receiving.wait();
            });
            const long total = senders * each;
            CHECK(count == total);
            CHECK(sum == total * (total - 1) / 2);
        }
    }
}

TEST_CASE("CHAN-13 stress: ping-pong pairs beside each other", "[stress][chan]") {
    for (const int procs : {1, 2, 4}) {
        const int rounds = stress_scaled(150'000, 100);
        constexpr int pairs = 6;
        std::atomic<int> wrong{0};
        run_on(procs, [&] {
            vole::wait_group all;
            for (int p = 0; p < pairs; ++p) {
                auto ping = vole::make_chan<int>();
                auto pong = vole::make_chan<int>();
                all.go([&, ping, pong]() mutable {
                    for (int i = 0; i < rounds; ++i) {
                        ping.send(i);
                        if (pong.recv() != i + 1) ++wrong;
                    }
                    ping.close();
                });
                all.go([&, ping, pong]() mutable {
                    for (const int v : ping) pong.send(v + 1);
                });
            }
            all.wait();
        });
        CHECK(wrong == 0);
    }
}

TEST_CASE("CHAN-28 stress: close while senders and receivers come and go",
          "[stress][chan][close]") {
    for (const int procs : {2, 4}) {
        const int rounds = stress_scaled(700, 50);
        int mismatches = 0;
        tracked::reset();
        run_on(procs, [&] {
            dice roll(static_cast<std::uint64_t>(procs));
            for (int round = 0; round < rounds; ++round) {
                auto c = vole::make_chan<tracked>(roll(3));
                std::atomic<int> sent{0};
                std::atomic<int> received{0};
                std::atomic<int> refused{0};
                vole::wait_group all;
                for (int s = 0; s < 3; ++s) {
                    all.go([&] {
                        try {
                            for (;;) {
                                c.send(tracked(1));
                                ++sent;
                            }
                        } catch (const vole::runtime_error&) {
                            ++refused;
                        }
                    });
                }
                for (int r = 0; r < 2; ++r) {
                    all.go([&] {
                        while (c.recv()) ++received;
                    });
                }
                for (std::uint64_t i = roll(20); i > 0; --i) vole::gosched();
                c.close();
                all.wait();
                if (sent != received || refused != 3) ++mismatches;
            }
        });
        CHECK(mismatches == 0);
        CHECK(tracked::live == 0);
    }
}

TEST_CASE("CHAN-35 stress: a value or the end, never nothing", "[stress][chan][race]") {
    for (const int procs : {2, 4}) {
        const int rounds = stress_scaled(40'000, 500);
        int empties = 0;
        run_on(procs, [&] {
            vole::chan<int> c;
            duel(
                rounds,
                [&] {
                    c = vole::make_chan<int>(1);
                    c.send(1);
                },
                [&] {
                    c.close();
                    c.try_recv();
                },
                [&] {
                    if (c.try_recv().is_empty()) ++empties;
                });
        });
        CHECK(empties == 0);
    }
}

TEST_CASE("CHAN-43 stress: the end is told only after the last value", "[stress][chan][race]") {
    // Somebody tries on an empty channel while it gets its one value and is closed: between a look at the
    // values and a look at the end, both may arrive.
    for (const int procs : {2, 4}) {
        const int rounds = stress_scaled(40'000, 500);
        int missed = 0;
        run_on(procs, [&] {
            vole::chan<int> c;
            duel(
                rounds, [&] { c = vole::make_chan<int>(1); },
                [&] {
                    c.send(1);
                    c.close();
                },
                [&] {
                    for (int spin = 0;; ++spin) {
                        const auto r = c.try_recv();
                        if (r.is_closed()) ++missed;
                        if (!r.is_empty()) break;
                        if (spin % 64 == 63) {
                            vole::gosched();
                            std::this_thread::yield();
                        }
                    }
                });
        });
        CHECK(missed == 0);
    }
}

TEST_CASE("CHAN-44 stress: tries from all sides lose nothing", "[stress][chan][race]") {
    for (const int procs : {1, 2, 4}) {
        for (const std::size_t cap : {0U, 1U, 3U}) {
            const int each = stress_scaled(25'000, 50);
            std::atomic<int> received{0};
            tracked::reset();
            run_on(procs, [&] {
                auto c = vole::make_chan<tracked>(cap);
                vole::wait_group sending;
                vole::wait_group receiving;
                for (int s = 0; s < 4; ++s) {
                    sending.go([&, s] {
                        for (int i = 0; i < each;) {
                            tracked t(1);
                            // Only tries on both sides would never meet: two block, two try.
                            if (s % 2 == 0)
                                c.send(std::move(t));
                            else if (!c.try_send(std::move(t))) {
                                vole::gosched();
                                continue;
                            }
                            ++i;
                        }
                    });
                }
                for (int r = 0; r < 4; ++r) {
                    receiving.go([&, r] {
                        for (;;) {
                            if (r % 2 == 0) {
                                auto v = c.recv();
                                if (!v) return;
                                received += v->value;
                            } else {
                                auto v = c.try_recv();
                                if (v.is_closed()) return;
                                if (v)
                                    received += (*v).value;
                                else
                                    vole::gosched();
                            }
                        }
                    });
                }
                sending.wait();
                c.close();
                receiving.wait();
            });
            CHECK(received == 4 * each);
            CHECK(tracked::live == 0);
            CHECK(tracked::copies == 0);
        }
    }
}

TEST_CASE("CHAN-71 stress: threads and goroutines, operations of every kind",
          "[stress][chan][thread]") {
    for (const int procs : {1, 2, 4}) {
        const int each = stress_scaled(25'000, 50);
        std::atomic<long> sum{0};
        run_on(procs, [&] {
            auto a = vole::make_chan<int>();
            auto b = vole::make_chan<int>(2);
            vole::wait_group sending;
            vole::wait_group receiving;
            constexpr int workers = 6;
            sending.add(workers);
            receiving.add(workers);
            const auto send = [&](int w) {
                for (int i = 0; i < each; ++i) {
                    switch ((i + w) % 3) {
                        case 0: a.send(1); break;
                        case 1: b.send(1); break;
                        default: vole::select(vole::on_send(a, 1), vole::on_send(b, 1));
                    }
                }
                sending.done();
            };
            const auto receive = [&] {
                bool a_open = true;
                bool b_open = true;
                while (a_open || b_open) {
                    vole::select(
                        vole::on_recv(a_open ? a : vole::chan<int>{},
                                      [&](std::optional<int> v) {
                                          a_open = v.has_value();
                                          sum += v.value_or(0);
                                      }),
                        vole::on_recv(b_open ? b : vole::chan<int>{}, [&](std::optional<int> v) {
                            b_open = v.has_value();
                            sum += v.value_or(0);
                        }));
                }
                receiving.done();
            };
            std::vector<std::thread> threads;
            for (int w = 0; w < workers; ++w) {
                if (w % 2 == 0) {
                    threads.emplace_back(send, w);
                    vole::go(receive);
                } else {
                    vole::go(send, w);
                    threads.emplace_back(receive);
                }
            }
            sending.wait();
            a.close();
            b.close();
            receiving.wait();
            for (auto& t : threads) vole::blocking([&] { t.join(); });
        });
        CHECK(sum == 6L * each);
    }
}

TEST_CASE("CHAN-74 stress: the number of Ps changes meanwhile", "[stress][chan]") {
    const int each = stress_scaled(400'000, 200);
    std::atomic<long> received{0};
    run_on(2, [&] {
        auto c = vole::make_chan<int>();
        auto d = vole::make_chan<int>(5);
        vole::wait_group all;
        std::atomic<bool> stop{false};
        for (int i = 0; i < 4; ++i) {
            all.go([&] {
                for (int k = 0; k < each; ++k) c.send(1);
            });
            all.go([&] {
                for (int k = 0; k < each; ++k) d.send(c.recv().value());
            });
            all.go([&] {
                for (int k = 0; k < each; ++k) received += d.recv().value();
            });
        }
        vole::wait_group changer;
        changer.go([&] {
            dice roll(7);
            while (!stop) {
                vole::gomaxprocs(1 + static_cast<int>(roll(5)));
                for (int i = 0; i < 50; ++i) vole::gosched();
            }
        });
        all.wait();
        stop = true;
        changer.wait();
    });
    CHECK(received == 4L * each);
}

TEST_CASE("CHAN-18 stress: pipelines keep their order", "[stress][chan]") {
    for (const int procs : {1, 2, 4}) {
        const int count = stress_scaled(50'000, 100);
        bool in_order = true;
        int last = -1;
        run_on(procs, [&] {
            auto first = vole::make_chan<int>();
            auto in = first;
            for (int stage = 0; stage < 50; ++stage) {
                auto out = vole::make_chan<int>(static_cast<std::size_t>(stage % 3));
                vole::go([=]() mutable {
                    for (const int v : in) out.send(v);
                    out.close();
                });
                in = out;
            }
            vole::go([=]() mutable {
                for (int i = 0; i < count; ++i) first.send(i);
                first.close();
            });
            for (const int v : in) {
                in_order = in_order && v == last + 1;
                last = v;
            }
        });
        CHECK(in_order);
        CHECK(last == count - 1);
    }
}

TEST_CASE("CHAN-37 stress: handles go while others still use the channel", "[stress][chan]") {
    for (const int procs : {2, 4}) {
        tracked::reset();
        const int rounds = stress_scaled(200'000, 200);
        std::atomic<int> received{0};
        run_on(procs, [&] {
            auto tickets = vole::make_chan<void>(64);  // so many goroutines at once
            for (int i = 0; i < rounds; ++i) {
                auto c = vole::make_chan<tracked>(static_cast<std::size_t>(i % 2));
                tickets.send();
                vole::go([c = std::move(c), tickets, &received]() mutable {
                    auto same = c;
                    vole::go([same = std::move(same), tickets]() mutable {
                        same.send(tracked(1));
                        same = {};
                        tickets.recv();
                    });
                    const auto v = c.recv();
                    c = {};
                    received += v->value;
                });
            }
            // All of them have ended when all tickets can be had.
            for (int i = 0; i < 64; ++i) tickets.send();
            wait_until([&] { return vole::num_goroutine() == 1; }, "all goroutines to end");
        });
        CHECK(received == rounds);
        CHECK(tracked::live == 0);
    }
}
