// Who polls, when, and what the scheduler makes of it; with real descriptors. Cites NET-2, NET-9..13, NET-31.
//
// Of two programs: vole-net, and vole-net-kqueue over the other back end. net_fake.cpp has what needs a kernel that does
// as it is told.
#include "test/net/poll_support.hpp"

#include "test/support/subprocess.hpp"

#include <csignal>
#include <memory>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <thread>

using namespace vole::test;
using inner::dir_read;
using inner::dir_write;
namespace net = vole::net;

namespace {

constexpr const char* all_asleep = "all goroutines are asleep - deadlock!";

// A descriptor that the kernel makes readable by itself.
int timer_fd(std::chrono::milliseconds after) {
    const int fd = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    itimerspec when{};
    when.it_value.tv_sec = after.count() / 1000;
    when.it_value.tv_nsec = after.count() % 1000 * 1'000'000;
    if (fd < 0 || ::timerfd_settime(fd, 0, &when, nullptr) != 0) throw std::runtime_error("timer");
    return fd;
}

// A pipe of which one end is the kernel's only.
struct half_pipe {
    half_pipe() {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
        in = net::adopt_conn(ends[0]);
        out = ends[1];
    }
    ~half_pipe() { ::close(out); }
    half_pipe(const half_pipe&) = delete;
    half_pipe& operator=(const half_pipe&) = delete;
    void write(std::string_view text) const {
        if (::write(out, text.data(), text.size()) < 0) std::abort();
    }
    net::conn in;
    int out;
};

// A goroutine that computes, without an operation, until it is told to stop.
class hog {
  public:
    hog() {
        done_.go([this] {
            while (!stop_.load(std::memory_order_relaxed)) {
                for (int i = 0; i < 1000; ++i) asm volatile("" ::: "memory");
                turns_.fetch_add(1, std::memory_order_relaxed);
            }
        });
    }
    ~hog() {
        stop();
        done_.wait();
    }
    void stop() { stop_ = true; }
    bool runs() const { return turns_ != 0; }

  private:
    std::atomic<bool> stop_{false};
    std::atomic<std::uint64_t> turns_{0};
    vole::wait_group done_;
};

}  // namespace

// ---- waiting ------------------------------------------------------------------------------------

TEST_CASE("NET-2 what cannot be polled stays the caller's, as it was") {
    const int fd = ::open("/proc/self/exe", O_RDONLY);
    REQUIRE(fd >= 0);
    const int status = ::fcntl(fd, F_GETFL);
    std::error_code ec;
    const net::conn c = net::adopt_conn(fd, ec);
    CHECK(!c);
    CHECK(ec == net::errc::not_pollable);
    CHECK(::fcntl(fd, F_GETFL) == status);
    CHECK(::fcntl(fd, F_GETFD) == 0);
    ::close(fd);
}

TEST_CASE("NET-9 more descriptors become ready at once than one look brings") {
    for (const int procs : {1, 2}) {
        findings ok;
        run_on(procs, [&] {
            constexpr int many = 300;
            std::vector<std::unique_ptr<half_pipe>> pipes;
            std::atomic<int> got_it{0};
            vole::wait_group all;
            for (int i = 0; i < many; ++i) {
                pipes.push_back(std::make_unique<half_pipe>());
                all.go([&ok, &got_it, p = pipes.back().get()] {
                    ok.equal(read(p->in, 10), got("x"));
                    ++got_it;
                });
            }
            wait_until([] { return inner::io_waiters() == many; }, "all to wait");
            for (const auto& p : pipes) p->write("x");
            all.wait();
            ok.equal(got_it.load(), many);
            ok(nobody_waits());
        });
        CHECK(ok.text() == "");
    }
}

