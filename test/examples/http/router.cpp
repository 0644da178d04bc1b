#include "router.hpp"

#include <algorithm>
#include <string_view>

namespace http {
namespace {

bool lists(std::string_view methods, std::string_view method) {
    while (true) {
        const std::size_t comma = methods.find(", ");
        if (methods.substr(0, comma) == method) return true;
        if (comma == methods.npos) return false;
        methods.remove_prefix(comma + 2);
    }
}

}  // namespace

void router::answer(const request& r, response& to) const {
    const auto refuse = [&](status s) { to.send(s, "text/plain", reason(s)); };
    // Known, if only to be refused; TRACE, CONNECT and whatever comes later are not.
    if (!lists("GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH", r.method))
        return refuse(status::not_implemented);
    const auto found = std::ranges::find(routes_, r.path(), &route::path);
    if (found == routes_.end()) return refuse(status::not_found);
    if (!lists(found->methods, r.method)) {
        to.add_field("Allow", found->methods);
        return refuse(status::method_not_allowed);
    }
    found->answer(r, to);
}

}  // namespace http
