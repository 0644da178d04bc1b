// A client that retries, and gives up in time: run in real time by a server, tested in virtual time here.
//
// In a bubble the clock jumps whenever nobody can go on but by time, so the three minutes of this program take
// a millisecond, and the output is the same each time. Sleep, timers, select with a time-out, and a ticker.
#include <chrono>
#include <iostream>
#include <optional>
#include <string>

#include <vole/synctest.hpp>
#include <vole/vole.hpp>

using namespace std::chrono_literals;
using vole::clock;

namespace {

clock::time_point start;

void say(const std::string& text) {
    const auto seconds = std::chrono::duration<double>(clock::now() - start).count();
    std::cout << "at " << seconds << " s: " << text << '\n';
}

struct request {
    int number;
    vole::chan<std::string> reply;
};

/// Takes requests, but answers only after its repair.
void serve(vole::recv_chan<request> requests, clock::time_point repaired) {
    for (const request& r : requests) {
        if (clock::now() < repaired) continue;  // it says nothing: the client has to notice
        vole::sleep(200ms);
        r.reply.try_send("hello, attempt " + std::to_string(r.number));
    }
}

/// Asks until there is an answer: waits 2 s for each, and 1, 2, 4, ... s between attempts. Nothing after `patience`.
std::optional<std::string> ask(vole::send_chan<request> server, clock::duration patience) {
    const auto enough = vole::after(patience);
    clock::duration pause = 1s;
    std::optional<std::string> answer;
    for (int attempt = 1;; ++attempt, pause *= 2) {
        const request r{attempt, vole::make_chan<std::string>(1)};
        server.send(r);
        bool over = false;
        vole::select(
            vole::on_recv(r.reply, [&](std::optional<std::string> text) { answer = text; }),
            vole::on_recv(vole::after(2s),
                          [&](auto) { say("no answer to attempt " + std::to_string(attempt)); }),
            vole::on_recv(enough, [&](auto) { over = true; }));
        if (answer || over) return answer;
        vole::select(vole::on_recv(vole::after(pause), [](auto) {}),
                     vole::on_recv(enough, [&](auto) { over = true; }));
        if (over) return std::nullopt;
    }
}

void tell(const std::optional<std::string>& answer) {
    say(answer ? "the answer: " + *answer : "gave up");
}

}  // namespace

int main() {
    vole::synctest::test([] {
        start = clock::now();
        auto requests = vole::make_chan<request>();
        vole::go([=] { serve(requests, start + 20s); });
        vole::ticker minutes(1min);
        const auto count = vole::after_func(90s, [] { say("half of it is over"); });

        tell(ask(requests, 10s));
        tell(ask(requests, 2min));
        for (int i = 0; i < 3; ++i) {
            minutes.c().recv();
            say("a minute has passed");
        }
        minutes.stop();
        requests.close();
    });
}