TEST_CASE("NET-9 short sleeps stay short while a descriptor is waited for") {
    if (::syscall(SYS_epoll_pwait2, -1, nullptr, 0, nullptr, nullptr, 0) != 0 && errno == ENOSYS) {
        WARN("this kernel waits for whole milliseconds");
        return;
    }
    vole::clock::duration least = 1h;
    run_on(2, [&] {
        half_pipe p;
        background reader([&] { return read(p.in, 1); });
        reader.parked();
        for (int i = 0; i < 300; ++i) {
            const auto start = vole::clock::now();
            vole::sleep(100us);
            least = std::min(least, vole::clock::now() - start);
        }
        p.write("x");
        (void)reader.get();
    });
    CHECK(least >= 100us);
    CHECK(least < 1ms);
}

TEST_CASE("NET-9 a signal that interrupts the wait is no event") {
    struct sigaction action {};
    struct sigaction before {};
    action.sa_handler = [](int) {};  // without SA_RESTART
    ::sigaction(SIGUSR2, &action, &before);
    findings ok;
    run_on(2, [&] {
        half_pipe p;
        background reader([&] { return read(p.in, 1); });
        reader.parked();
        vole::wait_group sleeper;
        const auto start = vole::clock::now();
        sleeper.go([&] {
            vole::sleep(20ms);
            ok(vole::clock::now() - start >= 20ms);
        });
        for (int i = 0; i < 50; ++i) {
            ::kill(::getpid(), SIGUSR2);
            vole::sleep(200us);
        }
        sleeper.wait();
        ok(reader.waits());
        p.write("x");
        ok.equal(reader.get(), got("x"));
    });
    ::sigaction(SIGUSR2, &before, nullptr);
    CHECK(ok.text() == "");
}

TEST_CASE("NET-12 the number of those who wait is exact") {
    CHECK(everywhere([](findings& ok) {
              constexpr unsigned many = 40;
              constexpr std::uint32_t before = 0;
              (void)nobody_waits();
              std::vector<std::unique_ptr<half_pipe>> pipes;
              vole::wait_group all;
              for (unsigned i = 0; i < many; ++i) {
                  pipes.push_back(std::make_unique<half_pipe>());
                  all.go([p = pipes.back().get()] { (void)read(p->in, 10); });
              }
              const auto settles_at = [&](std::uint32_t n) {
                  wait_until([&] { return inner::io_waiters() == before + n; }, "the count");
                  ok(stays([&] { return inner::io_waiters() == before + n; }, 100));
              };
              settles_at(many);
              for (unsigned i = 0; i < 10; ++i) pipes[i]->write("x");
              settles_at(many - 10);
              for (unsigned i = 10; i < 20; ++i) (void)close(pipes[i]->in);
              settles_at(many - 20);
              for (unsigned i = 20; i < 30; ++i) pipes[i]->in.set_deadline(past);
              settles_at(many - 30);
              for (unsigned i = 30; i < 40; ++i) pipes[i]->in.set_deadline(in(1ms));
              settles_at(0);
              all.wait();
          }) == "");
}

TEST_CASE("NET-12 ordinary threads that wait count as well, and are woken") {
    findings ok;
    constexpr std::uint32_t before = 0;
    (void)nobody_waits();
    half_pipe data;
    half_pipe shut;
    half_pipe late;
    std::thread one([&] { ok.equal(read(data.in, 10), got("x")); });
    std::thread two([&] { ok.equal(read(shut.in, 10), failed(errc::closed)); });
    std::thread three([&] { ok.equal(read(late.in, 10), failed(errc::timeout)); });
    wait_until([&] { return inner::io_waiters() == before + 3; }, "three threads to wait");
    data.write("x");
    one.join();
    (void)close(shut.in);
    two.join();
    late.in.set_read_deadline(in(1ms));
    three.join();
    wait_until([&] { return inner::io_waiters() == before; }, "the count");
    CHECK(ok.text() == "");
}

// ---- deadlocks ----------------------------------------------------------------------------------

