// Copying between connections. Cites NET-37; files are in net_send_file.cpp.
//
// Between sockets it is done by splice(2), else by way of a buffer. Nobody may see a difference, so the cases here run over all
// kinds of ends.
#include "test/net/copy_support.hpp"

namespace vole::test {

using namespace copies;

namespace {

// f(ok, from, to) for every pair of kinds.
template <class F>
std::string all_pairs(F f) {
    return everywhere([&](findings& ok) {
        for (const kind& from : kinds) {
            for (const kind& to : kinds) {
                findings mine;
                f(mine, from, to);
                ok.equal(mine.text(), "", {from.name, 0});
                ok(mine.text().empty(), to.name);
            }
        }
    });
}

copied copying(net::conn& to, net::conn& from, std::uint64_t limit = net::copy_all) {
    copied c;
    c.n = net::copy(to, from, limit, c.ec);
    c.ec = seen({0, c.ec}).ec;
    return c;
}
}  // namespace

TEST_CASE("NET-37 all of it, whatever the ends are", "[net][copy]") {
    const leaves_nothing check;
    const std::string text =
        all_pairs([](findings& ok, const kind& from_kind, const kind& to_kind) {
            line from = from_kind.make();
            line to = to_kind.make();
            const std::uint64_t n = scaled(some * 3, some);
            reader r(to.out, 5);
            background w([&] {
                std::error_code ec;
                ok.equal(write_all(from.in, 5, n, ec, 70'001), n);
                from.in.close();
                return result{};
            });
            const copied c = copying(to.in, from.out);
            ok.equal(c.n, n);
            ok.equal(c.ec.message(), std::error_code().message());
            // Neither is closed.
            ok.equal(read_of(from.out, 1), end_of_stream);
            to.in.close();
            ok.equal(r.get().right, n);
            ok(!r.get().wrong);
        });
    CHECK(text == "");
    CHECK(check.text() == "");
}

TEST_CASE("NET-37 no more than the limit is read", "[net][copy]") {
    const std::string text =
        all_pairs([](findings& ok, const kind& from_kind, const kind& to_kind) {
            line from = from_kind.make();
            line to = to_kind.make();
            reader r(to.out, 6);
            background w([&] {
                std::error_code ec;
                write_all(from.in, 6, some, ec);
                from.in.close();
                return result{};
            });
            std::uint64_t sum = 0;
            for (const std::uint64_t limit : {0U, 1U, 2U, 4095U, 4096U, 4097U, 65'536U, 100'001U}) {
                const copied c = copying(to.in, from.out, limit);
                ok.equal(c.n, limit);
                ok(!c.ec);
                sum += limit;
            }
            // What was not copied is still there.
            const copied rest = copying(to.in, from.out, some);
            ok.equal(rest.n, some - sum);
            ok(!rest.ec);
            to.in.close();
            ok.equal(r.get().right, some);
        });
    CHECK(text == "");
}

TEST_CASE("NET-37 deadlines of the source end it, and say how much has gone", "[net][copy]") {
    const std::string text =
        all_pairs([](findings& ok, const kind& from_kind, const kind& to_kind) {
            line from = from_kind.make();
            line to = to_kind.make();
            reader r(to.out, 7);
            background w([&] {
                std::error_code ec;
                write_all(from.in, 7, 5000, ec);
                return result{};
            });
            from.out.set_read_deadline(in(20ms));
            const copied c = copying(to.in, from.out);
            ok(c.ec == errc::timeout);
            // Nearly always all of it.
            const copied at_once = copying(to.in, from.out);
            ok.equal(at_once.n, 0U);
            ok(at_once.ec == errc::timeout);
            from.out.set_read_deadline(never);
            w.get();
            from.in.close();
            const copied rest = copying(to.in, from.out);
            ok.equal(c.n + rest.n, 5000U);
            to.in.close();
            ok.equal(r.get().right, 5000U);
        });
    CHECK(text == "");
}

TEST_CASE("NET-37 deadlines of the target end it; what was counted arrives, and no more",
          "[net][copy]") {
    const std::string text =
        all_pairs([](findings& ok, const kind& from_kind, const kind& to_kind) {
            line from = from_kind.make();
            line to = to_kind.make();
            // Never-ending.
            wait_group writer;
            writer.go([&] {
                std::error_code ec;
                write_all(from.in, 8, std::uint64_t{1} << 40, ec);
            });
            to.in.set_write_deadline(in(20ms));
            const copied c = copying(to.in, from.out);
            ok(c.ec == errc::timeout);
            ok(to_kind.buffered || c.n == 0);
            reader r(to.out, 8);
            to.in.close();
            ok.equal(r.get().right, c.n);
            ok(!r.get().wrong);
            from.out.close();
            from.in.close();
            writer.wait();
        });
    CHECK(text == "");
}

TEST_CASE("NET-37 closing either end in the middle ends it", "[net][copy]") {
    const std::string text =
        all_pairs([](findings& ok, const kind& from_kind, const kind& to_kind) {
            for (const int which : {0, 1, 2, 3}) {
                line from = from_kind.make();
                line to = to_kind.make();
                wait_group writer;
                writer.go([&] {
                    std::error_code ec;
                    if (which >= 2) write_all(from.in, 9, std::uint64_t{1} << 40, ec);
                });
                background c([&] {
                    const copied it = copying(to.in, from.out);
                    return result{static_cast<std::size_t>(it.n), it.ec};
                });
                c.parked();
                std::error_code ignored;
                switch (which) {
                    case 0: from.out.close(); break;  // it waits to read
                    case 1: from.in.close(); break;
                    case 2: to.in.close(); break;  // it waits to write, or is about to
                    default: to.out.close();
                }
                const result r = c.get();
                const bool memory = std::string_view(to_kind.name) == "pipe in memory";
                const bool from_memory = std::string_view(from_kind.name) == "pipe in memory";
                switch (which) {
                    case 0:
                        ok.equal(r, failed(from_memory ? errc::pipe_closed : errc::closed));
                        break;
                    case 1: ok.equal(r, end_of_stream); break;
                    case 2: ok(r.ec == (memory ? errc::pipe_closed : errc::closed)); break;
                    default:
                        ok(r.ec == std::errc::broken_pipe || r.ec == std::errc::connection_reset,
                           r.ec.message());
                }
                from.out.close(ignored);
                from.in.close(ignored);
                writer.wait();
            }
        });
    CHECK(text == "");
}

TEST_CASE("NET-37 a source that is reset is an error, behind what came before", "[net][copy]") {
    const std::string text = everywhere([](findings& ok) {
        for (const kind& to_kind : kinds) {
            auto [a, b] = tcp_ends();
            line to = to_kind.make();
            reader r(to.out, 10);
            background c([&, &b = b] {
                const copied it = copying(to.in, b);
                return result{static_cast<std::size_t>(it.n), it.ec};
            });
            c.parked();
            reset(a);
            ok.equal(c.get(), failed_with(std::errc::connection_reset), {to_kind.name, 0});
            to.in.close();
            ok.equal(r.get().right, 0U);
        }
        // Those that are no connections any more, or never were one.
        auto [a, b] = tcp_ends();
        net::conn none;
        ok(copying(a, none).ec == std::errc::invalid_argument);
        a.close();
        write_of(b, "x");
        auto [c, d] = tcp_ends();
        ok(copying(c, a).ec == errc::closed);
        write_of(d, "x");
        ok(copying(a, c).ec == errc::closed);
        ok.throws<net::op_error>("copy tcp " + a.local_endpoint().to_string() + "->" +
                                     a.remote_endpoint().to_string() +
                                     ": use of closed network connection",
                                 [&, &a = a, &c = c, &d = d] {
                                     write_of(d, "x");
                                     net::copy(a, c);
                                 });
    });
    CHECK(text == "");
}

TEST_CASE("NET-37 both directions at once, as proxies do", "[net][copy]") {
    const leaves_nothing check;
    for (const int procs : {1, 2, 4}) {
        findings ok;
        run_on(procs, [&] {
            for (const kind& k : kinds) {
                if (std::string_view(k.name) == "pipe of the system") continue;
                const std::uint64_t n = scaled(some * 4, some);
                line client = k.make();
                line server = tcp_line();
                wait_group all;
                const auto go_on = [&](net::conn& to, net::conn& from) {
                    all.go([&] {
                        const copied c = copying(to, from);
                        ok.equal(c.n, n);
                        ok(!c.ec);
                        to.close_write();
                    });
                };
                go_on(server.in, client.out);
                go_on(client.out, server.in);
                reader there(server.out, 11);
                reader back(client.in, 12);
                all.go([&] {
                    std::error_code ec;
                    ok.equal(write_all(client.in, 11, n, ec), n);
                    client.in.close_write();
                });
                all.go([&] {
                    std::error_code ec;
                    ok.equal(write_all(server.out, 12, n, ec), n);
                    server.out.close_write();
                });
                all.wait();
                ok.equal(there.get().right, n);
                ok.equal(back.get().right, n);
            }
        });
        INFO("on " << procs);
        CHECK(ok.text() == "");
    }
    CHECK(check.text() == "");
}

}  // namespace vole::test
