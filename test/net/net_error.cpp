// Errors: their texts, what they compare equal to, what is a timeout or temporary, and the shape of what is thrown.
// Cites NET-42 and NET-81.
#include "test/net/net_support.hpp"

#include "net/src/io_object.hpp"

#include <cerrno>
#include <future>
#include <stdexcept>
#include <type_traits>

namespace vole::test {

namespace {

constexpr int first = 1;
constexpr int last = static_cast<int>(errc::write_to_connected);

std::error_code of(int system_error) { return {system_error, std::system_category()}; }

std::string what(std::error_code cause, std::string op, std::string network, std::string source,
                 std::string address) {
    return net::op_error(cause, std::move(op), std::move(network), std::move(source),
                         std::move(address))
        .what();
}

struct object : detail::io_object {
    object() : io_object(detail::io_kind::socket) { network = "tcp"; }
};

/// What f throws.
template <class F>
net::op_error thrown_by(F f) {
    try {
        f();
    } catch (const net::op_error& e) {
        return e;
    }
    throw std::logic_error("nothing was thrown");
}

}  // namespace

TEST_CASE("NET-81 each error has its text, in a category of its own", "[net][error]") {
    CHECK(std::string(net::net_category().name()) == "vole.net");
    const auto text = [](errc e) { return make_error_code(e).message(); };
    CHECK(text(errc::closed) == "use of closed network connection");
    CHECK(text(errc::timeout) == "i/o timeout");
    CHECK(text(errc::canceled) == "operation was canceled");
    CHECK(text(errc::pipe_closed) == "io: read/write on closed pipe");
    CHECK(text(errc::no_deadline) == "file type does not support deadline");
    CHECK(text(errc::not_pollable) == "not pollable");
    CHECK(text(errc::unexpected_eof) == "unexpected EOF");
    CHECK(text(errc::unknown_network) == "unknown network");
    CHECK(text(errc::missing_address) == "missing address");
    CHECK(text(errc::invalid_address) == "invalid address");
    CHECK(text(errc::missing_port) == "missing port in address");
    CHECK(text(errc::invalid_port) == "invalid port");
    CHECK(text(errc::unknown_port) == "unknown port");
    CHECK(text(errc::address_mismatch) == "mismatched local address type");
    CHECK(text(errc::no_such_host) == "no such host");
    CHECK(text(errc::name_server_failure) == "server misbehaving");
    CHECK(text(errc::write_to_connected) == "use of write_to with pre-connected connection");
    CHECK(text(static_cast<errc>(last + 1)) == "unknown network error");
    for (int e = first; e <= last; ++e) {
        INFO(e);
        CHECK(text(static_cast<errc>(e)) != "unknown network error");
    }
}

TEST_CASE("NET-81 an error is made from its name, and compares with it and with std::errc",
          "[net][error]") {
    const std::error_code e = errc::timeout;
    CHECK(e.category() == net::net_category());
    CHECK(e.value() == static_cast<int>(errc::timeout));
    CHECK(e == errc::timeout);
    CHECK(e != errc::canceled);
    CHECK(e == std::errc::timed_out);
    CHECK(std::error_code(errc::canceled) == std::errc::operation_canceled);
    CHECK(std::error_code(errc::pipe_closed) == std::errc::broken_pipe);
    for (const errc invalid : {errc::unknown_network, errc::missing_address, errc::invalid_address,
                               errc::missing_port, errc::invalid_port, errc::unknown_port,
                               errc::address_mismatch, errc::write_to_connected}) {
        INFO(static_cast<int>(invalid));
        CHECK(std::error_code(invalid) == std::errc::invalid_argument);
    }
    for (const errc own : {errc::closed, errc::no_deadline, errc::not_pollable,
                           errc::unexpected_eof, errc::no_such_host, errc::name_server_failure}) {
        INFO(static_cast<int>(own));
        CHECK(std::error_code(own).default_error_condition().category() == net::net_category());
    }
}

TEST_CASE("NET-42 a timeout is one, and temporary; of the system's the same are", "[net][error]") {
    CHECK(net::is_timeout(errc::timeout));
    CHECK(net::is_timeout(of(ETIMEDOUT)));
    CHECK(net::is_timeout(std::make_error_code(std::errc::timed_out)));
    for (const int e : {ETIMEDOUT, ECONNRESET, ECONNABORTED, EMFILE, ENFILE, EINTR, EAGAIN}) {
        INFO(e);
        CHECK(net::is_temporary(of(e)));
        CHECK(net::is_timeout(of(e)) == (e == ETIMEDOUT));
    }
    for (const int e : {ECONNREFUSED, EPIPE, EBADF, EINVAL}) {
        INFO(e);
        CHECK_FALSE(net::is_temporary(of(e)));
        CHECK_FALSE(net::is_timeout(of(e)));
    }
    for (int i = first; i <= last; ++i) {
        INFO(i);
        const auto e = static_cast<errc>(i);
        CHECK(net::is_timeout(e) == (e == errc::timeout));
        CHECK(net::is_temporary(e) == (e == errc::timeout || e == errc::name_server_failure));
    }
    CHECK_FALSE(net::is_timeout({}));
    CHECK_FALSE(net::is_temporary({}));
    // The number alone says nothing.
    CHECK_FALSE(net::is_temporary({EMFILE, std::iostream_category()}));
}

TEST_CASE("NET-81 what() is \"op net source->addr: cause\", without what is not known",
          "[net][error]") {
    const std::string a = "127.0.0.1:5000";
    const std::string b = "127.0.0.1:80";
    CHECK(what(of(ECONNRESET), "read", "tcp", a, b) ==
          "read tcp 127.0.0.1:5000->127.0.0.1:80: connection reset by peer");
    CHECK(what(of(ECONNREFUSED), "dial", "tcp", "", "127.0.0.1:1") ==
          "dial tcp 127.0.0.1:1: connection refused");
    CHECK(what(errc::closed, "accept", "tcp", "", b) ==
          "accept tcp 127.0.0.1:80: use of closed network connection");
    CHECK(what(errc::unknown_network, "listen", "foo", "", "") == "listen foo: unknown network");
    CHECK(what(errc::timeout, "read", "udp", a, "") == "read udp 127.0.0.1:5000: i/o timeout");
    CHECK(what(errc::pipe_closed, "read", "pipe", "", "") ==
          "read pipe: io: read/write on closed pipe");
    CHECK(what(errc::missing_port, "", "", "", "x") == "x: missing port in address");
    CHECK(what(errc::timeout, "", "", a, b) == a + "->" + b + ": i/o timeout");
    CHECK(what(errc::timeout, "", "", "", "") == "i/o timeout");
}

TEST_CASE("NET-81 the system's texts begin with a small letter", "[net][error]") {
    CHECK(what(of(ETIMEDOUT), "dial", "", "", "") == "dial: connection timed out");
    CHECK(what(std::make_error_code(std::errc::address_in_use), "listen", "tcp", "", "") ==
          "listen tcp: address already in use");
    // Those that begin with a name of capitals, or with none at all, stay.
    CHECK(what(of(EDOTDOT), "x", "", "", "") == "x: RFS specific error");
    // Others' messages are theirs.
    CHECK(what(std::make_error_code(std::future_errc::no_state), "x", "", "", "") ==
          "x: " + std::make_error_code(std::future_errc::no_state).message());
}

TEST_CASE("NET-81 an op_error has its parts, and the cause as its code", "[net][error]") {
    const net::op_error e(of(ECONNRESET), "read", "tcp", "a:1", "b:2");
    const net::op_error copy = e;
    CHECK(copy.op() == "read");
    CHECK(copy.network() == "tcp");
    CHECK(copy.source() == "a:1");
    CHECK(copy.address() == "b:2");
    CHECK(copy.code() == std::errc::connection_reset);
    CHECK(copy.temporary());
    CHECK_FALSE(copy.timeout());
    CHECK(std::string(copy.what()) == e.what());
    const net::op_error late(errc::timeout, "read", "tcp", "", "");
    CHECK(late.timeout());
    CHECK(late.temporary());
    static_assert(std::is_base_of_v<std::system_error, net::op_error>);
    static_assert(std::is_nothrow_destructible_v<net::op_error>);
}

TEST_CASE("NET-81 what is thrown for an object names its ends", "[net][error]") {
    object it;
    const auto thrown = [&] {
        return thrown_by([&] { detail::throw_op_error(of(EPIPE), "write", &it); });
    };
    CHECK(std::string(thrown().what()) == "write tcp: broken pipe");

    it.local = net::endpoint::parse("127.0.0.1:5000");
    CHECK(std::string(thrown().what()) == "write tcp 127.0.0.1:5000: broken pipe");
    CHECK(thrown().address() == "127.0.0.1:5000");
    CHECK(thrown().source().empty());

    it.remote = net::endpoint::parse("[::1]:80");
    CHECK(std::string(thrown().what()) == "write tcp 127.0.0.1:5000->[::1]:80: broken pipe");
    CHECK(thrown().address() == "[::1]:80");
    CHECK(thrown().source() == "127.0.0.1:5000");
    CHECK(thrown().code() == of(EPIPE));

    const auto empty = thrown_by([] {
        detail::throw_op_error(std::make_error_code(std::errc::invalid_argument), "read", nullptr);
    });
    CHECK(std::string(empty.what()) == "read: invalid argument");
    const auto parts =
        thrown_by([] { detail::throw_op_error(errc::unknown_network, "dial", "foo", "", "x:1"); });
    CHECK(std::string(parts.what()) == "dial foo x:1: unknown network");
}

TEST_CASE("NET-81 throwing from goroutines and threads", "[net][error]") {
    const std::string text = everywhere([](findings& ok) {
        wait_group all;
        for (int i = 0; i < 8; ++i) {
            all.go([&] {
                for (int n = 0; n < scaled(50); ++n) {
                    ok.throws<net::op_error>("dial foo x:1: unknown network", [] {
                        detail::throw_op_error(errc::unknown_network, "dial", "foo", "", "x:1");
                    });
                }
            });
        }
        all.wait();
    });
    CHECK(text == "");
}

}  // namespace vole::test
