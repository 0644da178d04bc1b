#include "parser.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

namespace http {
namespace {

// What a character may be part of: bits.
enum : std::uint8_t {
    in_token = 1,   // methods and field names
    in_value = 2,   // field values: visible, blanks, and what is not ASCII
    in_target = 4,  // visible ASCII
    in_host = 8,
};

constexpr std::array<std::uint8_t, 256> classes = [] {
    std::array<std::uint8_t, 256> t{};
    const auto add = [&](std::string_view characters, int bits) {
        for (const char c : characters) {
            auto& entry = t[static_cast<unsigned char>(c)];
            entry = static_cast<std::uint8_t>(entry | bits);
        }
    };
    for (int c = 0x21; c < 0x7f; ++c) t[static_cast<std::size_t>(c)] = in_value | in_target;
    for (int c = 0x80; c < 0x100; ++c) t[static_cast<std::size_t>(c)] = in_value;
    add(" \t", in_value);
    constexpr std::string_view letters_and_digits =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    add(letters_and_digits, in_token | in_host);
    add("!#$%&'*+-.^_`|~", in_token);
    add("-._~%!$&'()*+,;=:[]", in_host);
    return t;
}();

bool all(std::string_view text, std::uint8_t of) noexcept {
    return std::ranges::all_of(
        text, [of](char c) { return (classes[static_cast<unsigned char>(c)] & of) != 0; });
}

std::string_view trim(std::string_view text) noexcept {
    const auto blank = [](char c) { return c == ' ' || c == '\t'; };
    while (!text.empty() && blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && blank(text.back())) text.remove_suffix(1);
    return text;
}

/// Takes the first line off, which ends in CRLF.
std::string_view take_line(std::string_view& text) noexcept {
    const std::string_view line = text.substr(0, text.find("\r\n"));
    text.remove_prefix(std::min(text.size(), line.size() + 2));
    return line;
}

/// Digits only. What does not fit is the largest number there is, which is beyond any limit.
std::optional<std::uint64_t> read_length(std::string_view text) noexcept {
    constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
    if (text.empty()) return std::nullopt;
    std::uint64_t n = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') return std::nullopt;
        const auto digit = static_cast<std::uint64_t>(c - '0');
        n = n > (most - digit) / 10 ? most : 10 * n + digit;
    }
    return n;
}

/// Whether a list, "keep-alive, TE", has an element.
bool lists(std::string_view list, std::string_view element) noexcept {
    while (true) {
        const std::size_t comma = list.find(',');
        if (same(trim(list.substr(0, comma)), element)) return true;
        if (comma == list.npos) return false;
        list.remove_prefix(comma + 1);
    }
}

status parse_request_line(std::string_view line, request& to) {
    // One blank on each side of the target: with another, somebody else might see another target.
    const std::size_t first = line.find(' ');
    const std::size_t second = line.find(' ', first == line.npos ? first : first + 1);
    if (second == line.npos) return status::bad_request;
    to.method = line.substr(0, first);
    to.target = line.substr(first + 1, second - first - 1);
    const std::string_view version = line.substr(second + 1);
    if (to.method.empty() || !all(to.method, in_token)) return status::bad_request;
    if (to.target.empty() || !all(to.target, in_target)) return status::bad_request;

    const auto digit = [](char c) { return c >= '0' && c <= '9'; };
    if (version.size() != 8 || !version.starts_with("HTTP/") || !digit(version[5]) ||
        version[6] != '.' || !digit(version[7]))
        return status::bad_request;
    if (version[5] != '1') return status::version_not_supported;
    to.minor_version = version[7] - '0';

    // "/path", "http://host/path", or "*" where it makes sense. CONNECT has a form of its own, and is not for us.
    const bool known_form = to.target.front() == '/' || to.target.starts_with("http://") ||
                            to.target.starts_with("https://") ||
                            (to.target == "*" && to.method == "OPTIONS") || to.method == "CONNECT";
    return known_form ? status::none : status::bad_request;
}

/// What the server itself must know of the fields.
class framing {
  public:
    explicit framing(request& r) : request_(r) {}

    status see(const field& f) {
        // Five names matter; most others differ in their length already.
        switch (f.name.size()) {
            case 4:
                if (same(f.name, "host")) return see_host(f.value);
                break;
            case 6:
                if (same(f.name, "expect")) return see_expectation(f.value);
                break;
            case 10:
                if (same(f.name, "connection")) {
                    close_ = close_ || lists(f.value, "close");
                    keep_ = keep_ || lists(f.value, "keep-alive");
                }
                break;
            case 14:
                if (same(f.name, "content-length")) return see_length(f.value);
                break;
            case 17:
                if (same(f.name, "transfer-encoding")) return see_encoding(f.value);
                break;
            default: break;
        }
        return status::none;
    }

    status finish() {
        const bool http_1_0 = request_.minor_version == 0;
        if (hosts_ > 1 || (hosts_ == 0 && !http_1_0)) return status::bad_request;
        if (encoded_ && (has_length_ || http_1_0)) return status::bad_request;
        request_.keep_alive = !close_ && (keep_ || !http_1_0);
        if (http_1_0) {
            request_.expects_continue = false;  // who speaks 1.0 cannot have meant it
        } else if (unmet_expectation_) {
            return status::expectation_failed;
        }
        return status::none;
    }

