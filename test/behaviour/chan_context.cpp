// Who calls: goroutines, ordinary threads, code that handles an exception or unwinds one; and what a
// traceback says of those who wait. Cites CHAN-71 to CHAN-74.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/select.hpp>
#include <vole/sync.hpp>

#include "test/behaviour/sched_support.hpp"
#include "test/support/findings.hpp"
#include "test/support/values.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace vole::test;

namespace {

/// Goes once around a channel pair whose other end echoes.
struct echo {
    vole::chan<int> to = vole::make_chan<int>();
    vole::chan<int> from = vole::make_chan<int>();
    int operator()(int v) {
        to.send(v);
        return from.recv().value();
    }
    void serve() {
        for (const int v : to) from.send(v);
    }
};

/// Waits for a partner while an exception passes by.
struct waits_in_destructor {
    echo& e;
    int v;
    int& got;
    int& in_flight;
    ~waits_in_destructor() {
        in_flight = std::uncaught_exceptions();
        got = e(v);
        in_flight += std::uncaught_exceptions();
    }
};

}  // namespace

TEST_CASE("CHAN-71 two threads without a run", "[chan][thread]") {
    for (const std::size_t cap : {0U, 1U, 8U}) {
        const int count = scaled(2000, 100);
        auto c = vole::make_chan<int>(cap);
        std::thread sender([&] {
            for (int i = 0; i < count; ++i) c.send(i);
            c.close();
        });
        int next = 0;
        bool in_order = true;
        for (const int v : c) in_order = in_order && v == next++;
        sender.join();
        CHECK(in_order);
        CHECK(next == count);
    }
}

TEST_CASE("CHAN-71 threads and goroutines on one channel", "[chan][thread]") {
    for (const int procs : {1, 4}) {
        for (const std::size_t cap : {0U, 3U}) {
            const int each = scaled(500, 50);
            constexpr int senders = 6;
            constexpr int receivers = 4;
            std::vector<std::vector<int>> got(receivers);
            run_on(procs, [&] {
                auto c = vole::make_chan<int>(cap);
                vole::wait_group sending;
                vole::wait_group receiving;
                sending.add(senders);
                receiving.add(receivers);
                const auto send = [&](int s) {
                    for (int i = 0; i < each; ++i) c.send(s * each + i);
                    sending.done();
                };
                const auto receive = [&](std::vector<int>& mine) {
                    for (const int v : c) mine.push_back(v);
                    receiving.done();
                };
                std::vector<std::thread> threads;
                for (int s = 0; s < senders; ++s) {
                    if (s % 2 == 0)
                        threads.emplace_back(send, s);
                    else
                        vole::go(send, s);
                }
                for (int r = 0; r < receivers; ++r) {
                    auto& mine = got[static_cast<std::size_t>(r)];
                    if (r % 2 == 0)
                        threads.emplace_back(receive, std::ref(mine));
                    else
                        vole::go(receive, std::ref(mine));
                }
                sending.wait();
                c.close();
                receiving.wait();
                for (auto& t : threads) vole::blocking([&] { t.join(); });
            });
            std::vector<int> all;
            for (const auto& mine : got) all.insert(all.end(), mine.begin(), mine.end());
            std::sort(all.begin(), all.end());
            std::vector<int> wanted(static_cast<std::size_t>(senders * each));
            std::iota(wanted.begin(), wanted.end(), 0);
            CHECK(all == wanted);
        }
    }
}

TEST_CASE("CHAN-71 threads and goroutines stand in one queue", "[chan][thread][order]") {
    // goroutine, thread, goroutine, thread wait in this order, on either side.
    for (const bool receive : {true, false}) {
        std::array<int, 4> got{-1, -1, -1, -1};
        run_on(1, [&] {
            auto c = vole::make_chan<int>();
            const auto wait = [&](int place) {
                auto& mine = got[static_cast<std::size_t>(place)];
                if (receive)
                    mine = c.recv().value();
                else
                    c.send(place);
            };
            vole::wait_group all;
            std::vector<std::thread> threads;
            for (int place = 0; place < 4; ++place) {
                if (place % 2 == 0) {
                    all.go([&, place] { wait(place); });
                    settle();
                } else {
                    std::atomic<int> tid{0};
                    threads.emplace_back([&, place] {
                        tid = thread_id();
                        wait(place);
                    });
                    wait_until([&] { return tid != 0; }, "the thread to start");
                    wait_asleep(tid);
                }
            }
            for (int i = 0; i < 4; ++i) {
                if (receive)
                    c.send(i);
                else
                    got[static_cast<std::size_t>(i)] = c.recv().value();
            }
            all.wait();
            for (auto& t : threads) vole::blocking([&] { t.join(); });
        });
        CHECK(got == std::array<int, 4>{0, 1, 2, 3});
    }
}