TEST_CASE("child: all wait for input", "[.child]") {
    vole::run({.max_procs = 2}, [] {
        half_pipe silent;
        vole::wait_group others;
        for (int i = 0; i < 3; ++i) others.go([&] { (void)read(silent.in, 1); });
        // Nothing that the runtime knows of goes on for longer than it takes to suspect a deadlock.
        net::conn timer = net::adopt_conn(timer_fd(400ms));
        if (read(timer, 8).n == 8) say("event");
        (void)close(silent.in);
    });
}
TEST_CASE("NET-12 all goroutines wait for input: not a deadlock") {
    const auto r = run_case_in_subprocess("child: all wait for input");
    INFO(r.text());
    CHECK(r.succeeded());
    CHECK(count_of(r.out, "event") == 1);
}

TEST_CASE("child: main waits, input comes, the reader ends", "[.child]") {
    doomed([] {
        vole::run({.max_procs = 2}, [] {
            vole::go([] {
                net::conn timer = net::adopt_conn(timer_fd(200ms));
                if (read(timer, 8).n == 8) say("event");
            });
            (void)vole::make_chan<int>().recv();
        });
    });
}
TEST_CASE("NET-12 a deadlock is found when nobody waits for input any more") {
    const std::string err =
        check_fatal("child: main waits, input comes, the reader ends", all_asleep);
    CHECK_THAT(err, Catch::Contains("goroutine 1 [chan receive]:"));
}

TEST_CASE("child: main waits, the others' input is closed", "[.child]") {
    doomed([] {
        vole::run({.max_procs = 2}, [] {
            half_pipe silent;
            vole::wait_group others;
            for (int i = 0; i < 3; ++i) others.go([&] { (void)read(silent.in, 1); });
            wait_until([] { return inner::io_waiters() == 1; }, "a reader");
            await_keeper_polls();
            (void)close(silent.in);
            others.wait();
            (void)vole::make_chan<int>().recv();
        });
    });
}
TEST_CASE("NET-12 a deadlock is found when what the others waited for is closed") {
    check_fatal("child: main waits, the others' input is closed", all_asleep);
}

TEST_CASE("child: main waits, two threads read and close", "[.child]") {
    doomed([] {
        half_pipe silent;
        std::thread reader([&] { (void)read(silent.in, 1); });
        wait_until([] { return inner::io_waiters() == 1; }, "the reader");
        std::atomic<std::uint64_t> main_id{0};
        std::thread closer([&] {
            // Main has gone to sleep, and its thread keeps watch for the reader.
            wait_until([&] { return main_id != 0; }, "main to begin");
            parked_as(main_id, "chan receive");
            await_keeper_polls();
            (void)close(silent.in);
            reader.join();
        });
        closer.detach();
        vole::run({.max_procs = 1}, [&] {
            main_id = vole::goroutine_id();
            (void)vole::make_chan<int>().recv();
        });
    });
}
TEST_CASE("NET-12 a deadlock is found when a thread closes what another thread waited for") {
    check_fatal("child: main waits, two threads read and close", all_asleep);
}

// ---- who waits in the poller can be reached -----------------------------------------------------

TEST_CASE("NET-10 an earlier timer, set by a thread that is not ours, interrupts the wait") {
    for (const int procs : {1, 2}) {
        procs_scope scope(procs);
        half_pipe p;
        std::thread reader([&] { (void)read(p.in, 1); });
        wait_until([] { return inner::io_waiters() == 1; }, "a reader");
        await_keeper_polls();
        for (int i = 0; i < 20; ++i) {
            const auto start = vole::clock::now();
            vole::sleep(500us);
            CHECK(vole::clock::now() - start >= 500us);
            await_keeper_polls();
        }
        p.write("x");
        reader.join();
    }
}

