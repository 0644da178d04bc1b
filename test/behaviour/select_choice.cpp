// select among several ready cases: chance, and never "nothing" when something is ready.
// Cites CHAN-48, CHAN-49, CHAN-53, CHAN-55.
#include <catch2/catch.hpp>

#include <vole/chan.hpp>
#include <vole/select.hpp>
#include <vole/sync.hpp>

#include "test/support/findings.hpp"

#include <array>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <vector>

using namespace vole::test;
using vole::on_recv;
using vole::on_send;
using vole::otherwise;

namespace {

/// Whether a count of `rounds` trials with chance p lies within ten standard deviations: wide enough never to
/// fail by bad luck, narrow enough to catch any bias worth the name.
bool plausible(int count, int rounds, double p) {
    const double sigma = std::sqrt(rounds * p * (1 - p));
    return std::abs(count - rounds * p) <= 10 * sigma;
}

}  // namespace

TEST_CASE("CHAN-48 ready cases are chosen evenly: two of four are ready", "[select][fairness]") {
    const int rounds = scaled(10'000, 1000);
    std::array<int, 4> taken{};
    run_on(1, [&] {
        auto a = vole::make_chan<int>(1);
        auto b = vole::make_chan<int>(1);
        auto c = vole::make_chan<int>();
        auto d = vole::make_chan<int>();
        a.send(0);
        b.send(0);
        for (int i = 0; i < rounds; ++i) {
            const std::size_t k =
                vole::select(on_recv(a, [&] { a.send(0); }), on_recv(b, [&] { b.send(0); }),
                             on_recv(c), on_recv(d));
            ++taken[k];
        }
    });
    CHECK(taken[0] + taken[1] == rounds);
    CHECK(plausible(taken[0], rounds, 0.5));
}

TEST_CASE("CHAN-48 ready cases are chosen evenly: eight, in every position", "[select][fairness]") {
    const int rounds = scaled(16'000, 1600);
    std::array<int, 8> taken{};
    std::array<vole::chan<void>, 8> c;
    for (auto& x : c) {
        x = vole::make_chan<void>();
        x.close();
    }
    for (int i = 0; i < rounds; ++i) {
        ++taken[vole::select(on_recv(c[0]), on_recv(c[1]), on_recv(c[2]), on_recv(c[3]),
                             on_recv(c[4]), on_recv(c[5]), on_recv(c[6]), on_recv(c[7]))];
    }
    for (const int t : taken) CHECK(plausible(t, rounds, 1.0 / 8));
}

TEST_CASE("CHAN-48 two sends on one channel are chosen by chance, each time anew",
          "[select][fairness]") {
    const int rounds = scaled(1000, 100);
    std::array<int, 2> taken{};
    int changes = 0;
    auto c = vole::make_chan<int>(1);
    for (int i = 0, last = 0; i < rounds; ++i) {
        vole::select(on_send(c, 0), on_send(c, 1));
        const int v = c.recv().value();
        ++taken[static_cast<std::size_t>(v)];
        if (v != last) ++changes;
        last = v;
    }
    CHECK(plausible(taken[0], rounds, 0.5));
    CHECK(plausible(changes, rounds, 0.5));  // neither taking turns nor sticking to one
}

TEST_CASE("CHAN-48 goroutines do not all roll the same dice", "[select][fairness]") {
    const int rounds = scaled(1000, 100);
    int same = 0;
    run_on(1, [&] {
        std::array<std::vector<std::size_t>, 2> rolls;
        vole::wait_group all;
        for (auto& mine : rolls) {
            all.go([&] {
                auto c = vole::make_chan<void>();
                c.close();
                for (int i = 0; i < rounds; ++i) {
                    mine.push_back(vole::select(on_recv(c), on_recv(c)));
                    vole::gosched();
                }
            });
        }
        all.wait();
        for (std::size_t i = 0; i < rolls[0].size(); ++i)
            same += rolls[0][i] == rolls[1][i] ? 1 : 0;
    });
    CHECK(plausible(same, rounds, 0.5));
}

TEST_CASE("CHAN-53 each of several equal cases gets its share", "[select][fairness]") {
    const int rounds = scaled(9000, 900);
    std::array<int, 3> taken{};
    auto c = vole::make_chan<int>(1);
    auto d = vole::make_chan<int>(1);
    for (int i = 0; i < rounds; ++i) {
        c.try_send(1);
        d.try_send(1);
        ++taken[vole::select(on_recv(c), on_recv(d), on_recv(c))];
    }
    for (const int t : taken) CHECK(plausible(t, rounds, 1.0 / 3));
}

TEST_CASE("CHAN-49 otherwise is not taken when some case was ready at every moment",
          "[select][race]") {
    // c1 has a value. Another goroutine makes c2 ready first and empties c1 then.
    for (const int procs : {2, 4}) {
        for (const bool by_close : {false, true}) {
            const int rounds = scaled(5000, 200);
            std::atomic<int> wrong{0};
            run_on(procs, [&] {
                auto done = vole::make_chan<void>();
                for (int i = 0; i < rounds; ++i) {
                    auto c1 = vole::make_chan<int>(1);
                    auto c2 = vole::make_chan<int>(1);
                    c1.send(1);
                    vole::go([=, &wrong]() mutable {
                        vole::select(on_recv(c1), on_recv(c2), otherwise([&] { ++wrong; }));
                        done.send();
                    });
                    if (by_close)
                        c2.close();
                    else
                        c2.send(1);
                    vole::select(on_recv(c1), otherwise());
                    done.recv();
                }
            });
            CHECK(wrong == 0);
        }
    }
}

TEST_CASE("CHAN-55 selects over the same channels in different orders do not block each other",
          "[select][race]") {
    for (const int procs : {2, 4}) {
        const int rounds = scaled(3000, 100);
        int sum = 0;
        run_on(procs, [&] {
            auto a = vole::make_chan<int>(1);
            auto b = vole::make_chan<int>();
            auto c = vole::make_chan<int>(2);
            vole::wait_group senders;
            vole::wait_group receivers;
            for (int g = 0; g < 3; ++g) {
                senders.go([&, g] {
                    for (int i = 0; i < rounds; ++i) {
                        if (g == 0)
                            vole::select(on_send(a, 1), on_send(b, 1), on_send(c, 1));
                        else if (g == 1)
                            vole::select(on_send(c, 1), on_send(a, 1), on_send(b, 1));
                        else
                            vole::select(on_send(b, 1), on_send(c, 1), on_send(a, 1));
                    }
                });
            }
            std::array<int, 2> sums{};
            for (std::size_t g = 0; g < 2; ++g) {
                receivers.go([&, g] {
                    const auto add = [&](std::optional<int> v) { sums[g] += v.value_or(0); };
                    bool open = true;
                    auto stop = [&](std::optional<int> v) {
                        add(v);
                        open = v.has_value();
                    };
                    while (open) {
                        if (g == 0)
                            vole::select(on_recv(a, add), on_recv(b, stop), on_recv(c, add));
                        else
                            vole::select(on_recv(c, add), on_recv(b, stop), on_recv(a, add));
                    }
                });
            }
            senders.wait();
            b.close();
            receivers.wait();
            a.close();
            c.close();
            for (const int v : a) sums[0] += v;
            for (const int v : c) sums[0] += v;
            sum = sums[0] + sums[1];
        });
        CHECK(sum == 3 * rounds);
    }
}
