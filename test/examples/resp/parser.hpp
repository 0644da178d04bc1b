// Bytes to commands: RESP2 as Redis reads it from its clients, arrays of bulk strings, and lines for people ("inline
// commands", of words between blanks; without Redis's quotes). Nothing here reads from a connection or waits.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace resp {

struct limits {
    std::size_t bulk = 512 * 1024 * 1024;        ///< bytes of one argument
    std::size_t arguments = 1024 * 1024;         ///< of one command
    std::size_t request = 1024UL * 1024 * 1024;  ///< bytes of one command
    std::size_t line = 64 * 1024;                ///< bytes of an inline command
};

class parser {
  public:
    struct result {
        std::size_t size =
            0;  ///< bytes of the command; 0: there must be more, or something is wrong
        std::size_t wanted = 0;  ///< at least so many more
        std::string
            error;  ///< of the protocol: the reply, after which nothing more can be understood
    };

    /// Everything that is unread: after a call that wanted more, the same bytes and more; they may have moved. Looks at
    /// each argument once.
    result parse(std::string_view unread, const limits& most);

    /// Of the command that was found, as long as its bytes stay where they are. May be none: an empty line.
    std::span<const std::string_view> arguments() const noexcept { return arguments_; }

  private:
    struct piece {
        std::size_t at, size;
    };

    result parse_line(std::string_view unread, const limits& most);
    result finish(std::string_view unread, std::size_t size);

    // How far the command under way has been read. Offsets, since its bytes may move.
    std::size_t at_ = 0;
    std::size_t left_ = 0;             // arguments still to come
    std::optional<std::size_t> bulk_;  // the size of the next one, if that was read
    std::vector<piece> pieces_;
    std::vector<std::string_view> arguments_;
};

/// A whole number as Redis takes it: no sign but '-', no blanks, no needless zeros.
std::optional<long long> read_integer(std::string_view text) noexcept;

}  // namespace resp
