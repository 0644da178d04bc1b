// See soak.cpp. Each task goes on until it is told to stop, and counts its rounds.
#include "test/net/soak_tasks.hpp"

#include <thread>

namespace vole::test::soaking {

findings ok;
std::atomic<bool> stop{false};

namespace {

void end(net::conn& c, dice& roll) {
    if (roll(2) == 0) reset(c);
}

void pause(dice& roll) { sleep(std::chrono::microseconds(roll(3) == 0 ? roll(3000) : roll(30))); }

// ---- tasks ------------------------------------------------------------------------------------

// n bytes there and back, both directions at once, then half a close.
void talk(net::conn& c, std::uint64_t seed, std::uint64_t n, std::size_t piece) {
    wait_group writer;
    writer.go([&] {
        std::error_code ec;
        ok.equal(write_all(c, seed, n, ec, piece), n);
        ok(!ec, ec.message());
        c.close_write(ec);
    });
    const taken t = read_all(c, seed);
    ok(!t.wrong, "wrong byte");
    ok(!t.ec, t.ec.message());
    ok.equal(t.right, n);
    writer.wait();
}

void talk_tcp(servers& s, count& done, dice roll) {
    for (; going_on(); ++done) {
        net::conn c = net::dial_tcp(s.tcp.local_endpoint());
        talk(c, roll(1000), roll(200'000), 1 + roll(70'000));
        end(c, roll);
    }
}

void talk_local(servers& s, count& done, dice roll) {
    for (; going_on(); ++done) {
        net::conn c = net::dial_unix(s.local.local_endpoint());
        talk(c, roll(1000), roll(200'000), 1 + roll(70'000));
    }
}

// It goes away at any time, itself or the other end's.
void break_off(servers& s, count& done, dice roll) {
    for (; going_on(); ++done) {
        net::conn c = net::dial_tcp(s.tcp.local_endpoint());
        wait_group all;
        for (int i = 0; i < 2; ++i) {
            all.go([&] {
                std::array<std::byte, 100> room;
                std::error_code ec;
                while (c.read(room, ec) != 0 && !ec) {
                }
                ok(!ec || ec == errc::closed || ec == std::errc::connection_reset, ec.message());
            });
        }
        all.go([&] {
            std::error_code ec;
            write_all(c, 1, 100'000, ec);
            ok(!ec || ec == errc::closed || ec == std::errc::broken_pipe ||
                   ec == std::errc::connection_reset,
               ec.message());
        });
        pause(roll);
        switch (roll(3)) {
            case 0: reset(c); break;
            case 1: c.close(); break;
            default: c.control([](int fd) { ::shutdown(fd, SHUT_RDWR); });
        }
        all.wait();
    }
}

// What comes is late, and nothing of it is lost to deadlines that pass meanwhile.
void miss_deadlines(servers&, count& done, dice roll) {
    for (; going_on(); ++done) {
        auto [a, b] = roll(2) == 0 ? tcp_ends() : local_ends();
        constexpr std::uint64_t n = 2000;
        wait_group writer;
        writer.go([&, &a = a, mine = dice(roll(1000))]() mutable {
            std::error_code ec;
            for (std::uint64_t at = 0; at < n; at += 500) {
                pause(mine);
                a.write(bytes_from(3, at, 500), ec);
                ok(!ec, ec.message());
            }
        });
        std::uint64_t right = 0;
        std::array<std::byte, 300> room;
        while (right < n) {
            const auto until = clock::now() + std::chrono::microseconds(roll(500));
            b.set_read_deadline(roll(20) == 0 ? past : until);
            std::error_code ec;
            const std::size_t got_n = b.read(room, ec);
            ok(!ec || ec == errc::timeout, ec.message());
            ok(got_n != 0 || ec, "an end that is none");
            ok.equal(first_wrong(std::span(room).first(got_n), 3, right), got_n);
            right += got_n;
        }
        writer.wait();
    }
}

// Deadlines that others move about while a read waits; the last one counts.
void move_deadlines(servers&, count& done, dice roll) {
    for (; going_on(); ++done) {
        auto [a, b] = roll(2) == 0 ? tcp_ends() : local_ends();
        wait_group all;
        std::atomic<bool> over{false};
        all.go([&, &b = b] {
            std::array<std::byte, 10> room;
            for (std::error_code ec; !over;) {
                ok.equal(b.read(room, ec), 0U);
                ok(ec == errc::timeout, ec.message());
            }
        });
        for (int i = 0; i < 5; ++i) {
            switch (roll(4)) {
                case 0: b.set_deadline(never); break;
                case 1: b.set_read_deadline(in(1h)); break;
                case 2: b.set_read_deadline(past); break;
                default: b.set_deadline(in(std::chrono::microseconds(roll(200))));
            }
            gosched();
        }
        over = true;
        b.set_deadline(roll(2) == 0 ? past : in(std::chrono::microseconds(roll(100))));
        all.wait();
    }
}

void send_datagrams(servers& s, count& done, dice roll) {
    net::udp_conn c = net::dial_udp(s.udp.local_endpoint());
    for (std::uint64_t i = 0; going_on(); ++i) {
        const auto mine = bytes_from(i, 0, 16 + roll(1000));
        std::error_code ec;
        c.write(mine, ec);
        // A datagram may be lost; what comes is one that was sent, and whole. Answers to earlier ones may come late.
        c.set_read_deadline(in(20ms));
        for (;;) {
            std::vector<std::byte> room(2000);
            const std::size_t n = c.read(room, ec);
            if (ec == errc::timeout) break;
            ok(!ec, ec.message());
            ok(n >= 16, "a piece of a datagram");
            room.resize(n);
            if (room == mine) {
                ++done;
                break;
            }
        }
    }
}

void use_pipes(servers&, count& done, dice roll) {
    for (; going_on(); ++done) {
        const std::uint64_t n = roll(300'000);
        const std::size_t piece = 1 + roll(100'000);
        const bool memory = roll(3) == 0;
        auto [in_end, out_end] = memory ? net::pipe() : net::os_pipe();
        wait_group writer;
        writer.go([&, &out = out_end] {
            std::error_code ec;
            ok.equal(write_all(out, 4, n, ec, piece), n);
            out.close();
        });
        const taken t = read_all(in_end, 4);
        ok(!t.ec && !t.wrong, t.ec.message());
        ok.equal(t.right, n);
        writer.wait();
    }
}

void send_packets(servers&, count& done, dice roll) {
    for (; going_on(); ++done) {
        auto [a, b] = local_ends(SOCK_SEQPACKET);
        const int n = static_cast<int>(roll(600));
        wait_group writer;
        writer.go([&, &a = a] {
            for (int i = 0; i < n; ++i) {
                const std::string said = std::to_string(i);
                ok.equal(write_of(a, said), wrote(said.size()));
            }
            a.close();
        });
        for (int i = 0; i < n; ++i) ok.equal(read_of(b, 20), got(std::to_string(i)));
        ok.equal(read_of(b, 20), end_of_stream);
        writer.wait();
    }
}

// A context that ends while it dials: what comes is a connection that works, or an error that says why.
void cancel_dials(servers& s, count& done, dice roll) {
    for (; going_on(); ++done) {
        const bool never_done = roll(2) == 0;
        const endpoint to = never_done ? s.deaf.local_endpoint() : s.tcp.local_endpoint();
        const bool by_deadline = roll(2) == 0;
        const auto after = std::chrono::microseconds(roll(never_done ? 2000 : 200));
        auto [ctx, cancel] = by_deadline ? with_timeout(context::background(), after)
                                         : with_cancel(context::background());
        wait_group all;
        all.go([&, &cancel = cancel] {
            if (by_deadline) return;
            sleep(after);
            cancel();
        });
        std::error_code ec;
        net::conn c = net::dial("tcp", to.to_string(), ctx, ec);
        if (ec) {
            ok(ec == (by_deadline ? errc::timeout : errc::canceled), ec.message());
            ok(!c);
        } else {
            // The context has no say any more.
            all.wait();
            cancel();
            if (!never_done) {
                ok.equal(write_of(c, "still"), wrote(5));
                ok.equal(read_of(c, 10), got("still"));
            }
            reset(c);
        }
        all.wait();
        cancel();
    }
}

// Listeners that are closed while they accept.
void close_listeners(servers&, count& done, dice roll) {
    for (; going_on(); ++done) {
        net::tcp_listener l = net::listen_tcp(any_port);
        const endpoint at = l.local_endpoint();
        wait_group all;
        for (int i = 0; i < 2; ++i) {
            all.go([&] {
                for (std::error_code ec; !ec;) {
                    net::conn c = l.accept(ec);
                    ok(!ec || ec == errc::closed || ec == errc::timeout, ec.message());
                    if (ec == errc::timeout) ec.clear();
                }
            });
        }
        all.go([&] {
            net::dialer how;
            how.timeout = 1s;
            for (std::error_code ec; !ec;) {
                net::conn c = net::dial_tcp(at, how, ec);
                reset(c);
            }
        });
        pause(roll);
        if (roll(2) == 0) l.set_deadline(past);
        gosched();
        l.close();
        all.wait();
    }
}

// By splice from one connection to the next, and back.
void pass_on(servers& s, count& done, dice roll) {
    for (; going_on(); ++done) {
        auto [client, middle] = roll(2) == 0 ? tcp_ends() : local_ends();
        net::conn far = net::dial_tcp(s.tcp.local_endpoint());
        wait_group all;
        const auto go_on = [&all](net::conn& to, net::conn& from) {
            all.go([&] {
                std::error_code ec;
                net::copy(to, from, net::copy_all, ec);
                ok(!ec, ec.message());
                to.close_write(ec);
            });
        };
        go_on(far, middle);
        go_on(middle, far);
        talk(client, roll(1000), roll(300'000), 1 + roll(70'000));
        all.wait();
    }
}

// The same from threads that are no goroutines.
void talk_on_threads(servers& s, count& done, dice roll) {
    for (; going_on(); ++done) {
        const std::uint64_t seed = roll(1000);
        // Its end is waited for by a channel: joining would block the goroutine's thread.
        const auto over = make_chan<void>();
        std::thread t([&] {
            net::conn c = net::dial_tcp(s.tcp.local_endpoint());
            std::array<std::byte, 500> back;
            std::error_code ec;
            for (std::uint64_t i = 0; i < 20; ++i) {
                c.write(bytes_from(seed + i, 0, back.size()), ec);
                ok.equal(c.read_full(back, ec), back.size());
                ok.equal(first_wrong(back, seed + i, 0), back.size());
            }
            c.set_read_deadline(in(100us));
            ok.equal(c.read(back, ec), 0U);
            ok(ec == errc::timeout, ec.message());
            over.close();
        });
        over.recv();
        t.join();
    }
}

constexpr std::array tasks{
    task{"talk_tcp", talk_tcp},
    task{"talk_local", talk_local},
    task{"break_off", break_off},
    task{"miss_deadlines", miss_deadlines},
    task{"move_deadlines", move_deadlines},
    task{"send_datagrams", send_datagrams},
    task{"use_pipes", use_pipes},
    task{"send_packets", send_packets},
    task{"cancel_dials", cancel_dials},
    task{"close_listeners", close_listeners},
    task{"pass_on", pass_on},
    task{"talk_on_threads", talk_on_threads},
};

}  // namespace

std::span<const task> all_tasks() { return tasks; }

}  // namespace vole::test::soaking
