// The poller over a back end that does as it is told: a program of its own. Cites NET-1, NET-8..13.
//
// Nothing happens to a descriptor here but what a case posts. So it can say who polls, for how long, and in which order
// events come.
#include "test/net/fake_back_end.hpp"

#include "test/support/duel.hpp"
#include "test/support/subprocess.hpp"

#include <memory>
#include <numeric>
#include <sys/stat.h>
#include <thread>

using namespace vole::test;
using inner::dir_read;
using inner::dir_write;
namespace net = vole::net;

namespace {

// Before anything can have been opened.
[[maybe_unused]] const bool installed = (inner::set_poll_back_end(&the_fake), true);

constexpr unsigned dir_both = dir_read | dir_write;

inner::io_event event(const inner::poll_desc* d, unsigned directions) {
    return {inner::token_of(d), directions, false, false};
}

void await_one_waits(place where = here()) {
    wait_until([] { return fake.waiting == 1; }, "a thread to wait in the poller", where);
}

bool same_file(int a, int b) {
    struct stat of_a {};
    struct stat of_b {};
    return ::fstat(a, &of_a) == 0 && ::fstat(b, &of_b) == 0 && of_a.st_ino == of_b.st_ino;
}

}  // namespace

// ---- what fails ---------------------------------------------------------------------------------

TEST_CASE("child: no descriptor for the poller, then one", "[.child]") {
    fake.open_error = EMFILE;
    const int fd = tcp_fds().first;
    const int status = ::fcntl(fd, F_GETFL);
    const int flags = ::fcntl(fd, F_GETFD);
    const int open_before = open_count();
    for (int i = 1; i <= 3; ++i) {
        std::error_code ec;
        CHECK(!net::adopt_conn(fd, ec));
        CHECK(ec == std::errc::too_many_files_open);
        CHECK(fake.opens == i);
        CHECK(fake.adds == 0);
        CHECK(::fcntl(fd, F_GETFL) == status);
        CHECK(::fcntl(fd, F_GETFD) == flags);
    }
    CHECK(open_count() == open_before);
    fake.open_error = 0;
    vole::run({.max_procs = 2}, [&] {
        // Several at once: it is opened once.
        vole::wait_group all;
        for (int i = 0; i < 8; ++i) all.go([] { const quiet_desc d; });
        all.wait();
        net::conn c = net::adopt_conn(fd);
        background reader([&] { return read(c, 1); });
        reader.parked();
        (void)close(c);
        (void)reader.get();
    });
    CHECK(fake.opens == 4);
    CHECK(fake.registered() == 0);
}
TEST_CASE("NET-1 no descriptor for the poller: an error, and tried again with the next socket") {
    const auto r = run_case_in_subprocess("child: no descriptor for the poller, then one");
    INFO(r.text());
    CHECK(r.succeeded());
}

