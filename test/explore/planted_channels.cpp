// Wrong uses of channels, select, contexts and time. See planted.hpp.
#include <vole/vole.hpp>

#include "test/explore/planted.hpp"

#include <chrono>
#include <optional>
#include <vector>

namespace vole::test {

using namespace std::chrono_literals;

namespace {

// Both find it open.
void closed_twice() {
    auto c = make_chan<void>();
    atomic<bool> closed{false};
    wait_group done;
    for (int i = 0; i < 2; ++i) {
        done.go([&] {
            if (closed.load()) return;
            closed.store(true);
            c.close();
        });
    }
    done.wait();
}

// The receiver closes, and a sender has not heard of it.
void sends_on_what_was_closed() {
    auto c = make_chan<int>(4);
    wait_group done;
    for (int i = 0; i < 2; ++i) {
        done.go([&, i] { c.send(i); });
    }
    c.recv();
    c.close();
    done.wait();
}

// Nobody receives the answer that comes after the time-out.
void answer_that_nobody_takes() {
    auto answer = make_chan<int>();
    go([answer] {
        sleep(1s);
        answer.send(1);
    });
    select(on_recv(answer, [](std::optional<int>) {}), on_recv(after(1s), [](auto) {}));
}

// Room was seen, and somebody else took it; the one that would make room waits for this one.
void room_that_is_gone() {
    auto queue = make_chan<int>(1);
    auto drained = make_chan<void>();
    wait_group senders;
    for (int i = 0; i < 2; ++i) {
        senders.go([&, i] {
            if (queue.len() < queue.cap()) queue.send(i);
        });
    }
    go([&] {
        senders.wait();
        while (queue.try_recv()) {
        }
        drained.close();
    });
    drained.recv();
}

// The answers of two workers are taken for being in the order of the questions.
void answers_in_order() {
    auto answers = make_chan<int>(2);
    for (int i = 0; i < 2; ++i) {
        go([answers, i] { answers.send(i); });
    }
    must(answers.recv() == 0, "the second answer came first");
    (void)answers.recv();
}

// Each sends before it receives.
void both_send_first() {
    auto a = make_chan<int>();
    auto b = make_chan<int>();
    atomic<int> first{0};
    const auto talk = [&](chan<int> to, chan<int> from) {
        // Whoever comes first receives; two that come at once both think that they are the second.
        if (first.load() == 0) {
            first.store(1);
            (void)from.recv();
            to.send(1);
        } else {
            to.send(1);
            (void)from.recv();
        }
    };
    wait_group done;
    done.go([&] { talk(a, b); });
    done.go([&] { talk(b, a); });
    done.wait();
}

// A value is dropped when `quit` is chosen although there is something to receive.
void quits_with_work_left() {
    auto work = make_chan<int>(1);
    auto quit = make_chan<void>(1);
    int seen = 0;
    wait_group done;
    done.go([&] {
        bool on = true;
        while (on) {
            select(on_recv(work, [&](std::optional<int>) { ++seen; }),
                   on_recv(quit, [&] { on = false; }));
        }
    });
    work.send(1);
    quit.close();
    done.wait();
    must(seen == 1, "work was dropped");
}

// One of two timers that are due at once is taken for the first.
void timers_in_order() {
    std::vector<int> order;
    mutex mu;
    wait_group done;
    for (int i = 0; i < 2; ++i) {
        done.go([&, i] {
            sleep(10ms);
            const std::lock_guard held(mu);
            order.push_back(i);
        });
    }
    done.wait();
    must(order[0] == 0, "the second sleeper woke first");
}

// A subscriber that gives up stays in the list, and the publisher waits for it.
void leftover_subscriber() {
    mutex mu;
    std::vector<chan<int>> list;
    auto [ctx, cancel] = with_cancel(context::background());
    wait_group done;
    done.go([&, ctx = ctx] {
        auto mine = make_chan<int>();
        {
            const std::lock_guard held(mu);
            list.push_back(mine);
        }
        select(on_recv(mine, [](std::optional<int>) {}), on_recv(ctx.done(), [] {}));
    });
    done.go([&] {
        std::vector<chan<int>> now;
        {
            const std::lock_guard held(mu);
            now = list;
        }
        for (auto& c : now) c.send(1);
    });
    cancel();
    done.wait();
}

// Whoever shares a call forgets it before the result is there for all.
void two_flights() {
    mutex mu;
    std::optional<chan<int>> flight;
    int calls = 0;
    const auto ask = [&] {
        mu.lock();
        if (flight) {
            auto shared = *flight;
            mu.unlock();
            (void)shared.recv();
            return;
        }
        flight = make_chan<int>();
        auto mine = *flight;
        mu.unlock();
        ++calls;
        mine.close();
        const std::lock_guard held(mu);
        flight.reset();
    };
    wait_group done;
    for (int i = 0; i < 2; ++i) done.go(ask);
    done.wait();
    must(calls == 1, "called twice");
}

constexpr planted_bug all[] = {
    {"closed twice", closed_twice},
    {"a send on what was closed", sends_on_what_was_closed},
    {"an answer that nobody takes", answer_that_nobody_takes},
    {"room that is gone", room_that_is_gone},
    {"answers taken in order", answers_in_order},
    {"both send first", both_send_first},
    {"quits with work left", quits_with_work_left},
    {"timers taken in order", timers_in_order},
    {"a subscriber left in the list", leftover_subscriber},
    {"two flights", two_flights},
};

}  // namespace

std::span<const planted_bug> bugs_with_channels() { return all; }

}  // namespace vole::test