TEST_CASE("CHAN-71 close reaches parked threads", "[chan][thread][close]") {
    auto c = vole::make_chan<int>();
    auto full = vole::make_chan<int>(1);
    auto idle = vole::make_chan<int>();
    full.send(1);
    std::array<std::string, 3> results;
    std::array<std::atomic<int>, 3> tids{};
    std::vector<std::thread> threads;
    threads.emplace_back([&] {
        tids[0] = thread_id();
        results[0] = c.recv() ? "value" : "closed";
    });
    threads.emplace_back([&] {
        tids[1] = thread_id();
        try {
            full.send(2);
        } catch (const vole::runtime_error& e) {
            results[1] = e.what();
        }
    });
    threads.emplace_back([&] {
        tids[2] = thread_id();
        vole::select(vole::on_recv(idle), vole::on_recv(c, [&](std::optional<int> v) {
                         results[2] = v ? "value" : "closed";
                     }));
    });
    for (auto& tid : tids) {
        wait_until([&] { return tid != 0; }, "a thread to start");
        wait_asleep(tid);
    }
    c.close();
    full.close();
    for (auto& t : threads) t.join();
    CHECK(results == std::array<std::string, 3>{"closed", "send on closed channel", "closed"});
    CHECK(full.recv() == 1);
    CHECK(full.recv() == std::nullopt);
    CHECK_FALSE(idle.try_send(1));
}

TEST_CASE("CHAN-71 a select on a thread meets a select in a goroutine", "[chan][thread][select]") {
    for (const int procs : {1, 2}) {
        const int rounds = scaled(1000, 50);
        int sum = 0;
        run_on(procs, [&] {
            auto a = vole::make_chan<int>();
            auto b = vole::make_chan<int>();
            std::thread t([&] {
                for (int i = 0; i < rounds; ++i)
                    vole::select(vole::on_send(a, 1), vole::on_send(b, 1));
            });
            const auto add = [&](std::optional<int> v) { sum += *v; };
            for (int i = 0; i < rounds; ++i)
                vole::select(vole::on_recv(b, add), vole::on_recv(a, add));
            vole::blocking([&] { t.join(); });
        });
        CHECK(sum == rounds);
    }
}

TEST_CASE("CHAN-72 operations inside catch", "[chan][exceptions]") {
    for (const int procs : {1, 2, 4}) {
        findings ok;
        run_on(procs, [&] {
            vole::wait_group all;
            const int rounds = scaled(100, 10);
            for (int g = 0; g < 8; ++g) {
                all.go([&ok, g, rounds] {
                    echo e;
                    vole::go([e]() mutable { e.serve(); });
                    for (int i = 0; i < rounds; ++i) {
                        try {
                            throw i * 10 + g;
                        } catch (const int v) {
                            ok.equal(e(v), v);
                            ok(std::uncaught_exceptions() == 0);
                            try {
                                ok.equal(e(1), 1);
                                throw;  // the one of here, not somebody else's
                            } catch (const int again) {
                                ok.equal(e(again), v);
                                try {
                                    throw std::runtime_error(std::to_string(v));
                                } catch (const std::exception& nested) {
                                    ok.equal(e(2), 2);
                                    ok.equal(std::string(nested.what()), std::to_string(v));
                                }
                            }
                            ok(std::current_exception() != nullptr);
                        }
                        ok(std::current_exception() == nullptr);
                    }
                    e.to.close();
                });
            }
            all.wait();
        });
        CHECK(ok.text() == "");
    }
}

TEST_CASE("CHAN-72 operations in destructors while an exception unwinds", "[chan][exceptions]") {
    for (const int procs : {1, 2, 4}) {
        findings ok;
        run_on(procs, [&] {
            vole::wait_group all;
            const int rounds = scaled(100, 10);
            for (int g = 0; g < 8; ++g) {
                all.go([&ok, g, rounds] {
                    echo e;
                    vole::go([e]() mutable { e.serve(); });
                    for (int i = 0; i < rounds; ++i) {
                        int got = 0;
                        int in_flight = 0;
                        bool caught = false;
                        try {
                            const waits_in_destructor w{e, g, got, in_flight};
                            throw std::out_of_range(std::to_string(i));
                        } catch (const std::out_of_range& x) {
                            caught = true;
                            ok.equal(std::string(x.what()), std::to_string(i));
                        }
                        ok(caught);
                        ok.equal(got, g);
                        ok.equal(in_flight, 2);  // one before, one after
                        ok.equal(std::uncaught_exceptions(), 0);
                    }
                    e.to.close();
                });
            }
            all.wait();
        });
        CHECK(ok.text() == "");
    }
}

