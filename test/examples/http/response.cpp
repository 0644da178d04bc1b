#include "response.hpp"

#include <charconv>
#include <concepts>

#include <vole/vole.hpp>

namespace http {
namespace {

void append_number(std::string& to, std::unsigned_integral auto n, int base = 10) {
    std::array<char, 20> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), n, base);
    to.append(digits.data(), end.ptr);
}

}  // namespace

std::string_view date_text::now() {
    using namespace std::chrono;
    const auto seconds = floor<std::chrono::seconds>(vole::clock::wall());
    if (seconds != made_) {
        made_ = seconds;
        const auto day = floor<days>(seconds);
        const year_month_day date(day);
        const hh_mm_ss time(seconds - day);
        constexpr std::string_view weekdays = "SunMonTueWedThuFriSat";
        constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
        char* at = text_.data();
        const auto text = [&](std::string_view s) { at += s.copy(at, s.size()); };
        const auto two_digits = [&](auto n) {
            *at++ = static_cast<char>('0' + n / 10 % 10);
            *at++ = static_cast<char>('0' + n % 10);
        };
        text(weekdays.substr(3 * weekday(day).c_encoding(), 3));
        text(", ");
        two_digits(static_cast<unsigned>(date.day()));
        text(" ");
        text(months.substr(3 * (static_cast<unsigned>(date.month()) - 1), 3));
        text(" ");
        two_digits(static_cast<int>(date.year()) / 100);
        two_digits(static_cast<int>(date.year()) % 100);
        text(" ");
        two_digits(time.hours().count());
        text(":");
        two_digits(time.minutes().count());
        text(":");
        two_digits(time.seconds().count());
        text(" GMT");
    }
    return {text_.data(), text_.size()};
}

void response::write_head(status s, std::string_view type) {
    begun_ = true;
    std::string& to = out_.text();
    const auto write_field = [&](std::string_view name, std::string_view value) {
        to.append(name).append(": ").append(value).append("\r\n");
    };
    to.append("HTTP/1.1 ");
    append_number(to, static_cast<unsigned>(s));
    to.append(" ").append(reason(s)).append("\r\n");
    write_field("Date", date_.now());
    write_field("Content-Type", type);
    if (!extra_.name.empty()) write_field(extra_.name, extra_.value);
    if (!keep_alive_)
        write_field("Connection", "close");
    else if (request_.minor_version == 0)
        write_field("Connection", "keep-alive");
}

void response::send(status s, std::string_view type, std::string_view body) {
    write_head(s, type);
    std::string& to = out_.text();
    to.append("Content-Length: ");
    append_number(to, body.size());
    to.append("\r\n\r\n");
    if (request_.method == "HEAD") return;
    // Copying a small body costs less than a call with two pieces; a large one is sent from where it lies.
    constexpr std::size_t small = 8 * 1024;
    if (body.size() <= small)
        to.append(body);
    else
        out_.flush_with(body);
    out_.flush_if_full();
}

void response::begin(status s, std::string_view type) {
    chunked_ = request_.minor_version > 0;
    if (!chunked_) keep_alive_ = false;
    write_head(s, type);
    out_.text().append(chunked_ ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n");
}

void response::write(std::string_view piece) {
    if (piece.empty() || request_.method == "HEAD") return;  // an empty chunk would be the last
    std::string& to = out_.text();
    if (chunked_) {
        append_number(to, piece.size(), 16);
        to.append("\r\n").append(piece).append("\r\n");
    } else {
        to.append(piece);
    }
    out_.flush_if_full();
}

void response::finish() {
    if (!begun_) send(status::ok, "text/plain", "");
    if (chunked_ && request_.method != "HEAD") out_.text().append("0\r\n\r\n");
    chunked_ = false;
}

}  // namespace http
