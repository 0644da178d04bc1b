// What can go wrong in vole::net, beside what the system says.
#pragma once

#include <string>
#include <system_error>

#include <vole/config.hpp>

namespace vole::inline v0::net {

/// Errors that no errno stands for. They compare equal to the std::errc named with them.
enum class errc {
    closed = 1,        ///< "use of closed network connection": this side has closed it
    timeout,           ///< "i/o timeout": a deadline has passed; std::errc::timed_out
    canceled,          ///< "operation was canceled": a context ended; std::errc::operation_canceled
    pipe_closed,       ///< "io: read/write on closed pipe", of net::pipe; std::errc::broken_pipe
    no_deadline,       ///< "file type does not support deadline"
    not_pollable,      ///< "not pollable"
    unexpected_eof,    ///< "unexpected EOF"
    unknown_network,   ///< "unknown network"; std::errc::invalid_argument
    missing_address,   ///< "missing address"; std::errc::invalid_argument
    invalid_address,   ///< "invalid address"; std::errc::invalid_argument
    missing_port,      ///< "missing port in address"; std::errc::invalid_argument
    invalid_port,      ///< "invalid port"; std::errc::invalid_argument
    unknown_port,      ///< "unknown port"; std::errc::invalid_argument
    address_mismatch,  ///< "mismatched local address type"; std::errc::invalid_argument
    no_such_host,      ///< "no such host"
    name_server_failure,  ///< "server misbehaving": for the moment, no name server answers
    write_to_connected,   ///< "use of write_to with pre-connected connection"; invalid_argument
};

[[nodiscard]] const std::error_category& net_category() noexcept;
[[nodiscard]] std::error_code make_error_code(errc e) noexcept;

/// A deadline, or a time limit of the system's.
[[nodiscard]] bool is_timeout(const std::error_code& e) noexcept;
/// It may go away by itself: timeouts, resets while accepting, too many open files, a name server that does not answer.
[[nodiscard]] bool is_temporary(const std::error_code& e) noexcept;

/// What the throwing forms throw. what(): "read tcp 127.0.0.1:5000->127.0.0.1:80: connection reset by peer"; what is not
/// known is left out. code(): the cause, as the other forms give it.
class op_error : public std::system_error {
  public:
    op_error(std::error_code cause, std::string op, std::string network, std::string source,
             std::string address);

    [[nodiscard]] const std::string& op() const noexcept { return op_; }            ///< "read"
    [[nodiscard]] const std::string& network() const noexcept { return network_; }  ///< "tcp"
    [[nodiscard]] const std::string& source() const noexcept {
        return source_;
    }  ///< local; may be ""
    [[nodiscard]] const std::string& address() const noexcept {
        return address_;
    }  ///< remote, or of the listener
    [[nodiscard]] bool timeout() const noexcept { return is_timeout(code()); }
    [[nodiscard]] bool temporary() const noexcept { return is_temporary(code()); }
    [[nodiscard]] const char* what() const noexcept override { return text_.c_str(); }

  private:
    std::string op_, network_, source_, address_, text_;
};

}  // namespace vole::net

template <>
struct std::is_error_code_enum<vole::net::errc> : std::true_type {};
