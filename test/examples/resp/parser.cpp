#include "parser.hpp"

#include <algorithm>
#include <charconv>

namespace resp {
namespace {

constexpr std::string_view line_end = "\r\n";

parser::result more(std::size_t wanted = 1) { return {0, wanted, {}}; }
parser::result wrong(std::string text) { return {0, 0, "ERR Protocol error: " + std::move(text)}; }

/// The number in a line like "$12\r\n", from behind its first character on.
struct number_line {
    bool complete = false;
    std::optional<long long> value;  // none though it is complete: no number
    std::size_t end = 0;             // behind it
};

number_line read_number_line(std::string_view unread, std::size_t at) {
    constexpr std::size_t longest = 32;  // no number takes more
    const std::string_view rest = unread.substr(at, longest);
    const std::size_t end = rest.find(line_end);
    if (end == rest.npos) return {rest.size() == longest, std::nullopt, 0};
    return {true, read_integer(rest.substr(0, end)), at + end + line_end.size()};
}

bool within(const std::optional<long long>& n, std::size_t most) {
    return n && (*n < 0 || static_cast<unsigned long long>(*n) <= most);
}

}  // namespace

std::optional<long long> read_integer(std::string_view text) noexcept {
    const bool negative = text.starts_with('-');
    const std::string_view digits = text.substr(negative ? 1 : 0);
    if (digits.empty() || (digits.front() == '0' && (negative || digits.size() > 1)))
        return std::nullopt;
    long long n = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (error != std::errc() || stop != text.data() + text.size()) return std::nullopt;
    return n;
}

parser::result parser::parse(std::string_view unread, const limits& most) {
    if (unread.empty()) return more();
    if (at_ == 0) {
        if (pieces_.capacity() > 1024) *this = parser();  // one command had very many
        if (unread.front() != '*') return parse_line(unread, most);
        const number_line count = read_number_line(unread, 1);
        if (!count.complete) return more();
        if (!within(count.value, most.arguments)) return wrong("invalid multibulk length");
        pieces_.clear();
        at_ = count.end;
        left_ = static_cast<std::size_t>(std::max(*count.value, 0LL));
    }
    while (left_ > 0) {
        if (!bulk_) {
            if (unread.size() == at_) return more();
            if (unread[at_] != '$')
                return wrong(std::string("expected '$', got '") + unread[at_] + "'");
            const number_line size = read_number_line(unread, at_ + 1);
            if (!size.complete) return more();
            if (!within(size.value, most.bulk) || *size.value < 0)
                return wrong("invalid bulk length");
            at_ = size.end;
            bulk_ = static_cast<std::size_t>(*size.value);
            if (at_ + *bulk_ > most.request) return wrong("too big request");
        }
        const std::size_t end = at_ + *bulk_;
        const std::size_t whole = end + line_end.size();
        if (unread.size() < whole) return more(whole - unread.size());
        if (unread.substr(end, line_end.size()) != line_end)
            return wrong("a bulk string is longer than it says");
        pieces_.push_back({at_, *bulk_});
        at_ = whole;
        bulk_.reset();
        --left_;
    }
    return finish(unread, at_);
}

parser::result parser::parse_line(std::string_view unread, const limits& most) {
    // Here a bare LF will do: it is what people have on their keyboards.
    const std::size_t lf = unread.substr(0, most.line).find('\n');
    if (lf == unread.npos)
        return unread.size() < most.line ? more() : wrong("too big inline request");
    pieces_.clear();
    constexpr std::string_view blanks = " \t\r";
    const std::string_view line = unread.substr(0, lf);
    for (std::size_t at = line.find_first_not_of(blanks); at != line.npos;) {
        const std::size_t end = std::min(line.find_first_of(blanks, at), line.size());
        pieces_.push_back({at, end - at});
        at = line.find_first_not_of(blanks, end);
    }
    return finish(unread, lf + 1);
}

parser::result parser::finish(std::string_view unread, std::size_t size) {
    arguments_.clear();
    for (const piece& p : pieces_) arguments_.push_back(unread.substr(p.at, p.size));
    at_ = 0;
    return {size, 0, {}};
}

}  // namespace resp
