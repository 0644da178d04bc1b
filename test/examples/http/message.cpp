#include "message.hpp"

namespace http {

std::string_view reason(status s) noexcept {
    switch (s) {
        case status::none: break;
        case status::continue_: return "Continue";
        case status::ok: return "OK";
        case status::bad_request: return "Bad Request";
        case status::not_found: return "Not Found";
        case status::method_not_allowed: return "Method Not Allowed";
        case status::request_timeout: return "Request Timeout";
        case status::content_too_large: return "Content Too Large";
        case status::uri_too_long: return "URI Too Long";
        case status::expectation_failed: return "Expectation Failed";
        case status::fields_too_large: return "Request Header Fields Too Large";
        case status::not_implemented: return "Not Implemented";
        case status::version_not_supported: return "HTTP Version Not Supported";
    }
    return "";
}

std::string_view request::path() const noexcept {
    std::string_view rest = target;
    if (const auto scheme = rest.find("://"); !rest.starts_with('/') && scheme != rest.npos) {
        rest.remove_prefix(scheme + 3);
        const auto authority = rest.find_first_of("/?");
        rest.remove_prefix(authority == rest.npos ? rest.size() : authority);
    }
    rest = rest.substr(0, rest.find('?'));
    return rest.empty() ? "/" : rest;
}

std::string_view request::query() const noexcept {
    const auto mark = target.find('?');
    return mark == target.npos ? std::string_view() : target.substr(mark + 1);
}

const std::string_view* request::find(std::string_view name) const noexcept {
    for (const field& f : fields)
        if (same(f.name, name)) return &f.value;
    return nullptr;
}

bool same(std::string_view a, std::string_view b) noexcept {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c + 0; };
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i)
        if (lower(a[i]) != lower(b[i])) return false;
    return true;
}

}  // namespace http
