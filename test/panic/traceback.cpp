// Tracebacks in Go's format: SCHED-64, SCHED-65, and goroutines counted together.
#include "test/panic/panic_support.hpp"

#include "runtime/internal/bubble.hpp"
#include "runtime/src/sched/sched.hpp"

#include <csignal>
#include <cstdio>
#include <fcntl.h>

namespace vole::test {

namespace {

std::string traceback(traceback_scope scope) {
    std::FILE* file = std::tmpfile();
    write_traceback(::fileno(file), scope);
    std::fseek(file, 0, SEEK_SET);
    std::string text;
    char part[4096];
    while (const std::size_t n = std::fread(part, 1, sizeof(part), file)) text.append(part, n);
    std::fclose(file);
    return text;
}

// The part about one goroutine.
std::string about(const std::string& all, const std::string& head) {
    const auto at = all.find(head);
    return at == std::string::npos ? "" : all.substr(at, all.find("\n\n", at) - at + 1);
}

extern "C" {
[[gnu::noinline]] void traceback_innermost(chan<int>* c) {
    c->recv();
    asm volatile("");
}
[[gnu::noinline]] void traceback_outer(chan<int>* c) {
    traceback_innermost(c);
    asm volatile("");
}
[[gnu::noinline]] int traceback_deep(int n, chan<int>* c) {
    if (n == 0) {
        c->recv();
        return 0;
    }
    const int r = traceback_deep(n - 1, c) + 1;
    asm volatile("" ::: "memory");
    return r;
}
}

}  // namespace

TEST_CASE("SCHED-64 SCHED-65 a parked goroutine: header, frames, where it was created") {
    run_on(1, [] {
        auto c = make_chan<int>();
        wait_group w;
        w.add(1);
        go({.name = "waiter"}, [&] {
            traceback_outer(&c);
            w.done();
        });
        settle();
        const std::string text = about(traceback(traceback_scope::all), "waiter\n");
        const std::string all = traceback(traceback_scope::all);
        INFO(all);
        CHECK_THAT(all, Catch::Contains(" [chan receive]: waiter\n"));
        if (walks_parked && has_lines) {
            const auto inner = text.find("traceback_innermost\n\t");
            const auto outer = text.find("traceback_outer\n\t");
            CHECK(inner != std::string::npos);
            CHECK(inner < outer);
            CHECK(outer != std::string::npos);
            CHECK_THAT(text, Catch::Contains("test/panic/traceback.cpp:"));
            CHECK_THAT(text,
                       Catch::Contains("\ncreated by ") &&
                           Catch::Contains(" in goroutine " + std::to_string(goroutine_id())));
            // The runtime's own frames are left out.
            CHECK_THAT(text, !Catch::Contains("detail") && !Catch::Contains("vole_gostart"));
        }
        c.close();
        w.wait();
    });
}

TEST_CASE("SCHED-65 of a deep stack the innermost and the outermost fifty frames are shown") {
    if (!walks_parked || !has_lines) return;
    run_on(1, [] {
        auto c = make_chan<int>();
        wait_group w;
        w.add(1);
        go({.name = "deep"}, [&] {
            traceback_deep(300, &c);
            w.done();
        });
        settle();
        const std::string text = about(traceback(traceback_scope::all), "deep\n");
        INFO(text);
        CHECK_THAT(text, Catch::Contains(" frames elided...\n"));
        std::size_t frames = 0;
        for (std::size_t at = 0; (at = text.find("traceback_deep\n", at)) != std::string::npos;
             ++at) {
            ++frames;
        }
        CHECK(frames >= 80);
        CHECK(frames <= 100);
        c.close();
        w.wait();
    });
}

TEST_CASE("SCHED-64 a goroutine that is locked to its thread, and the one that asks") {
    run([] {
        lock_os_thread();
        const std::string text = traceback(traceback_scope::current);
        unlock_os_thread();
        CHECK_THAT(text, Catch::StartsWith("goroutine " + std::to_string(goroutine_id()) +
                                           " [running, locked to thread]:\n"));
    });
}

TEST_CASE("equal goroutines are counted together, most frequent first") {
    run_on(2, [] {
        auto c = make_chan<int>();
        auto d = make_chan<int>();
        wait_group w;
        const int many = 1000;
        const auto before = num_goroutine();
        for (int i = 0; i < many; ++i) w.go([&] { traceback_outer(&c); });
        for (int i = 0; i < 10; ++i) w.go([&] { d.send(1); });
        // A receiver that waits shows as one that waits; all of them have when the profile says so.
        std::string text;
        wait_until([&] {
            text = traceback(traceback_scope::all);
            return text.find("1000 goroutines [chan receive]:") != std::string::npos &&
                   text.find("10 goroutines [chan send]:") != std::string::npos;
        });
        INFO(text);
        CHECK_THAT(text, Catch::StartsWith("goroutine ") &&
                             Catch::Contains("equal ones counted together"));
        CHECK_THAT(text, Catch::Contains(std::to_string(before + many + 10) + " goroutines, "));
        CHECK(text.find("1000 goroutines") < text.find("10 goroutines [chan send]"));
        CHECK(text.size() < 20'000);
        c.close();
        for (int i = 0; i < 10; ++i) d.recv();
        w.wait();
    });
}

namespace {
template <int n>
[[gnu::noinline]] void one_of_many(chan<int>* c) {
    c->recv();
    asm volatile("" ::"i"(n));
}
template <int n>
void start_many(chan<int>* c, wait_group* w) {
    w->go([=] { one_of_many<n>(c); });
    if constexpr (n > 0) start_many<n - 1>(c, w);
}
}  // namespace

TEST_CASE("a profile of goroutines with stacks of their own lists each") {
    run_on(1, [] {
        auto c = make_chan<int>();
        wait_group w;
        start_many<250>(&c, &w);
        settle();
        const std::string text = traceback(traceback_scope::profile);
        INFO(text);
        if (walks_parked) CHECK_THAT(text, Catch::Contains("252 goroutines, 252 different stacks"));
        c.close();
        w.wait();
    });
}

TEST_CASE("SCHED-64 minutes that a goroutine has waited") {
    run_on(1, [] {
        auto c = make_chan<int>();
        wait_group w;
        w.add(1);
        go({.name = "patient"}, [&] {
            c.recv();
            w.done();
        });
        settle();
        // As if it had been parked earlier: nobody waits minutes for a test.
        struct search {
            detail::G* found;
        } s{nullptr};
        detail::for_each_g(
            [](detail::G* g, void* p) {
                if (detail::name_of(g) != nullptr && std::string(detail::name_of(g)) == "patient") {
                    static_cast<search*>(p)->found = g;
                }
            },
            &s);
        REQUIRE(s.found != nullptr);
        CHECK_THAT(traceback(traceback_scope::all), Catch::Contains(" [chan receive]: patient\n"));
        const auto now = static_cast<std::uint32_t>(detail::nanotime() / 1'000'000'000);
        if (now > 300) {
            s.found->waiting_since = now - 200;
            CHECK_THAT(traceback(traceback_scope::all),
                       Catch::Contains(" [chan receive, 3 minutes]: patient\n"));
            CHECK_THAT(traceback(traceback_scope::profile),
                       Catch::Contains(" [chan receive, up to 3 minutes]:"));
        }
        c.close();
        w.wait();
    });
}

TEST_CASE("a traceback from the system stack goes on to the goroutine's frames") {
    if (!has_lines) return;
    run([] {
        const std::string text =
            on_system_stack([] { return traceback(traceback_scope::current); });
        INFO(text);
        CHECK_THAT(text,
                   Catch::StartsWith("goroutine ") && Catch::Contains("test/panic/traceback.cpp:"));
    });
}

#if !defined(VOLE_TSAN)  // which delivers signals to a thread when that blocks, and not before
namespace {
std::atomic<int> written{0};
int nowhere = -1;
void write_in_handler(int) {
    write_traceback(nowhere, traceback_scope::all);
    ++written;
}
}  // namespace

TEST_CASE("a traceback can be written in a signal handler, whatever it has interrupted") {
    nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct sigaction ours {};
    struct sigaction before {};
    ours.sa_handler = write_in_handler;
    ours.sa_flags = static_cast<int>(SA_ONSTACK | SA_RESTART);
    ::sigaction(SIGUSR1, &ours, &before);
    written = 0;
    const int wanted = scaled(200, 5);
    std::atomic<bool> stop{false};
    std::thread sender([&] {
        while (!stop) {
            ::kill(::getpid(), SIGUSR1);
            const timespec nap{0, 1'000'000};
            ::nanosleep(&nap, nullptr);
        }
    });
    run_on(2, [&] {
        auto c = make_chan<int>();
        wait_group w;
        for (int i = 0; i < 4; ++i) {
            w.go([&] {
                while (!stop) {
                    std::vector<std::string> some(20, std::string(100, 'x'));
                    for (auto& s : some) s += "y";
                    gosched();
                }
            });
        }
        w.go([&] { c.recv(); });
        wait_until([&] { return written >= wanted; });
        stop = true;
        c.close();
        w.wait();
    });
    sender.join();
    ::sigaction(SIGUSR1, &before, nullptr);
    ::close(nowhere);
    CHECK(written >= wanted);
}
#endif

// ---- SIGQUIT and levels -----------------------------------------------------------------------

TEST_CASE("child: SIGQUIT", "[.child]") {
    run({.quit_traceback = true}, [] {
        auto c = make_chan<int>();
        go({.name = "waits"}, [c]() mutable { traceback_outer(&c); });
        for (int i = 0; i < 100; ++i) gosched();
        ::raise(SIGQUIT);
        std::fputs("went on\n", stderr);
    });
}
void note_quit(int) {
    static const char text[] = "the program's own handler\n";
    [[maybe_unused]] const auto n = ::write(2, text, sizeof(text) - 1);
}
TEST_CASE("child: SIGQUIT with a handler of the program", "[.child]") {
    std::signal(SIGQUIT, note_quit);
    run({.quit_traceback = true}, [] { ::raise(SIGQUIT); });
}
TEST_CASE("SCHED-67 SIGQUIT shows all goroutines and the registers, and ends the process") {
    auto r = run_case_in_subprocess("child: SIGQUIT");
    INFO(r.text());
    CHECK(r.exit_status == 2);
    CHECK_THAT(r.err, Catch::StartsWith("SIGQUIT: quit\nPC=0x") && Catch::Contains(" sigcode="));
    CHECK_THAT(r.err, Catch::Contains("\n\ngoroutine "));
    CHECK_THAT(r.err, Catch::Contains(" [chan receive]: waits\n"));
    CHECK_THAT(r.err, Catch::Contains("\nr15\t0x") || Catch::Contains("\nx19\t0x"));
    CHECK_THAT(r.err, !Catch::Contains("went on"));
    r = run_case_in_subprocess("child: SIGQUIT with a handler of the program");
    INFO(r.text());
    CHECK(r.exit_status == 0);
    CHECK_THAT(r.err, Catch::StartsWith("SIGQUIT: quit\n") &&
                          Catch::EndsWith("the program's own handler\n"));
}

TEST_CASE("child: panics beside others", "[.child]") {
    run([] {
        auto c = make_chan<int>();
        go({.name = "waits"}, [c]() mutable { traceback_outer(&c); });
        wait_group w;
        w.go([] { panic("p"); });
        w.wait();
    });
}
TEST_CASE("SCHED-66 VOLE_TRACEBACK says how much is shown") {
    const auto told = [](const char* level) {
        return run_case_in_subprocess("child: panics beside others",
                                      {.env = {std::string("VOLE_TRACEBACK=") + level}})
            .err;
    };
    CHECK(told("none") == "panic: p\n\n");
    CHECK_THAT(told("single"),
               Catch::StartsWith("panic: p\n\ngoroutine ") && !Catch::Contains(": waits"));
    CHECK_THAT(told("all"), Catch::Contains(": waits") && !Catch::Contains("run_body"));
    CHECK_THAT(told("system"), Catch::Contains(": waits"));
    if (has_lines) CHECK_THAT(told("system"), Catch::Contains("run_body"));
    CHECK_THAT(told("nonsense"), Catch::StartsWith("panic: p\n\ngoroutine "));
}

}  // namespace vole::test
