// See reading.hpp.
#include "tools/trace/reading.hpp"

#include <algorithm>
#include <concepts>

#include "runtime/internal/g_status.hpp"

namespace vole::trace {

namespace {

using detail::recording_header;
using detail::recording_ring;

constexpr std::uint32_t most_ps = 4096;

/// Takes numbers off the front. Whoever asks has made sure that they are there.
class cursor {
  public:
    explicit cursor(std::span<const std::byte> bytes) : bytes_(bytes) {}

    std::size_t left() const { return bytes_.size() - at_; }

    template <std::unsigned_integral T>
    T take() {
        std::uint64_t value = 0;
        for (std::size_t i = 0; i < sizeof(T); ++i) {
            value |= std::to_integer<std::uint64_t>(bytes_[at_ + i]) << 8 * i;
        }
        at_ += sizeof(T);
        return static_cast<T>(value);
    }

  private:
    std::span<const std::byte> bytes_;
    std::size_t at_ = 0;
};

event take_event(cursor& in) {
    event e{};
    e.number = in.take<std::uint64_t>();
    e.slot = in.take<std::uint64_t>();
    e.subject = in.take<std::uint64_t>();
    e.kind = static_cast<record_kind>(in.take<std::uint8_t>());
    e.change = in.take<std::uint8_t>();
    e.reason = in.take<std::uint8_t>();
    e.reserved = in.take<std::uint8_t>();
    e.m = in.take<std::uint16_t>();
    e.p = in.take<std::uint16_t>();
    return e;
}

bool is_blank(const event& e) {
    return e.slot == 0 && e.subject == 0 && e.kind == record_kind::none && e.change == 0 &&
           e.reason == 0 && e.reserved == 0 && e.m == 0 && e.p == 0;
}

bool is_p(std::uint16_t p) { return p < most_ps || p == detail::record_no_p; }

// What the kind says must be there, and nothing else.
const char* fault_of(const event& e) {
    if (e.reserved != 0 || !is_p(e.p)) return "is no event";
    const auto kind = static_cast<std::uint8_t>(e.kind);
    if (kind == 0 || kind >= detail::record_kinds) return "is of an unknown kind";
    if (e.kind == record_kind::status) {
        constexpr auto most = static_cast<unsigned>(detail::g_status::dead);
        const bool known = (e.change & 0xfU) <= most && e.change >> 4U <= most;
        return known && e.slot != 0 ? nullptr : "changes no known status";
    }
    const bool has_slot = e.kind == record_kind::detach;
    if (e.change != 0 || e.reason != 0 || (e.slot != 0) != has_slot) return "is no event of a P";
    if ((e.subject & 0xffff) >= most_ps || e.subject >> 32 != 0) return "is of no P";
    const bool to_another =
        has_slot || e.kind == record_kind::hand || e.kind == record_kind::unhand;
    const bool has_m = e.subject >> 16 != detail::record_no_m;
    return has_m == to_another ? nullptr : "says which M, or does not, against its kind";
}

std::string numbered(const char* what, std::uint64_t number) {
    return std::string(what) + " " + std::to_string(number);
}

// Appends a ring's events to `into`.
std::string read_ring(cursor& in, std::uint32_t index, std::uint64_t* p_seen, recording& into) {
    if (in.left() < sizeof(recording_ring)) return numbered("it ends before ring", index);
    const auto p = in.take<std::uint32_t>();
    const auto reserved = in.take<std::uint32_t>();
    const auto begun = in.take<std::uint64_t>();
    const auto kept = in.take<std::uint64_t>();
    const bool known = p < most_ps || p == recording_ring::shared;
    if (!known || reserved != 0 || kept > begun || begun > into.given_out) {
        return numbered("bad head of ring", index);
    }
    if (index != 0 && p <= *p_seen) return numbered("out of order: ring", index);
    *p_seen = p;
    if (kept > in.left() / sizeof(event)) return numbered("it ends within ring", index);
    for (std::uint64_t i = 0; i < kept; ++i) {
        const event e = take_event(in);
        if (e.number == 0) {
            if (!is_blank(e)) return numbered("an event without a number in ring", index);
            ++into.incomplete;
            continue;
        }
        if (const char* fault = fault_of(e); fault != nullptr) {
            return numbered("event", e.number) + " " + fault;
        }
        if ((p == recording_ring::shared ? detail::record_no_p : p) != e.p) {
            return numbered("in the ring of another P: event", e.number);
        }
        if (e.number > into.given_out) return numbered("no such number was given out:", e.number);
        into.events.push_back(e);
    }
    return {};
}

std::string read_header(cursor& in, std::uint32_t* rings, recording& into) {
    if (in.left() < sizeof(recording_header)) return "it is too short for a recording";
    if (in.take<std::uint64_t>() != recording_header::the_magic) return "it is no recording";
    const auto version = in.take<std::uint32_t>();
    if (version != recording_header::the_version) return numbered("it is of version", version);
    const auto event_bytes = in.take<std::uint32_t>();
    *rings = in.take<std::uint32_t>();
    const auto reserved = in.take<std::uint32_t>();
    into.given_out = in.take<std::uint64_t>();
    const auto flags = in.take<std::uint64_t>();
    into.process = in.take<std::uint64_t>();
    into.crashed = (flags & detail::recording_crashed) != 0;
    const bool good = event_bytes == sizeof(event) && *rings <= most_ps + 1 && reserved == 0 &&
                      flags <= detail::recording_crashed;
    return good ? "" : "bad header";
}

}  // namespace

std::string read(std::span<const std::byte> bytes, recording& into) {
    into = {};
    cursor in(bytes);
    std::uint32_t rings = 0;
    if (std::string why = read_header(in, &rings, into); !why.empty()) return why;
    into.events.reserve(in.left() / sizeof(event));
    std::uint64_t p_seen = 0;
    for (std::uint32_t i = 0; i < rings; ++i) {
        if (std::string why = read_ring(in, i, &p_seen, into); !why.empty()) return why;
    }
    if (in.left() != 0) return "there is something behind the last ring";
    std::vector<event>& events = into.events;
    std::sort(events.begin(), events.end(),
              [](const event& a, const event& b) { return a.number < b.number; });
    const auto twice =
        std::adjacent_find(events.begin(), events.end(),
                           [](const event& a, const event& b) { return a.number == b.number; });
    if (twice != events.end()) return numbered("two events have number", twice->number);
    return {};
}

}  // namespace vole::trace
