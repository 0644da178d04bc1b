// Dialling. See <vole/net/dial.hpp>.
//
// Everything that can end a dial is a context: the caller's, with the earliest deadline; below it one for each address, with
// that one's share of the time; and one for each of two families that are tried at once.
#include <vole/net/dial.hpp>

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include <netinet/in.h>

#include <vole/net/resolve.hpp>
#include <vole/panic.hpp>
#include <vole/runtime.hpp>
#include <vole/select.hpp>
#include <vole/sync.hpp>

#include "net/src/fresh_fd.hpp"
#include "net/src/share.hpp"
#include "net/src/socket.hpp"

namespace vole::inline v0 {

using namespace detail;

namespace {

using namespace net;
using namespace std::chrono_literals;
using std::error_code;

constexpr auto default_fallback_delay = 300ms;

error_code ended(const context& ctx) {
    return ctx.err() == context_errc::deadline_exceeded ? errc::timeout : errc::canceled;
}

bool is_any(const endpoint& e) noexcept {
    return std::ranges::all_of(e.address(), [](std::uint8_t byte) { return byte == 0; });
}

// To no address in particular means to this machine, in the family of the address that one comes from.
endpoint reachable(const endpoint& e, const char* network, const endpoint& from) {
    if (e.family() == family::local || !is_any(e)) return e;
    const bool six = std::string_view(network).ends_with('6') || from.family() == family::ipv6;
    return six ? endpoint::ipv6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, e.port())
               : endpoint::ipv4({127, 0, 0, 1}, e.port());
}

int af_of(const endpoint& e) noexcept {
    switch (e.family()) {
        case family::ipv4: return AF_INET;
        case family::ipv6: return AF_INET6;
        default: return AF_UNIX;
    }
}

// What is dialled, and how.
struct target {
    const dialer& how;
    const char* network;
    int type;
};

// ---- one address ------------------------------------------------------------------------------

socket* dial_once(const target& t, const endpoint& to, const context& ctx, error_code& ec) {
    const int af = af_of(to);
    const bool tcp = af != AF_UNIX && t.type == SOCK_STREAM;
    fresh_fd fd = tcp ? fresh_fd(af, t.how.multipath, ec) : fresh_fd(af, t.type, ec);
    if (ec) return nullptr;
    if (tcp) set_tcp_defaults(fd.get(), t.how.keep_alive);
    fd.let_user(t.how.control, ec);
    if (!t.how.local.empty()) fd.bind(af, t.how.local, ec);
    socket_address address;
    if (!ec && !to_sockaddr(to, af, address)) ec = errc::invalid_address;
    const bool at_once = !ec && begin_connect(fd.get(), address, ec);
    socket* s = fd.become_socket(af, t.type, t.network, ec);
    if (s == nullptr) return nullptr;
    socket_owner mine{s};
    if (!at_once) await_connected(s, ctx, ec);
    if (ec) return nullptr;
    s->connected = true;
    s->local = local_endpoint_of(s->fd);
    s->remote = to;
    return mine.give();
}

// The kernel picks a port for each try; it may be the very one that is dialled, where nobody listens (NET-66).
bool has_dialled_itself(const socket* s, const target& t) noexcept {
    return s->family != AF_UNIX && t.how.local.empty() && s->local == s->remote;
}

socket* dial_address(const target& t, const endpoint& address, const context& ctx, error_code& ec) {
    constexpr int tries = 3;
    const endpoint to = reachable(address, t.network, t.how.local);
    socket* s = nullptr;
    for (int i = 0; i < tries; ++i) {
        if (s != nullptr) socket_destroy(s);
        s = dial_once(t, to, ctx, ec);
        const bool odd = s != nullptr
                             ? has_dialled_itself(s, t)
                             : ec == std::errc::address_not_available && t.how.local.port() == 0;
        if (!odd) break;
    }
    return s;
}

// ---- several ----------------------------------------------------------------------------------

// The time for the next of n addresses; none: no limit.
std::optional<clock::duration> share_of(const context& ctx, std::size_t n) {
    const auto until = ctx.deadline();
    if (!until) return std::nullopt;
    return detail::share_of(*until - clock::now(), n);
}

socket* dial_serial(const target& t, std::span<const endpoint> all, const context& ctx,
                    error_code& ec) {
    error_code first;
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (ctx.err()) {
            if (!first) first = ended(ctx);
            break;
        }
        const auto share = share_of(ctx, all.size() - i);
        context mine = ctx;
        cancel_func cancel;
        if (share) std::tie(mine, cancel) = with_timeout(ctx, *share);
        socket* s = dial_address(t, all[i], mine, ec);
        cancel();
        if (s != nullptr) return s;
        if (ec == errc::timeout && ctx.err()) ec = ended(ctx);
        if (!first) first = ec;
    }
    ec = first ? first : make_error_code(errc::missing_address);
    return nullptr;
}

struct outcome {
    socket* s = nullptr;
    error_code ec;
    std::exception_ptr thrown;  // by the user's control function
    bool primary = false;
};