TEST_CASE("NET-10 an earlier timer interrupts the wait until a later one") {
    findings ok;
    run_on(2, [&] {
        half_pipe p;
        background reader([&] { return read(p.in, 1); });
        reader.parked();
        const vole::timer far(1h);
        vole::wait_group waits_long;
        waits_long.go([&] {
            vole::select(vole::on_recv(far.c(), [] { std::abort(); }),
                         vole::on_recv(vole::timer(30min).c(), [] { std::abort(); }),
                         vole::on_recv(vole::timer(1ms).c(), [] {}));
        });
        waits_long.wait();
        p.write("x");
        ok.equal(reader.get(), got("x"));
    });
    CHECK(ok.text() == "");
}

TEST_CASE("NET-10 new work from a thread that is not ours interrupts the wait") {
    for (const int procs : {1, 2}) {
        procs_scope scope(procs);
        half_pipe p;
        vole::wait_group reader;
        reader.go([&] { (void)read(p.in, 1); });
        auto asked = vole::make_chan<int>();
        auto answered = vole::make_chan<int>();
        vole::wait_group server;
        server.go([&] {
            while (auto v = asked.recv()) answered.send(*v + 1);
        });
        for (int i = 0; i < 100; ++i) {
            await_keeper_polls();
            if (i % 2 == 0) {
                asked.send(i);
                CHECK(answered.recv() == i + 1);
            } else {
                vole::wait_group fresh;
                fresh.go([] {});
                fresh.wait();
            }
        }
        asked.close();
        server.wait();
        p.write("x");
        reader.wait();
    }
}

// ---- somebody polls, whatever the others do -----------------------------------------------------

TEST_CASE("NET-13 goroutines that compute do not keep input from those who wait for it") {
    for (const int procs : {1, 2}) {
        findings ok;
        run_on(procs, [&] {
            half_pipe p;
            background reader([&] { return read(p.in, 10); });
            reader.parked();
            std::vector<std::unique_ptr<hog>> hogs;
            for (int i = 0; i < procs; ++i) hogs.push_back(std::make_unique<hog>());
            // By a thread: this goroutine has no P while all of them compute.
            std::thread writer([&] {
                for (const auto& h : hogs) wait_until([&] { return h->runs(); }, "a hog");
                p.write("x");
                wait_until([&] { return reader.over(); }, "the reader to have it");
                for (const auto& h : hogs) h->stop();
            });
            vole::blocking([&] { writer.join(); });
            hogs.clear();
            ok.equal(reader.get(), got("x"));
        });
        CHECK(ok.text() == "");
    }
}

TEST_CASE("NET-13 a busy pair of goroutines does not keep input from others") {
    findings ok;
    run_on(1, [&] {
        half_pipe p;
        background reader([&] { return read(p.in, 10); });
        reader.parked();
        p.write("x");
        // They hand over to each other, so the P never finds nothing to do.
        auto there = vole::make_chan<int>();
        auto back = vole::make_chan<int>();
        vole::wait_group partner;
        partner.go([&] {
            while (auto v = there.recv()) back.send(*v);
        });
        wait_until(
            [&] {
                for (int i = 0; i < 100; ++i) {
                    there.send(i);
                    (void)back.recv();
                }
                return reader.over();
            },
            "the reader to have it");
        there.close();
        partner.wait();
        ok.equal(reader.get(), got("x"));
    });
    CHECK(ok.text() == "");
}

TEST_CASE("NET-13 one busy connection does not starve another") {
    findings ok;
    run_on(1, [&] {
        two_conns busy = tcp_conns();
        two_conns calm = tcp_conns();
        std::atomic<bool> stop{false};
        vole::wait_group all;
        all.go([&] {
            std::byte buffer[64];
            std::error_code ec;
            while (busy.b.read(buffer, ec) != 0) (void)busy.b.write(buffer, ec);
        });
        all.go([&] {
            while (!stop) {
                ok.equal(write(busy.a, std::string(64, 'x')), wrote(64));
                std::byte buffer[64];
                ok.equal(busy.a.read_full(buffer), std::size_t{64});
            }
            (void)close(busy.a);
        });
        for (int i = 0; i < 20; ++i) {
            background reader([&] { return read(calm.b, 10); });
            reader.parked();
            ok.equal(write(calm.a, "x"), wrote(1));
            ok.equal(reader.get(), got("x"));
        }
        stop = true;
        all.wait();
    });
    CHECK(ok.text() == "");
}