  private:
    status see_host(std::string_view value) {
        ++hosts_;
        return all(value, in_host) ? status::none : status::bad_request;
    }
    status see_expectation(std::string_view value) {
        if (same(value, "100-continue"))
            request_.expects_continue = true;
        else
            unmet_expectation_ = true;
        return status::none;
    }
    status see_length(std::string_view value) {
        const auto length = read_length(value);
        if (!length || has_length_) return status::bad_request;
        has_length_ = true;
        request_.content_length = *length;
        return status::none;
    }
    status see_encoding(std::string_view value) {
        if (encoded_) return status::bad_request;
        encoded_ = true;
        request_.chunked = same(value, "chunked");
        if (request_.chunked) return status::none;
        // Some other coding below it would be well-formed, and only unknown here.
        const std::size_t comma = value.rfind(',');
        const bool ends_chunked =
            comma != value.npos && same(trim(value.substr(comma + 1)), "chunked");
        return ends_chunked && !lists(value.substr(0, comma), "chunked") ? status::not_implemented
                                                                         : status::bad_request;
    }

    request& request_;
    int hosts_ = 0;
    bool has_length_ = false;
    bool encoded_ = false;
    bool close_ = false;
    bool keep_ = false;
    bool unmet_expectation_ = false;
};

}  // namespace

head_scanner::result head_scanner::scan(std::string_view unread, const limits& most) {
    const auto too_large = [&] {
        return result{0, begun_ ? status::fields_too_large : status::uri_too_long};
    };
    while (true) {
        const std::size_t lf = unread.find('\n', searched_);
        if (lf == unread.npos) {
            searched_ = unread.size();
            return unread.size() > most.head ? too_large() : result{};
        }
        if (lf >= most.head) return too_large();
        if (lf == line_ || unread[lf - 1] != '\r') return {0, status::bad_request};
        const bool empty = lf == line_ + 1;
        searched_ = line_ = lf + 1;
        if (!empty)
            begun_ = true;
        else if (begun_)
            return {lf + 1, status::none};
        // Else an empty line before the request: some clients send one behind a body.
    }
}

status parse_head(std::string_view head, const limits& most, request& to) {
    to.fields.clear();
    to.body = {};
    to.content_length = 0;
    to.chunked = to.expects_continue = false;

    while (head.starts_with("\r\n")) head.remove_prefix(2);
    if (const status s = parse_request_line(take_line(head), to); s != status::none) return s;

    framing frame(to);
    while (true) {
        const std::string_view line = take_line(head);
        if (line.empty()) break;
        const std::size_t colon = line.find(':');
        if (colon == line.npos || colon == 0) return status::bad_request;
        const field f{line.substr(0, colon), trim(line.substr(colon + 1))};
        // A folded line begins with a blank, which no name does; nor does one end in a blank.
        if (!all(f.name, in_token) || !all(f.value, in_value)) return status::bad_request;
        if (to.fields.size() == most.fields) return status::fields_too_large;
        to.fields.push_back(f);
        if (const status s = frame.see(f); s != status::none) return s;
    }
    if (const status s = frame.finish(); s != status::none) return s;
    return to.content_length > most.body ? status::content_too_large : status::none;
}

chunk_decoder::result chunk_decoder::feed(std::string_view bytes, const limits& most,
                                          std::string& body) {
    std::size_t used = 0;
    while (used < bytes.size() && at_ != at::end) {
        if (at_ == at::data) {
            const std::size_t n = std::min<std::size_t>(left_, bytes.size() - used);
            body.append(bytes, used, n);
            used += n;
            left_ -= n;
            if (left_ == 0) at_ = at::data_cr;
        } else {
            const status s = step(bytes[used], most, body.size());
            ++used;
            if (s != status::none) return {used, false, s};
        }
    }
    return {used, at_ == at::end, status::none};
}

status chunk_decoder::step(char c, const limits& most, std::size_t collected) {
    constexpr std::size_t longest_size_line = 256;
    const auto expect = [&](char wanted, at next) {
        at_ = next;
        return c == wanted ? status::none : status::bad_request;
    };
    const auto digit = [c]() -> std::optional<unsigned> {
        if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
        if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
        if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
        return std::nullopt;
    };
    const auto begin_size_line = [&] {
        at_ = at::size_first;
        left_ = overhead_ = 0;
    };

    switch (at_) {
        case at::size_first:
        case at::size:
            if (++overhead_ > longest_size_line) return status::bad_request;
            if (const auto d = digit()) {
                left_ = 16 * left_ + *d;
                at_ = at::size;
                // Checked with each digit: it cannot overflow.
                return left_ > most.body - collected ? status::content_too_large : status::none;
            }
            if (at_ == at::size_first) return status::bad_request;
            if (c == '\r') {
                at_ = at::size_lf;
                return status::none;
            }
            at_ = at::extension;
            return c == ';' || c == ' ' || c == '\t' ? status::none : status::bad_request;
        case at::extension:
            if (++overhead_ > longest_size_line) return status::bad_request;
            if (c == '\r') at_ = at::size_lf;
            return c == '\n' ? status::bad_request : status::none;
        case at::size_lf:
            overhead_ = 0;
            return expect('\n', left_ == 0 ? at::trailer_first : at::data);
        case at::data_cr: return expect('\r', at::data_lf);
        case at::data_lf: begin_size_line(); return c == '\n' ? status::none : status::bad_request;
        case at::trailer_first:
            if (c == '\r') {
                at_ = at::last_lf;
                return status::none;
            }
            at_ = at::trailer;
            [[fallthrough]];
        case at::trailer:
            if (++overhead_ > most.head) return status::fields_too_large;
            if (c == '\r') at_ = at::trailer_lf;
            return c == '\n' ? status::bad_request : status::none;
        case at::trailer_lf: return expect('\n', at::trailer_first);
        case at::last_lf: return expect('\n', at::end);
        case at::data:
        case at::end: break;  // feed() does not come here with these
    }
    return status::none;
}

}  // namespace http
