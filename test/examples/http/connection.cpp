#include "connection.hpp"

#include <algorithm>
#include <span>

#include "../serving/linger.hpp"

namespace http {

void connection::serve() {
    while (true) {
        const std::optional<status> problem = read_request();
        if (!problem) return;
        if (*problem != status::none) return refuse(*problem);

        response answer(request_, out_, date_, request_.keep_alive && !session_.stopping());
        router_.answer(request_, answer);
        answer.finish();
        count_.requests.fetch_add(1, std::memory_order_relaxed);
        done_with_request();
        if (!answer.keep_alive()) return hang_up();
    }
}

std::optional<status> connection::read_request() {
    std::size_t size = 0;
    if (const auto s = read_head(size); s != status::none) return s;
    // A body in chunks is read through the same buffer. It must not move once there are views into it.
    constexpr std::size_t for_chunks = 512;
    if (in_.unread().size() < size + for_chunks) in_.room(size + for_chunks - in_.unread().size());
    const status s = parse_head(in_.unread().substr(0, size), settings_.limits, request_);
    return s == status::none ? read_body(size) : s;
}

std::optional<status> connection::read_head(std::size_t& size) {
    // Nothing is here: we are between two requests, and may end at any time.
    if (in_.unread().empty()) {
        if (!out_.flush() || !session_.begin_idle(settings_.patience.idle)) return std::nullopt;
        const bool more = read_more();
        session_.end_idle();
        if (!more) return std::nullopt;
    }
    for (bool begun = false;; begun = true) {
        const auto found = scanner_.scan(in_.unread(), settings_.limits);
        if (found.error != status::none) return found.error;
        if (found.size != 0) {
            size = found.size;
            scanner_.reset();
            return status::none;
        }
        std::error_code ec;
        if (!begun) conn_.set_read_deadline(vole::clock::now() + settings_.patience.head, ec);
        if (!read_more()) return lost();
    }
}

std::optional<status> connection::read_body(std::size_t head) {
    used_ = head;
    if (!request_.chunked) {
        const std::string_view behind = in_.unread().substr(head);
        if (request_.content_length <=
            behind.size()) {  // the usual case: it is here, or there is none
            request_.body = behind.substr(0, request_.content_length);
            used_ += request_.content_length;
            return status::none;
        }
    }
    std::error_code ec;
    conn_.set_read_deadline(vole::clock::now() + settings_.patience.body, ec);
    // Who asks first gets an answer, unless it has begun already. It leaves with the next read_more().
    if (request_.expects_continue && in_.unread().size() == head)
        out_.text().append("HTTP/1.1 100 Continue\r\n\r\n");
    body_.clear();
    const auto s = request_.chunked ? read_chunks(head) : read_counted(head);
    request_.body = body_;
    return s;
}

std::optional<status> connection::read_counted(std::size_t head) {
    body_.append(in_.unread().substr(head));
    in_.keep(head);
    if (!out_.flush()) return std::nullopt;
    // In steps that grow with what has come: a promised megabyte takes no memory.
    while (body_.size() < request_.content_length) {
        const std::size_t had = body_.size();
        const std::size_t step = std::max<std::size_t>(had, 4096);
        body_.resize(std::min<std::size_t>(request_.content_length, had + step));
        const auto room = std::as_writable_bytes(std::span(body_)).subspan(had);
        const std::size_t n = conn_.read(room, read_error_);
        body_.resize(had + n);
        if (n == 0) return lost();
    }
    return status::none;
}

std::optional<status> connection::read_chunks(std::size_t head) {
    chunk_decoder decoder;
    while (true) {
        const std::string_view behind = in_.unread().substr(head);
        const auto got = decoder.feed(behind, settings_.limits, body_);
        if (got.error != status::none) return got.error;
        if (got.done) {
            used_ = head + got.used;
            return status::none;
        }
        in_.keep(head);  // all of it was used
        if (!read_more()) return lost();
    }
}

void connection::done_with_request() {
    in_.consume(used_);
    in_.shrink();
    constexpr std::size_t kept = 64 * 1024;
    if (body_.capacity() > kept) body_ = {};
}

/// Before it waits, all answers leave. False: nothing more will come.
bool connection::read_more() {
    if (!out_.flush()) return false;
    const std::size_t n = conn_.read(in_.room(), read_error_);
    in_.added(n);
    return n != 0;
}

/// In the middle of a request, who is merely slow is told so.
std::optional<status> connection::lost() const {
    if (vole::net::is_timeout(read_error_)) return status::request_timeout;
    return std::nullopt;
}

/// Where the request ends nobody knows: after this answer, nothing more can be understood.
void connection::refuse(status s) {
    request_.method = {};  // perhaps it was not read
    response answer(request_, out_, date_, false);
    answer.send(s, "text/plain", reason(s));
    hang_up();
}

void connection::hang_up() {
    if (out_.flush()) serving::linger(conn_);
}

}  // namespace http
