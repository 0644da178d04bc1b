// The errors of vole::net: their texts, which of them are timeouts or temporary, and what is thrown.
//
// Texts follow Go's: the system's own begin with a small letter here, since they come behind a colon.
//
// Stack: any that has room for strings and the system's messages. throw.cpp is for others. No locks.
#include <vole/net/error.hpp>

#include <cerrno>
#include <string_view>
#include <utility>

#include "runtime/internal/never_destroyed.hpp"

namespace vole::inline v0::net {

namespace {

constexpr const char* text_of(errc e) noexcept {
    switch (e) {
        case errc::closed: return "use of closed network connection";
        case errc::timeout: return "i/o timeout";
        case errc::canceled: return "operation was canceled";
        case errc::pipe_closed: return "io: read/write on closed pipe";
        case errc::no_deadline: return "file type does not support deadline";
        case errc::not_pollable: return "not pollable";
        case errc::unexpected_eof: return "unexpected EOF";
        case errc::unknown_network: return "unknown network";
        case errc::missing_address: return "missing address";
        case errc::invalid_address: return "invalid address";
        case errc::missing_port: return "missing port in address";
        case errc::invalid_port: return "invalid port";
        case errc::unknown_port: return "unknown port";
        case errc::address_mismatch: return "mismatched local address type";
        case errc::no_such_host: return "no such host";
        case errc::name_server_failure: return "server misbehaving";
        case errc::write_to_connected: return "use of write_to with pre-connected connection";
    }
    return "unknown network error";
}

class category final : public std::error_category {
  public:
    const char* name() const noexcept override { return "vole.net"; }
    std::string message(int e) const override { return text_of(static_cast<errc>(e)); }
    std::error_condition default_error_condition(int e) const noexcept override {
        switch (static_cast<errc>(e)) {
            case errc::timeout: return std::errc::timed_out;
            case errc::canceled: return std::errc::operation_canceled;
            case errc::pipe_closed: return std::errc::broken_pipe;
            case errc::unknown_network:
            case errc::missing_address:
            case errc::invalid_address:
            case errc::missing_port:
            case errc::invalid_port:
            case errc::unknown_port:
            case errc::address_mismatch:
            case errc::write_to_connected: return std::errc::invalid_argument;
            default: return {e, *this};
        }
    }
};

bool is_small(char c) noexcept { return c >= 'a' && c <= 'z'; }

// "Connection refused" to "connection refused"; "RFS specific error" stays.
std::string system_text(const std::error_code& e) {
    std::string text = e.message();
    if (text.size() > 1 && text[0] >= 'A' && text[0] <= 'Z' &&
        (is_small(text[1]) || text[1] == ' ')) {
        text[0] = static_cast<char>(text[0] - 'A' + 'a');
    }
    return text;
}

bool is_systems(const std::error_code& e) noexcept {
    return e.category() == std::system_category() || e.category() == std::generic_category();
}

std::string whole_text(const std::error_code& cause, std::string_view op, std::string_view network,
                       std::string_view source, std::string_view address) {
    std::string text(op);
    const auto add = [&](std::string_view part, std::string_view between = " ") {
        if (part.empty()) return;
        if (!text.empty()) text += between;
        text += part;
    };
    add(network);
    add(source);
    add(address, source.empty() ? " " : "->");
    add(is_systems(cause) ? system_text(cause) : cause.message(), ": ");
    return text;
}

}  // namespace

const std::error_category& net_category() noexcept { return detail::never_destroyed<category>(); }

std::error_code make_error_code(errc e) noexcept { return {static_cast<int>(e), net_category()}; }

bool is_timeout(const std::error_code& e) noexcept { return e == std::errc::timed_out; }

bool is_temporary(const std::error_code& e) noexcept {
    if (is_timeout(e) || e == errc::name_server_failure) return true;
    if (!is_systems(e)) return false;
    switch (e.value()) {
        case ECONNRESET:
        case ECONNABORTED:
        case EMFILE:
        case ENFILE:
        case EINTR:
        case EAGAIN: return true;
        default: return false;
    }
}

op_error::op_error(std::error_code cause, std::string op, std::string network, std::string source,
                   std::string address)
    : std::system_error(cause), op_(std::move(op)), network_(std::move(network)),
      source_(std::move(source)), address_(std::move(address)),
      text_(whole_text(cause, op_, network_, source_, address_)) {}

}  // namespace vole::net