TEST_CASE("CHAN-72 an exception goes on after its goroutine changed threads",
          "[chan][exceptions]") {
    // The destructor waits for somebody who answers from another thread, which then often takes the
    // goroutine over; the unwinding goes on there.
    findings ok;
    int changes = 0;
    run_on(4, [&] {
        echo e;
        std::thread server([e]() mutable { e.serve(); });
        const int rounds = scaled(500, 50);
        for (int i = 0; i < rounds; ++i) {
            const int before = thread_id();
            int got = 0;
            int in_flight = 0;
            try {
                const waits_in_destructor w{e, i, got, in_flight};
                throw i;
            } catch (const int v) {
                ok.equal(v, i);
                if (thread_id() != before) ++changes;
                ok.equal(e(v), i);
            }
            ok.equal(got, i);
            ok.equal(in_flight, 2);
        }
        e.to.close();
        vole::blocking([&] { server.join(); });
    });
    CHECK(ok.text() == "");
    INFO("thread changes: " << changes);
}

TEST_CASE("CHAN-72 an exception that an operation throws passes through waiting destructors",
          "[chan][exceptions]") {
    findings ok;
    run_on(2, [&] {
        echo e;
        vole::go([e]() mutable { e.serve(); });
        auto closed = vole::make_chan<int>();
        closed.close();
        for (int i = 0; i < 50; ++i) {
            int got = 0;
            int in_flight = 0;
            ok.throws<vole::runtime_error>("send on closed channel", [&] {
                const waits_in_destructor w{e, i, got, in_flight};
                closed.send(1);
            });
            ok.equal(got, i);
        }
        e.to.close();
    });
    CHECK(ok.text() == "");
}

TEST_CASE("CHAN-73 what tracebacks call those who wait", "[chan][traceback]") {
    std::array<std::string, 4> states;
    run_on(1, [&] {
        auto c = vole::make_chan<int>();
        auto d = vole::make_chan<int>();
        auto full = vole::make_chan<int>(1);
        full.send(0);
        vole::wait_group all;
        std::array<std::uint64_t, 4> ids{};
        const auto start = [&](std::size_t i, auto f) {
            all.go([&ids, i, f] {
                ids[i] = vole::goroutine_id();
                f();
            });
        };
        start(0, [&] { c.recv(); });
        start(1, [&] { full.send(1); });
        start(2, [&] { vole::select(vole::on_recv(c), vole::on_recv(d)); });
        start(3, [&] {
            vole::selector s;
            s.recv(c);
            s.recv(d);
            s.select();
        });
        settle();
        for (std::size_t i = 0; i < 4; ++i) states[i] = state_of(ids[i]);
        full.recv();
        c.close();
        all.wait();
    });
    CHECK(states[0] == "chan receive");
    CHECK(states[1] == "chan send");
    CHECK(states[2] == "select");
    CHECK(states[3] == "select");
}

TEST_CASE("CHAN-74 many parked on one channel", "[chan]") {
    for (const int procs : {1, 4}) {
        const int count = scaled(20'000, 200);
        std::atomic<int> received{0};
        run_on(procs, [&] {
            auto c = vole::make_chan<int>();
            vole::wait_group all;
            for (int i = 0; i < count; ++i) {
                all.go([&] { received += c.recv().value(); });
            }
            for (int i = 0; i < count; ++i) c.send(1);
            all.wait();
        });
        CHECK(received == count);
    }
}

TEST_CASE("CHAN-74 as many senders as receivers as Ps make progress", "[chan]") {
    for (const int procs : {1, 2, 4}) {
        const int each = scaled(5000, 100);
        std::atomic<int> received{0};
        run_on(procs, [&] {
            auto c = vole::make_chan<int>(2);
            vole::wait_group all;
            for (int i = 0; i < procs; ++i) {
                all.go([&] {
                    for (int k = 0; k < each; ++k) c.send(1);
                });
                all.go([&] {
                    for (int k = 0; k < each; ++k) received += c.recv().value();
                });
            }
            all.wait();
        });
        CHECK(received == procs * each);
    }
}