TEST_CASE("NET-11 many Ps, many waits, events from everywhere: each goes to its goroutine, once") {
    findings ok;
    run_on(4, [&] {
        constexpr int many = 50;
        std::vector<two_conns> pairs;
        for (int i = 0; i < many; ++i) pairs.push_back(tcp_conns());
        vole::wait_group all;
        for (int i = 0; i < many; ++i) {
            all.go([&ok, &p = pairs[static_cast<std::size_t>(i)]] {
                std::byte buffer[4];
                for (int k = 0; k < scaled(200); ++k) {
                    std::error_code ec;
                    ok.equal(p.b.read_full(buffer, ec), std::size_t{4});
                    ok.equal(p.b.write(buffer, ec), std::size_t{4});
                }
            });
            all.go([&ok, &p = pairs[static_cast<std::size_t>(i)]] {
                for (int k = 0; k < scaled(200); ++k) {
                    const std::string text = std::to_string(1000 + k % 1000);
                    ok.equal(write(p.a, text), wrote(4));
                    ok.equal(read(p.a, 4), got(text));
                }
            });
        }
        all.wait();
        ok(nobody_waits());
    });
    CHECK(ok.text() == "");
}

// ---- what a short read means --------------------------------------------------------------------

TEST_CASE("NET-31 data and the end of the stream in one edge: both are read") {
    for (const int procs : {1, 2}) {
        findings ok;
        run_on(procs, [&] {
            for (int i = 0; i < scaled(200); ++i) {
                two_conns c = tcp_conns();
                background reader([&] { return read(c.b, 100); });
                if (i % 2 == 0) reader.parked();
                ok.equal(write(c.a, "abc"), wrote(3));
                if (i % 3 == 0) {
                    (void)close(c.a);
                } else {
                    c.a.close_write();
                }
                ok.equal(reader.get(), got("abc"));
                for (int k = 0; k < 3; ++k) ok.equal(read(c.b, 100), end_of_stream);
            }
        });
        CHECK(ok.text() == "");
    }
}

TEST_CASE("NET-31 urgent data cuts a read short: what is behind it is read all the same") {
    for (const int procs : {1, 2}) {
        findings ok;
        run_on(procs, [&] {
            for (int i = 0; i < scaled(50); ++i) {
                two_conns c = tcp_conns();
                // All of it is there before the first read, and nothing comes later.
                c.a.control([&](int fd) {
                    ok.equal(::send(fd, "abc", 3, 0), ssize_t{3});
                    ok.equal(::send(fd, "!", 1, MSG_OOB), ssize_t{1});
                    ok.equal(::send(fd, "def", 3, 0), ssize_t{3});
                });
                ok.equal(read(c.b, 100), got("abc"));
                ok.equal(read(c.b, 100), got("def"));
                ok.equal(write(c.a, "ghi"), wrote(3));
                ok.equal(read(c.b, 100), got("ghi"));
            }
        });
        CHECK(ok.text() == "");
    }
}

TEST_CASE("NET-31 a connection that is reset: the reader hears of it, whatever it read before") {
    for (const int procs : {1, 2}) {
        findings ok;
        run_on(procs, [&] {
            for (int i = 0; i < scaled(100); ++i) {
                two_conns c = tcp_conns();
                ok.equal(write(c.a, "abc"), wrote(3));
                ok.equal(read(c.b, 100), got("abc"));
                background reader([&] { return read(c.b, 100); });
                if (i % 2 == 0) reader.parked();
                c.a.set_linger(std::chrono::seconds(0));
                (void)close(c.a);
                const result r = reader.get();
                ok(r.ec == std::errc::connection_reset, r.ec.message());
                ok.equal(r.n, std::size_t{0});
            }
        });
        CHECK(ok.text() == "");
    }
}
