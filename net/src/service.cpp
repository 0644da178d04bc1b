// Ports: numbers, and names of services.
//
// Names are the system's business (getservbyname_r: /etc/services, or where else the machine keeps them), asked as the
// resolver is: inside blocking() and on the thread's own stack, since a plug-in may be behind it. There are fewer and
// smaller answers than for hosts, so nobody shares and nothing is kept. A machine may come without any file of services,
// as small containers do: those few that everybody uses are known here.
//
// Stack: any; the thread's own for the system. No locks.
#include <vole/net/resolve.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <new>
#include <optional>

#include <arpa/inet.h>
#include <netdb.h>

#include <vole/runtime.hpp>

#include "net/src/io_object.hpp"

namespace vole::inline v0::net {
namespace {

/// "tcp" or "udp"; null: another network.
const char* protocol_of(std::string_view network) {
    if (network.ends_with('4') || network.ends_with('6')) network.remove_suffix(1);
    return network == "tcp" ? "tcp" : network == "udp" ? "udp" : nullptr;
}

/// Whether it is a number, perhaps with a sign, and not a name. `port`: its value; nullopt: out of range.
bool read_number(std::string_view text, std::optional<std::uint16_t>& port) {
    const bool negative = text.starts_with('-');
    if (negative || text.starts_with('+')) text.remove_prefix(1);
    if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos)
        return false;
    std::uint16_t value = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc{} && (!negative || value == 0)) port = value;
    return true;
}

std::optional<std::uint16_t> well_known(std::string_view protocol, std::string_view service) {
    struct known {
        std::string_view protocol, service;
        std::uint16_t port;
    };
    static constexpr known all[] = {
        {"tcp", "domain", 53}, {"udp", "domain", 53},       {"tcp", "ftp", 21},
        {"tcp", "ftps", 990},  {"tcp", "http", 80},         {"tcp", "https", 443},
        {"udp", "https", 443}, {"tcp", "imap2", 143},       {"tcp", "imaps", 993},
        {"udp", "ntp", 123},   {"tcp", "pop3", 110},        {"tcp", "pop3s", 995},
        {"tcp", "smtp", 25},   {"tcp", "submissions", 465}, {"tcp", "ssh", 22},
        {"tcp", "telnet", 23},
    };
    for (const known& one : all) {
        if (one.protocol == protocol && one.service == service) return one.port;
    }
    return std::nullopt;
}

/// Asks the system. nullopt: not known there.
std::optional<std::uint16_t> ask(const std::string& service, const char* protocol) {
    return blocking([&] {
        return on_system_stack([&]() -> std::optional<std::uint16_t> {
            std::vector<char> names(1024);  // for the entry's other names
            for (;;) {
                servent entry{};
                servent* found = nullptr;
                const int e = ::getservbyname_r(service.c_str(), protocol, &entry, names.data(),
                                                names.size(), &found);
                if (found != nullptr) return ntohs(static_cast<std::uint16_t>(found->s_port));
                if (e != ERANGE) return std::nullopt;
                names.resize(2 * names.size());
            }
        });
    });
}

std::optional<std::uint16_t> find_service(std::string_view name, const char* protocol) {
    if (name.find('\0') != std::string_view::npos || name.size() > 255) return std::nullopt;
    const std::string given(name);
    // As it is, then in small letters: names are written so, but there are some with capitals.
    std::string small(name);
    std::ranges::transform(small, small.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    auto port = ask(given, protocol);
    if (!port && small != given) port = ask(small, protocol);
    return port ? port : well_known(protocol, small);
}

std::uint16_t find_port(std::string_view network, std::string_view service, std::error_code& ec) {
    const char* protocol = protocol_of(network);
    std::optional<std::uint16_t> port;
    if (protocol == nullptr) {
        ec = errc::unknown_network;
    } else if (service.empty()) {
        port = 0;  // Go's "host:", the same as "host:0"
    } else if (read_number(service, port)) {
        if (!port) ec = errc::invalid_port;
    } else {
        port = find_service(service, protocol);
        if (!port) ec = errc::unknown_port;
    }
    return port.value_or(0);
}

}  // namespace

std::uint16_t lookup_port(std::string_view network, std::string_view service,
                          std::error_code& ec) noexcept {
    ec.clear();
    try {
        return find_port(network, service, ec);
    } catch (const std::bad_alloc&) {
        ec = std::make_error_code(std::errc::not_enough_memory);
        return 0;
    }
}

std::uint16_t lookup_port(std::string_view network, std::string_view service) {
    std::error_code ec;
    const std::uint16_t port = lookup_port(network, service, ec);
    if (ec) detail::throw_op_error(ec, "lookup", std::string(network).c_str(), "", service);
    return port;
}

}  // namespace vole::net