// Two families that are tried at once. Whoever is still trying when it ends is cancelled, and waited for: it lets go of its
// socket within moments.
class race {
  public:
    race(const target& t, const context& ctx) : t_(t) {
        std::tie(ctx_, cancel_) = with_cancel(ctx);
    }
    ~race() {
        cancel_();
        for (; running_ > 0; --running_) {
            if (socket* s = results_.recv()->s; s != nullptr) socket_destroy(s);
        }
    }
    race(const race&) = delete;
    race& operator=(const race&) = delete;

    void start(std::span<const endpoint> addresses, bool primary) {
        go([this, addresses, primary] {
            outcome o;
            o.primary = primary;
            try {
                o.s = dial_serial(t_, addresses, ctx_, o.ec);
            } catch (...) {
                o.thrown = std::current_exception();
            }
            results_.send(std::move(o));
        });
        ++running_;
    }

    // Nothing: the time is over first.
    std::optional<outcome> next(std::optional<clock::duration> within) {
        std::optional<outcome> got;
        const auto take = [&](std::optional<outcome> o) {
            got = std::move(o);
            --running_;
        };
        if (within) {
            const timer limit(*within);
            select(on_recv(results_, take), on_recv(limit.c(), [](auto&&) {}));
        } else {
            take(results_.recv());
        }
        return got;
    }
    bool is_running() const noexcept { return running_ > 0; }

  private:
    const target& t_;
    context ctx_;
    cancel_func cancel_;
    chan<outcome> results_ = make_chan<outcome>(2);  // nobody waits to say how it went
    int running_ = 0;
};

socket* dial_both(const target& t, std::span<const endpoint> primaries,
                  std::span<const endpoint> fallbacks, const context& ctx, error_code& ec) {
    race r(t, ctx);
    r.start(primaries, true);
    bool both = false;
    const clock::duration delay =
        t.how.fallback_delay == 0ns ? default_fallback_delay : t.how.fallback_delay;
    while (r.is_running()) {
        const auto o = r.next(both ? std::nullopt : std::optional(delay));
        if (o && o->thrown) std::rethrow_exception(o->thrown);
        if (o && o->s != nullptr) {
            ec.clear();
            return o->s;
        }
        if (o && o->primary) ec = o->ec;
        if (!std::exchange(both, true)) r.start(fallbacks, false);
    }
    return nullptr;
}

socket* dial_all(const target& t, std::vector<endpoint> all, const context& ctx, error_code& ec) {
    if (all.empty()) {
        ec = errc::missing_address;
        return nullptr;
    }
    const family first = all.front().family();
    const auto others = std::stable_partition(
        all.begin(), all.end(), [first](const endpoint& e) { return e.family() == first; });
    const std::span primaries(all.begin(), others);
    const bool at_once = std::string_view(t.network) == "tcp" && t.how.fallback_delay >= 0ns;
    if (others != all.end() && at_once) {
        return dial_both(t, primaries, std::span(others, all.end()), ctx, ec);
    }
    return dial_serial(t, all, ctx, ec);
}

// ---- the whole of it --------------------------------------------------------------------------

// The caller's context, with what the dialer says of time.
std::pair<context, cancel_func> limited(const dialer& how, const context& ctx) {
    clock::time_point until = how.deadline;
    if (how.timeout != 0ns) {
        const auto now = clock::now();
        // Too far to be said: no limit.
        const auto end =
            how.timeout > clock::time_point::max() - now ? clock::time_point{} : now + how.timeout;
        if (until == clock::time_point{} || (end != clock::time_point{} && end < until))
            until = end;
    }
    if (until == clock::time_point{}) return {ctx, cancel_func()};
    return with_deadline(ctx, until);
}

bool matches(const endpoint& local, const endpoint& e) noexcept {
    return local.empty() || (local.family() == family::local) == (e.family() == family::local);
}

socket* dial_name(const dialer& how, std::string_view network, std::string_view address,
                  const context& ctx, error_code& ec) {
    if (!ctx) throw_nil_context();
    const bool stream = network.starts_with("tcp") || network == "unix";
    const target t{how, network_literal(network),
                   stream                    ? SOCK_STREAM
                   : network == "unixpacket" ? SOCK_SEQPACKET
                                             : SOCK_DGRAM};
    auto [mine, cancel] = limited(how, ctx);
    const defer done{[&end = cancel] { end(); }};
    if (mine.err()) {
        ec = ended(mine);
        return nullptr;
    }
    std::vector<endpoint> all = resolve(network, address, mine, ec);
    if (ec) return nullptr;
    // Those that the local address cannot reach are left out.
    if (!all.empty() && !matches(how.local, all.front())) {
        ec = errc::address_mismatch;
        return nullptr;
    }
    if (!how.local.empty() && how.local.family() != family::local && !is_any(how.local)) {
        std::erase_if(
            all, [&](const endpoint& e) { return e.family() != how.local.family() && !is_any(e); });
        if (all.empty()) {
            ec = errc::address_mismatch;
            return nullptr;
        }
    }
    return dial_all(t, std::move(all), mine, ec);
}