TEST_CASE("NET-2 what the kernel does not register stays the caller's, as it was") {
    CHECK(everywhere([](findings& ok) {
              const auto [fd, peer] = tcp_fds();
              // Of a blocking one, so that something is to be changed back.
              ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK);
              ::fcntl(fd, F_SETFD, 0);
              const int status = ::fcntl(fd, F_GETFL);
              const int copy = ::dup(fd);
              const int open_before = open_count();
              std::uint64_t token = 0;
              for (const int error : {EPERM, ENOMEM, ENOSPC, EPERM}) {
                  fake.add_error = error;
                  std::error_code ec;
                  ok(!net::adopt_conn(fd, ec));
                  ok(ec == (error == EPERM ? make_error_code(net::errc::not_pollable)
                                           : std::error_code(error, std::system_category())));
                  ok.equal(::fcntl(fd, F_GETFL), status);
                  ok.equal(::fcntl(fd, F_GETFD), 0);
                  ok(same_file(fd, copy));
                  // Its memory is used again, by each that follows.
                  if (token != 0) ok.equal(fake.last_added(), token);
                  token = fake.last_added();
              }
              fake.add_error = 0;
              ok.equal(open_count(), open_before);
              ok.equal(fake.registered(), std::size_t{0});
              {
                  net::conn c = net::adopt_conn(fd);
                  ok.equal(fake.token(fd), token);
                  ok((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
                  ok((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
              }
              ok.equal(fake.registered(), std::size_t{0});
              ok.equal(open_count(), open_before - 1);
              ::close(copy);
              ::close(peer);
          }) == "");
}

TEST_CASE("NET-56 a pair of which the second end fails leaves nothing behind") {
    const int open_before = open_count();
    fake.add_error = ENOMEM;
    std::error_code ec;
    {
        const auto none = net::os_pipe(ec);
        CHECK(!none.first);
        CHECK(!none.second);
    }
    CHECK(ec == std::errc::not_enough_memory);
    fake.add_error = 0;
    CHECK(open_count() == open_before);
    CHECK(fake.registered() == 0);
}

TEST_CASE("NET-2 a descriptor is registered once, and taken out before it is closed") {
    const int adds = fake.adds;
    const int removes = fake.removes;
    findings ok;
    run_on(2, [&] {
        auto [a, b] = tcp_conns();
        ok.equal(fake.registered(), std::size_t{2});
        ok.equal(write(a, "abc"), wrote(3));
        ok.equal(read(b, 10), got("abc"));
        a.set_deadline(past);
        ok.equal(read(a, 10), failed(errc::timeout));
        const int fd = b.release();
        ok(!b);
        ok.equal(fake.registered(), std::size_t{1});
        ok(::fcntl(fd, F_GETFD) >= 0);
        ::close(fd);
    });
    CHECK(ok.text() == "");
    CHECK(fake.adds == adds + 2);
    CHECK(fake.removes == removes + 2);
}

// ---- events -------------------------------------------------------------------------------------

TEST_CASE("NET-11 events in any order, some of them twice: each wakes whom it names, once") {
    for (const int procs : {1, 2, 4}) {
        findings ok;
        run_on(procs, [&] {
            dice roll(static_cast<std::uint64_t>(procs));
            for (int round = 0; round < scaled(50); ++round) {
                constexpr std::size_t many = 20;
                std::vector<std::unique_ptr<quiet_desc>> descs(many);
                std::vector<std::unique_ptr<waiting_goroutine>> in(many), out(many);
                for (std::size_t i = 0; i < many; ++i) {
                    descs[i] = std::make_unique<quiet_desc>();
                    in[i] = std::make_unique<waiting_goroutine>(*descs[i], io_dir::read);
                    out[i] = std::make_unique<waiting_goroutine>(*descs[i], io_dir::write);
                }
                for (std::size_t i = 0; i < many; ++i) {
                    in[i]->parked();
                    out[i]->parked();
                }
                ok.equal(inner::io_waiters(), std::uint32_t{2 * many});
                std::vector<inner::io_event> events;
                for (std::size_t i = 0; i < many; ++i) {
                    if (i % 3 == 0) {
                        events.push_back(event(*descs[i], dir_both));
                    } else {
                        events.push_back(event(*descs[i], dir_read));
                        events.push_back(event(*descs[i], dir_write));
                    }
                    if (i % 4 == 0) events.push_back(events.back());
                    // Of somebody who has gone.
                    events.push_back(
                        {events.back().token ^ std::uint64_t{1} << 63, dir_both, true, true});
                }
                for (std::size_t i = events.size(); i > 1; --i) {
                    std::swap(events[i - 1], events[roll(i)]);
                }
                fake.post(events);
                for (std::size_t i = 0; i < many; ++i) {
                    ok.equal(in[i]->get() + out[i]->get(), std::string("readyready"));
                }
                ok(nobody_waits());
                wait_until(
                    [&] {
                        fake.return_early();
                        return fake.all_taken() || inner::io_waiters() == 0;
                    },
                    "the events to be taken");
            }
        });
        CHECK(ok.text() == "");
    }
}

TEST_CASE("NET-9 more events than fit into a batch, of goroutines and threads") {
    findings ok;
    run_on(2, [&] {
        constexpr std::size_t many = 500;
        std::vector<std::unique_ptr<quiet_desc>> descs;
        std::vector<std::unique_ptr<waiting_goroutine>> waiters;
        std::vector<inner::io_event> events;
        for (std::size_t i = 0; i < many; ++i) {
            descs.push_back(std::make_unique<quiet_desc>());
            waiters.push_back(std::make_unique<waiting_goroutine>(*descs.back(), io_dir::read));
            events.push_back(event(*descs.back(), dir_read));
        }
        const quiet_desc of_thread;
        std::thread waits(
            [&] { ok.equal(await_event(of_thread, io_dir::read), std::string("ready")); });
        events.insert(events.begin() + 100, event(of_thread, dir_read));
        wait_until([] { return inner::io_waiters() == many + 1; }, "all to wait");
        fake.post(events);
        for (const auto& w : waiters) ok.equal(w->get(), std::string("ready"));
        vole::blocking([&] { waits.join(); });
        ok(nobody_waits());
    });
    CHECK(ok.text() == "");
}

TEST_CASE("NET-6 a wait that returns for nothing begins again") {
    findings ok;
    run_on(2, [&] {
        const quiet_desc d;
        waiting_goroutine w(d, io_dir::read);
        w.parked();
        for (int i = 0; i < 20; ++i) {
            const int before = fake.waits;
            await_one_waits();
            fake.return_early();
            wait_until([&] { return fake.waits > before; }, "the next wait");
        }
        ok(w.waits());
        fake.post({event(d, dir_read)});
        ok.equal(w.get(), std::string("ready"));
    });
    CHECK(ok.text() == "");
}

// ---- who polls, and for how long ----------------------------------------------------------------

TEST_CASE("NET-10 who waits in the poller waits until the first deadline, or for ever") {
    findings ok;
    const quiet_desc d;
    std::thread reader([&] { (void)await_event(d, io_dir::read); });
    wait_until([] { return fake.waiting == 1 && fake.last_limit < 0; }, "a wait without limit");
    {
        vole::timer hour = vole::after_func(1h, [] {});
        wait_until([] { return fake.waiting == 1 && fake.last_limit > 0; }, "a wait with a limit");
        CHECK(fake.last_limit <= (1h / 1ns));
        {
            vole::timer minute = vole::after_func(1min, [] {});
            wait_until([] { return fake.waiting == 1 && fake.last_limit <= (1min / 1ns); },
                       "a shorter one");
            // A later one is no reason to wake anybody.
            const int wakes = fake.wakes;
            vole::timer day = vole::after_func(24h, [] {});
            CHECK(fake.wakes == wakes);
            minute.stop();
            day.stop();
        }
        hour.stop();
    }
    fake.post({event(d, dir_read)});
    reader.join();
    CHECK(ok.text() == "");
}

TEST_CASE("NET-11 one thread at a time waits in the poller, and one at a time looks") {
    fake.most_waiting = 0;
    fake.most_looking = 0;
    findings ok;
    run_on(4, [&] {
        constexpr std::size_t many = 16;
        std::vector<std::unique_ptr<quiet_desc>> descs;
        std::atomic<bool> stop{false};
        vole::wait_group all;
        for (std::size_t i = 0; i < many; ++i) {
            descs.push_back(std::make_unique<quiet_desc>());
            all.go([&, d = descs.back().get()] {
                while (!stop) ok.equal(await_event(*d, io_dir::read), std::string("ready"));
            });
        }
        dice roll(7);
        for (int i = 0; i < scaled(5000); ++i) {
            fake.post({event(*descs[roll(many)], dir_read)});
            if (roll(4) == 0) vole::sleep(std::chrono::microseconds(roll(30)));
        }
        stop = true;
        wait_until(
            [&] {
                std::vector<inner::io_event> last;
                for (const auto& d : descs) last.push_back(event(*d, dir_read));
                fake.post(last);
                vole::gosched();
                return inner::io_waiters() == 0;
            },
            "all to end");
        all.wait();
    });
    CHECK(ok.text() == "");
    CHECK(fake.most_waiting == 1);
    CHECK(fake.most_looking <= 1);
}

TEST_CASE("NET-12 without anybody who waits, nobody looks") {
    run_on(2, [] {
        const quiet_desc d;
        {
            waiting_goroutine w(d, io_dir::read);
            w.parked();
            await_one_waits();
            fake.post({event(d, dir_read)});
        }
        // The thread that waited may still be on its way out.
        wait_until([] { return fake.waiting == 0; }, "the poller to be left");
        const int looks = fake.looks;
        for (int i = 0; i < 50; ++i) vole::sleep(100us);
        CHECK(fake.looks <= looks + 1);  // one may have begun before
    });
}

TEST_CASE("NET-13 while all Ps compute, sysmon looks every 10 ms, not all the time") {
    const quiet_desc d;
    int in_between = 0;
    run_on(1, [&] {
        waiting_goroutine w(d, io_dir::read);
        w.parked();
        const auto start = vole::clock::now();
        const int before = fake.looks;
        const auto busy = [] {
            for (int i = 0; i < 1000; ++i) asm volatile("" ::: "memory");
        };
        // Until it has looked five times, which takes 40 ms at least.
        while (fake.looks < before + 5) busy();
        const auto took = vole::clock::now() - start;
        in_between = static_cast<int>(took / 1ms);
        fake.post({event(d, dir_read)});
    });
    CHECK(in_between >= 35);
}

// ---- somebody polls, whatever the others do -----------------------------------------------------

TEST_CASE("NET-13 the last thread enters blocking(): another one waits in the poller") {
    findings ok;
    for (const int procs : {1, 2}) {
        run_on(procs, [&] {
            const quiet_desc d;
            waiting_goroutine w(d, io_dir::read);
            w.parked();
            std::thread poster([&] {
                await_one_waits();
                fake.post({event(d, dir_read)});
                wait_until([&] { return !is_parked(d, io_dir::read); }, "the event to be seen");
            });
            vole::blocking([&] { poster.join(); });
            ok.equal(w.get(), std::string("ready"));
        });
    }
    CHECK(ok.text() == "");
}

TEST_CASE("NET-13 the one who waits is tied to its thread: another one waits in the poller") {
    findings ok;
    for (const int procs : {1, 2}) {
        const quiet_desc d;
        std::thread poster([&] {
            await_parked(d, io_dir::read);
            await_one_waits();
            fake.post({event(d, dir_read)});
        });
        run_on(procs, [&] {
            vole::lock_os_thread();
            ok.equal(await_event(d, io_dir::read), std::string("ready"));
            vole::unlock_os_thread();
        });
        poster.join();
    }
    CHECK(ok.text() == "");
}

TEST_CASE("NET-13 the world was stopped: somebody waits in the poller again") {
    findings ok;
    const quiet_desc d;
    std::thread reader([&] { (void)await_event(d, io_dir::read); });
    await_parked(d, io_dir::read);
    for (int i = 0; i < 20; ++i) {
        // By a thread without a P, so that nobody comes by the poller on the way to sleep.
        const int before = vole::gomaxprocs(1 + i % 3);
        await_one_waits();
        vole::gomaxprocs(before);
        await_one_waits();
    }
    fake.post({event(d, dir_read)});
    reader.join();
    CHECK(ok.text() == "");
}

TEST_CASE(
    "NET-13 a thread begins to wait while all of ours sleep: one of them waits in the poller") {
    for (int i = 0; i < 200; ++i) {
        const quiet_desc d;
        std::thread reader([&] { (void)await_event(d, io_dir::read); });
        await_one_waits();
        fake.post({event(d, dir_read)});
        reader.join();
    }
    CHECK(nobody_waits());
}

TEST_CASE("child: the first socket while a thread sleeps until a deadline", "[.child]") {
    vole::timer hour = vole::after_func(1h, [] {});
    wait_until([] { return inner::sched.keeper_until.load(inner::memory_order_seq_cst) != 0; },
               "a thread to keep watch");
    // sysmon sleeps like that when the others have slept for a while.
    wait_until([] { return inner::sched.sysmon_waiting.load(inner::memory_order_seq_cst); },
               "all threads to sleep");
    CHECK(fake.waits == 0);
    const quiet_desc d;
    std::thread reader([&] { (void)await_event(d, io_dir::read); });
    await_one_waits();
    fake.post({event(d, dir_read)});
    reader.join();
    hour.stop();
}
TEST_CASE("NET-13 a thread that sleeps until a deadline hears of the first socket") {
    const auto r =
        run_case_in_subprocess("child: the first socket while a thread sleeps until a deadline");
    INFO(r.text());
    CHECK(r.succeeded());
}

TEST_CASE("NET-10 work that comes as the last thread goes to wait") {
    for (const int procs : {1, 2}) {
        procs_scope scope(procs);
        const quiet_desc d;
        vole::wait_group reader;
        reader.go([&] { (void)await_event(d, io_dir::read); });
        await_parked(d, io_dir::read);
        dice roll(static_cast<std::uint64_t>(procs));
        for (int i = 0; i < scaled(10'000); ++i) {
            std::atomic<bool> done{false};
            // Mostly timers: work is given to other threads, if there are any, and the one that waits stays.
            if (i % 8 == 0) {
                vole::go([&] { done = true; });
                wait_until([&] { return done.load(); }, "the work to be done");
            } else {
                vole::timer soon = vole::after_func(1us, [&] { done = true; });
                wait_until([&] { return done.load(); }, "the timer to go off");
            }
            // Its thread finds nothing more, and goes to wait: it is met somewhere on that way.
            const std::int64_t until = inner::nanotime() + static_cast<std::int64_t>(roll(15'000));
            while (inner::nanotime() < until) {
            }
        }
        fake.post({event(d, dir_read)});
        reader.wait();
    }
}

TEST_CASE("NET-13 waits that begin as the last thread goes to sleep") {
    findings ok;
    run_on(2, [&] {
        const quiet_desc d;
        for (int i = 0; i < scaled(2000); ++i) {
            vole::wait_group pair;
            pair.go([&] { ok.equal(await_event(d, io_dir::read), std::string("ready")); });
            pair.go([&] { ok.equal(await_event(d, io_dir::write), std::string("ready")); });
            // Posted by nobody in particular: a timer's function, which runs when somebody has woken for it.
            const vole::timer t = vole::after_func(std::chrono::microseconds(i % 50),
                                                   [&] { fake.post({event(d, dir_both)}); });
            pair.wait();
        }
    });
    CHECK(ok.text() == "");
}
