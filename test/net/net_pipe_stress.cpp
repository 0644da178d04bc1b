// net::pipe() used by many at once: whose bytes come out where, and that nobody is forgotten. Cites NET-41, NET-45, NET-80
// and NET-88.
//
// A stream is checked by what its bytes say of themselves: frames with length, writer, and a count; or the n-th byte
// is a function of n.
#include "test/net/net_support.hpp"

#include "test/support/duel.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

namespace vole::test {

namespace {

/// The byte at an offset of a stream.
std::byte byte_at(std::uint64_t n) {
    return static_cast<std::byte>((n * 0x9E3779B97F4A7C15U) >> 56);
}

/// Compares what was read with what was written.
class exact_reader {
  public:
    void take(std::span<const std::byte> some) {
        for (const std::byte b : some) good_ = good_ && b == byte_at(n_++);
    }
    bool good() const { return good_; }
    std::uint64_t count() const { return n_; }

  private:
    bool good_ = true;
    std::uint64_t n_ = 0;
};

/// To copy it takes long enough for others to come.
constexpr std::size_t long_text = 64 * 1024;

struct frame {
    std::uint32_t writer;
    std::uint32_t number;
    std::uint32_t length;  // of what follows
};
std::byte filling(const frame& f) {
    return static_cast<std::byte>(f.writer * 31 + f.number * 7 + 1);
}

/// Reads all of it, by pieces of many sizes. False: the stream has ended, or there was an error.
bool read_all(stream& s, std::span<std::byte> to, dice& roll) {
    while (!to.empty()) {
        std::error_code ec;
        const std::size_t n = s.read(to.first(1 + roll(to.size())), ec);
        if (ec || n == 0) return false;
        to = to.subspan(n);
    }
    return true;
}

}  // namespace

TEST_CASE("NET-80 a long stream comes out as it went in, by reads and writes of all sizes",
          "[net][pipe][stress]") {
    const std::string text = everywhere([](findings& ok) {
        auto ends = pipe();
        stream& a = ends.a;
        stream& b = ends.b;
        const std::uint64_t total = scaled<std::uint64_t>(10'000'000, 200'000);
        wait_group both;
        const auto send = [&ok, total](stream& s) {
            dice roll(1);
            std::vector<std::byte> buffer(70'000);
            for (std::uint64_t sent = 0; sent < total;) {
                const std::uint64_t most = roll(50) == 0 ? buffer.size() : 1 + roll(300);
                const std::size_t n = std::min(roll(most), total - sent);
                for (std::size_t i = 0; i < n; ++i) buffer[i] = byte_at(sent + i);
                const std::size_t cut = roll(n + 1);
                const std::span<const std::byte> all(buffer.data(), n);
                const std::array pieces{all.first(cut), all.subspan(cut)};
                std::error_code ec;
                ok.equal(s.write_v(pieces, ec), n);
                ok(!ec);
                // Nobody looks at it any more (NET-88).
                std::memset(buffer.data(), 0, n);
                sent += n;
            }
            ok(!close_write(s));
        };
        const auto receive = [&ok, total](stream& s) {
            dice roll(2);
            exact_reader all;
            std::vector<std::byte> buffer(50'000);
            for (;;) {
                const std::size_t most = roll(50) == 0 ? buffer.size() : 1 + roll(300);
                std::error_code ec;
                const std::size_t n = s.read(std::span(buffer).first(most), ec);
                ok(!ec);
                if (n == 0) break;
                all.take({buffer.data(), n});
            }
            ok(all.good());
            ok.equal(all.count(), total);
        };
        both.go([&, &s = a] { send(s); });
        both.go([&, &s = b] { send(s); });
        both.go([&, &s = a] { receive(s); });
        receive(b);
        both.wait();
    });
    CHECK(text == "");
}

TEST_CASE("NET-80 the writes of many do not mix", "[net][pipe][stress]") {
    const std::string text = everywhere([](findings& ok) {
        constexpr std::uint32_t writers = 8;
        const auto frames = scaled<std::uint32_t>(5000, 100);
        auto ends = pipe();
        stream& a = ends.a;
        stream& b = ends.b;
        wait_group all;
        for (std::uint32_t i = 0; i < writers; ++i) {
            all.go([&, i, &from = a] {
                dice roll(i + 1);
                std::vector<std::byte> body;
                for (std::uint32_t n = 0; n < frames; ++n) {
                    const frame head{i, n, static_cast<std::uint32_t>(roll(200))};
                    body.assign(head.length, filling(head));
                    const std::array pieces{std::as_bytes(std::span(&head, 1)),
                                            std::span<const std::byte>(body)};
                    std::error_code ec;
                    ok.equal(from.write_v(pieces, ec), sizeof head + head.length);
                    ok(!ec);
                    if (roll(4) == 0) gosched();
                }
            });
        }
        std::array<std::uint32_t, writers> next{};
        std::vector<std::byte> body;
        dice roll(99);
        for (std::uint32_t n = 0; n < writers * frames; ++n) {
            frame head{};
            if (!ok(read_all(b, std::as_writable_bytes(std::span(&head, 1)), roll))) break;
            if (!ok(head.writer < writers && head.length < 200)) break;
            ok.equal(head.number, next[head.writer]++);
            body.resize(head.length);
            if (!ok(read_all(b, body, roll))) break;
            const std::byte wanted = filling(head);
            ok(std::ranges::all_of(body, [&](std::byte x) { return x == wanted; }));
        }
        (void)close(b);
        all.wait();
    });
    CHECK(text == "");
}

TEST_CASE("NET-80 many readers and many writers: each byte comes to one reader",
          "[net][pipe][stress]") {
    const std::string text = everywhere([](findings& ok) {
        const std::uint64_t each = scaled<std::uint64_t>(200'000, 5'000);
        auto ends = pipe();
        stream& a = ends.a;
        stream& b = ends.b;
        std::array<std::atomic<std::uint64_t>, 256> seen{};
        wait_group writers;
        wait_group readers;
        for (unsigned i = 0; i < 4; ++i) {
            writers.go([&, i, &from = a] {
                dice roll(i + 1);
                const std::string some(40, static_cast<char>(i));
                for (std::uint64_t sent = 0; sent < each;) {
                    const std::size_t n = std::min<std::uint64_t>(roll(40), each - sent);
                    ok.equal(write(from, std::string_view(some).substr(0, n)), wrote(n));
                    sent += n;
                }
            });
            readers.go([&, i, &to = b] {
                dice roll(i + 10);
                for (;;) {
                    const result r = read(to, 1 + roll(60));
                    if (r.n == 0) return (void)ok.equal(r, end_of_stream);
                    // What one read gets is of one write.
                    ok(std::ranges::all_of(r.text, [&](char c) { return c == r.text[0]; }));
                    seen[static_cast<unsigned char>(r.text[0])] += r.n;
                }
            });
        }
        writers.wait();
        ok(!close(a));
        readers.wait();
        for (unsigned i = 0; i < 4; ++i) ok.equal(seen[i].load(), each);
    });
    CHECK(text == "");
}

TEST_CASE("NET-80 as many reads as writes, and nobody else comes", "[net][pipe][stress]") {
    findings ok;
    run_on(4, [&] {
        const std::string text(long_text, 'x');
        const int rounds = stress_scaled(5000);
        for (int n = 0; n < rounds; ++n) {
            auto ends = pipe();
            stream& a = ends.a;
            stream& b = ends.b;
            wait_group all;
            for (int i = 0; i < 3; ++i) {
                all.go([&, &to = b] { ok.equal(read(to, long_text).n, long_text); });
                all.go([&, &from = a] { ok.equal(write(from, text), wrote(long_text)); });
            }
            all.wait();
        }
    });
    CHECK(ok.text() == "");
}

TEST_CASE("NET-80 close against a hand-over: both sides say the same", "[net][pipe][stress]") {
    findings ok;
    run_on(4, [&] {
        const std::string text(long_text, 'x');
        two_ends ends;
        for (const bool is_long : {false, true}) {
            const std::size_t size = is_long ? long_text : 8;
            const std::size_t part = size - 3;
            for (int who = 0; who < 5; ++who) {
                duel(
                    stress_scaled(is_long ? 2000 : 20'000), [&] { ends = pipe(); },
                    [&] {
                        background writer(
                            [&] { return write(ends.a, std::string_view(text).substr(0, size)); });
                        // Not more than was written may be read, nor less.
                        const result r = read(ends.b, part);
                        const result w = writer.get();
                        const errc why = who == 4 ? errc::timeout : errc::pipe_closed;
                        ok(!r.ec || r.ec == why);
                        ok(r.n == (r.ec ? 0 : part) || r == end_of_stream);
                        ok.equal(w, failed(why, r.n));
                    },
                    [&] {
                        switch (who) {
                            case 0: ok(!close(ends.a)); break;
                            case 1: ok(!close(ends.b)); break;
                            case 2: ok(!close_write(ends.a)); break;
                            case 3: ok(!close_read(ends.b)); break;
                            default:
                                ok(!write_deadline(ends.a, past));
                                ok(!read_deadline(ends.b, past));
                        }
                    });
            }
        }
    });
    CHECK(ok.text() == "");
}

TEST_CASE("NET-80 close and deadline against a read from a write that waits",
          "[net][pipe][stress]") {
    findings ok;
    run_on(4, [&] {
        const std::string text(long_text, 'x');
        two_ends ends;
        std::optional<blocked> writer;
        for (int who = 0; who < 4; ++who) {
            duel(
                stress_scaled(300),
                [&] {
                    ends = pipe();
                    writer.emplace([&] { return write(ends.a, text); });
                },
                [&] {
                    const std::size_t part = long_text - 3;
                    const result r = read(ends.b, part);
                    const errc why = who == 3 ? errc::timeout : errc::pipe_closed;
                    ok(r.n == part || r.n == 0);
                    ok(!r.ec || (r.ec == why && r.n == 0));
                    ok.equal(writer->get(), failed(why, r.n));
                    writer.reset();
                },
                [&] {
                    switch (who) {
                        case 0: ok(!close(ends.a)); break;
                        case 1: ok(!close(ends.b)); break;
                        case 2: ok(!close_write(ends.a)); break;
                        default:
                            ok(!write_deadline(ends.a, past));
                            ok(!read_deadline(ends.b, past));
                    }
                });
        }
    });
    CHECK(ok.text() == "");
}

TEST_CASE("NET-80 close against half closes of the same end: it is closed", "[net][pipe][stress]") {
    findings ok;
    run_on(4, [&] {
        two_ends ends;
        const std::error_code refused = errc::pipe_closed;
        duel(
            stress_scaled(20'000), [&] { ends = pipe(); },
            [&] {
                for (const std::error_code e : {close_read(ends.a), close_write(ends.a)}) {
                    ok(!e || e == refused);
                }
                wait_until([&] { return deadline(ends.a, never) == refused; });
                ok.equal(read(ends.a, 1), failed(errc::pipe_closed));
                ok.equal(write(ends.a, "x"), failed(errc::pipe_closed));
                ok.equal(read(ends.b, 1), end_of_stream);
            },
            [&] { ok(!close(ends.a)); });
    });
    CHECK(ok.text() == "");
}

TEST_CASE("NET-80 close against writes of no bytes, with a reader there", "[net][pipe][stress]") {
    findings ok;
    run_on(4, [&] {
        two_ends ends;
        duel(
            stress_scaled(20'000), [&] { ends = pipe(); },
            [&] {
                background one([&] { return write(ends.a, ""); });
                background two([&] { return write(ends.a, ""); });
                const result r = read(ends.b, 5);
                ok(r == end_of_stream);
                for (background* w : {&one, &two}) {
                    const result got = w->get();
                    ok(got == wrote(0) || got == failed(errc::pipe_closed));
                }
            },
            [&] { ok(!close(ends.a)); });
    });
    CHECK(ok.text() == "");
}

TEST_CASE("NET-41 deadlines against data: nothing is lost, nothing comes twice",
          "[net][pipe][stress]") {
    const std::string text = everywhere([](findings& ok) {
        const std::uint64_t total = scaled<std::uint64_t>(600'000, 10'000);
        auto ends = pipe();
        stream& a = ends.a;
        stream& b = ends.b;
        std::atomic<bool> over{false};
        wait_group all;
        all.go([&, &s = a] {
            dice roll(1);
            std::vector<std::byte> buffer(100);
            for (std::uint64_t sent = 0; sent < total;) {
                const std::size_t n = std::min<std::uint64_t>(1 + roll(100), total - sent);
                for (std::size_t i = 0; i < n; ++i) buffer[i] = byte_at(sent + i);
                std::error_code ec;
                const std::size_t w = s.write({buffer.data(), n}, ec);
                if (ec) {
                    ok(ec == errc::timeout && w < n);
                    (void)write_deadline(s, never);
                } else {
                    ok.equal(w, n);
                }
                sent += w;
            }
            ok(!close_write(s));
        });
        for (int i = 0; i < 2; ++i) {
            all.go([&, i] {
                dice roll(static_cast<std::uint64_t>(i) + 5);
                while (!over) {
                    const time_point t = roll(3) == 0 ? past
                                         : roll(2) == 0
                                             ? never
                                             : in(std::chrono::nanoseconds(roll(20'000)));
                    ok(!(i == 0 ? write_deadline(a, t) : read_deadline(b, t)));
                    for (std::uint64_t n = roll(8); n > 0; --n) gosched();
                }
            });
        }
        exact_reader in_order;
        dice roll(7);
        std::vector<std::byte> buffer(130);
        for (;;) {
            std::error_code ec;
            const std::size_t n = b.read(std::span(buffer).first(1 + roll(130)), ec);
            if (ec) {
                ok(ec == errc::timeout && n == 0);
                (void)read_deadline(b, never);
                continue;
            }
            if (n == 0) break;
            in_order.take({buffer.data(), n});
        }
        over = true;
        all.wait();
        ok(in_order.good());
        ok.equal(in_order.count(), total);
    });
    CHECK(text == "");
}

TEST_CASE("NET-45 many set deadlines at once: the last one counts", "[net][pipe][stress]") {
    const std::string text = everywhere([](findings& ok) {
        auto ends = pipe();
        stream& a = ends.a;
        stream& b = ends.b;
        const int rounds = stress_scaled(2000, 20);
        for (int n = 0; n < rounds; ++n) {
            wait_group all;
            for (std::uint64_t i = 0; i < 4; ++i) {
                all.go([&, i, n] {
                    dice roll(i + 10 * static_cast<std::uint64_t>(n) + 1);
                    for (int k = 0; k < 20; ++k) {
                        const auto d = std::chrono::nanoseconds(roll(10'000));
                        ok(!deadline(b, roll(4) == 0 ? never : roll(4) == 0 ? in(1h) : in(d)));
                    }
                });
            }
            all.wait();
            // Some earlier firing may still be under way: it has no effect.
            ok(!deadline(b, in(1h)));
            {
                background w([&] { return write(a, "x"); });
                ok.equal(read(b, 1), got("x"));
                ok.equal(w.get(), wrote(1));
            }
            ok(!deadline(b, in(10us)));
            ok.equal(read(b, 1), failed(errc::timeout));
        }
    });
    CHECK(text == "");
}

TEST_CASE("NET-45 two set deadlines at the same moment: the one that is left comes",
          "[net][pipe][stress]") {
    findings ok;
    run_on(4, [&] {
        auto ends = pipe();
        stream& b = ends.b;
        duel(
            stress_scaled(20'000), [&] { ok(!read_deadline(b, never)); },
            [&] {
                ok(!read_deadline(b, in(2us)));
                ok.equal(read(b, 1), failed(errc::timeout));
            },
            [&] { ok(!read_deadline(b, in(30us))); });
    });
    CHECK(ok.text() == "");
}

TEST_CASE("NET-80 ends that go while deadlines come", "[net][pipe][stress]") {
    const std::string text = everywhere([](findings& ok) {
        const int rounds = stress_scaled(10'000, 200);
        dice roll(3);
        for (int n = 0; n < rounds; ++n) {
            auto ends = pipe();
            wait_group all;
            all.go([&, d = std::chrono::nanoseconds(roll(3'000))] {
                const stream mine(std::move(ends.b));
                auto& b = const_cast<stream&>(mine);
                (void)deadline(b, in(d));
                (void)read(b, 1);
            });
            (void)deadline(ends.a, in(std::chrono::nanoseconds(roll(3'000))));
            const result w = write(ends.a, "xy");
            ok(w.ec == errc::timeout || w.ec == errc::pipe_closed);
            all.wait();
        }
    });
    CHECK(text == "");
}

TEST_CASE("NET-80 chaos: everything at once, by goroutines and threads", "[net][pipe][stress]") {
    findings ok;
    run_on(4, [&] {
        const int rounds = stress_scaled(40, 4);
        for (int round = 0; round < rounds; ++round) {
            auto ends = pipe();
            std::array<stream*, 2> end{&ends.a, &ends.b};
            std::array<std::atomic<std::uint64_t>, 2> written{};
            std::array<std::atomic<std::uint64_t>, 2> got_by{};
            const auto body = [&](std::uint64_t seed) {
                dice roll(seed + 100 * static_cast<std::uint64_t>(round) + 1);
                const std::string text(100, 'x');
                for (int i = 0; i < 200; ++i) {
                    const std::size_t mine = roll(2);
                    stream& s = *end[mine];
                    result r;
                    switch (roll(8)) {
                        case 0:
                        case 1:
                        case 2:
                            r = read(s, roll(80));
                            got_by[mine] += r.n;
                            break;
                        case 3:
                        case 4:
                        case 5:
                            r = write(s, std::string_view(text).substr(0, roll(100)));
                            written[mine] += r.n;
                            break;
                        case 6:
                            (void)deadline(s, in(std::chrono::nanoseconds(roll(30'000))));
                            break;
                        default: gosched();
                    }
                    ok(!r.ec || r.ec == errc::timeout || r.ec == errc::pipe_closed);
                }
            };
            wait_group all;
            std::atomic<bool> over{false};
            for (std::uint64_t i = 0; i < 6; ++i) all.go([&, i] { body(i); });
            std::thread thread([&] { body(77); });
            // Nobody is left alone for ever: each wait ends at some deadline.
            wait_group waker;
            waker.go([&] {
                while (!over) {
                    for (stream* s : end) (void)deadline(*s, in(20us));
                    gosched();
                }
            });
            all.wait();
            blocking([&] { thread.join(); });
            over = true;
            waker.wait();
            ok.equal(got_by[0].load(), written[1].load());
            ok.equal(got_by[1].load(), written[0].load());
        }
    });
    CHECK(ok.text() == "");
}

}  // namespace vole::test