bool is_stream_network(std::string_view network) noexcept {
    return network == "tcp" || network == "tcp4" || network == "tcp6" || network == "unix" ||
           network == "unixpacket";
}
bool is_packet_network(std::string_view network) noexcept {
    return network == "udp" || network == "udp4" || network == "udp6" || network == "unixgram";
}

// Of one endpoint that is known.
socket* dial_endpoint(const dialer& how, const endpoint& to, const char* network, int type,
                      error_code& ec) {
    if (!matches(how.local, to)) {
        ec = errc::address_mismatch;
        return nullptr;
    }
    auto [mine, cancel] = limited(how, context::background());
    const defer done{[&end = cancel] { end(); }};
    return dial_serial({how, network, type}, {&to, 1}, mine, ec);
}

[[noreturn]] void throw_dial_error(error_code ec, std::string_view network, const dialer& how,
                                   std::string_view address) {
    throw_op_error(ec, "dial", std::string(network).c_str(), how.local.to_string(), address);
}

}  // namespace

namespace net {

// ---- <vole/net/dial.hpp> ----------------------------------------------------------------------

conn dialer::dial(std::string_view network, std::string_view address, const context& ctx,
                  std::error_code& ec) const {
    if (!is_stream_network(network)) {
        ec = errc::unknown_network;
        return {};
    }
    return conn(dial_name(*this, network, address, ctx, ec));
}
conn dialer::dial(std::string_view network, std::string_view address, const context& ctx) const {
    std::error_code ec;
    conn c = dial(network, address, ctx, ec);
    if (ec) throw_dial_error(ec, network, *this, address);
    return c;
}
conn dialer::dial(std::string_view network, std::string_view address, std::error_code& ec) const {
    return dial(network, address, context::background(), ec);
}
conn dialer::dial(std::string_view network, std::string_view address) const {
    return dial(network, address, context::background());
}

conn dial(std::string_view network, std::string_view address) {
    return dialer{}.dial(network, address);
}
conn dial(std::string_view network, std::string_view address, std::error_code& ec) {
    return dialer{}.dial(network, address, ec);
}
conn dial(std::string_view network, std::string_view address, const context& ctx) {
    return dialer{}.dial(network, address, ctx);
}
conn dial(std::string_view network, std::string_view address, const context& ctx,
          std::error_code& ec) {
    return dialer{}.dial(network, address, ctx, ec);
}

packet_conn dial_packet(std::string_view network, std::string_view address, std::error_code& ec) {
    if (!is_packet_network(network)) {
        ec = errc::unknown_network;
        return {};
    }
    return packet_conn(dial_name({}, network, address, context::background(), ec));
}
packet_conn dial_packet(std::string_view network, std::string_view address) {
    std::error_code ec;
    packet_conn c = dial_packet(network, address, ec);
    if (ec) throw_dial_error(ec, network, {}, address);
    return c;
}

tcp_conn dial_tcp(const endpoint& to, const dialer& how, std::error_code& ec) {
    if (to.address().empty()) {
        ec = errc::invalid_address;
        return {};
    }
    return tcp_conn(dial_endpoint(how, to, "tcp", SOCK_STREAM, ec));
}
tcp_conn dial_tcp(const endpoint& to, const dialer& how) {
    std::error_code ec;
    tcp_conn c = dial_tcp(to, how, ec);
    if (ec) throw_dial_error(ec, "tcp", how, to.to_string());
    return c;
}

unix_conn dial_unix(const endpoint& to, const dialer& how, std::error_code& ec) {
    if (to.family() != family::local) {
        ec = errc::invalid_address;
        return {};
    }
    return unix_conn(dial_endpoint(how, to, "unix", SOCK_STREAM, ec));
}
unix_conn dial_unix(const endpoint& to, const dialer& how) {
    std::error_code ec;
    unix_conn c = dial_unix(to, how, ec);
    if (ec) throw_dial_error(ec, "unix", how, to.to_string());
    return c;
}

udp_conn dial_udp(const endpoint& to, const endpoint& from, std::error_code& ec) {
    if (to.address().empty()) {
        ec = errc::invalid_address;
        return {};
    }
    dialer how;
    how.local = from;
    return udp_conn(dial_endpoint(how, to, "udp", SOCK_DGRAM, ec));
}
udp_conn dial_udp(const endpoint& to, const endpoint& from) {
    std::error_code ec;
    udp_conn c = dial_udp(to, from, ec);
    if (ec) throw_op_error(ec, "dial", "udp", from.to_string(), to.to_string());
    return c;
}

unix_packet_conn dial_unixgram(const endpoint& to, const endpoint& from, std::error_code& ec) {
    if (to.family() != family::local) {
        ec = errc::invalid_address;
        return {};
    }
    dialer how;
    how.local = from;
    return unix_packet_conn(dial_endpoint(how, to, "unixgram", SOCK_DGRAM, ec));
}
unix_packet_conn dial_unixgram(const endpoint& to, const endpoint& from) {
    std::error_code ec;
    unix_packet_conn c = dial_unixgram(to, from, ec);
    if (ec) throw_op_error(ec, "dial", "unixgram", from.to_string(), to.to_string());
    return c;
}

}  // namespace net

}  // namespace vole
