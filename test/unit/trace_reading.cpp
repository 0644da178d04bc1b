// Reading recordings: whatever the bytes, events or a reason.
#include <catch2/catch.hpp>

#include "test/unit/trace_tape.hpp"
#include "tools/trace/checking.hpp"

#include <random>
#include <string>
#include <vector>

using namespace vole::test;
using vole::trace::check;

namespace {

std::vector<std::byte> two_rings() {
    tape t;
    t.p(record_kind::acquire, 0, 1, 0).g(7, idle, runnable, no, no);
    return t.g(7, runnable, running, 1, 0).g(7, running, waiting, 1, 0).bytes();
}

// Offsets in it.
constexpr std::size_t first_ring = sizeof(vole::detail::recording_header);
constexpr std::size_t first_event = first_ring + sizeof(vole::detail::recording_ring);

std::string why_not(std::vector<std::byte> bytes) { return check(bytes).unreadable; }

std::string with(std::size_t at, unsigned value) {
    auto bytes = two_rings();
    bytes.at(at) = static_cast<std::byte>(value);
    return why_not(std::move(bytes));
}

}  // namespace

TEST_CASE("reading a recording: an empty one, and a whole one", "[unit][trace]") {
    CHECK(check(two_rings()).good());
    const auto r = check(tape{}.bytes());
    CHECK(r.good());
    CHECK(r.checked == 0);
}

TEST_CASE("reading a recording: cut anywhere, or with something behind, it is none",
          "[unit][trace]") {
    const auto whole = two_rings();
    for (std::size_t n = 0; n < whole.size(); ++n) {
        INFO("after " << n << " bytes");
        CHECK(!why_not({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n)}).empty());
    }
    auto longer = whole;
    longer.push_back(std::byte{0});
    CHECK(why_not(longer) == "there is something behind the last ring");
}

TEST_CASE("reading a recording: what is wrong is named", "[unit][trace]") {
    CHECK(with(0, 'X') == "it is no recording");
    CHECK(with(8, 2) == "it is of version 2");
    CHECK(with(12, 24) == "bad header");
    CHECK(with(18, 1) == "bad header");                       // 65536 more rings
    CHECK(with(36, 1) == "bad header");                       // flags
    CHECK(with(first_ring + 2, 1) == "bad head of ring 0");   // P 65536
    CHECK(with(first_ring + 16, 9) == "bad head of ring 0");  // more kept than begun
    CHECK(with(first_event, 9) == "no such number was given out: 9");
    CHECK(with(first_event, 2) == "two events have number 2");
    CHECK(with(first_event, 0) == "an event without a number in ring 0");
    CHECK(with(first_event + 24, 99) == "event 1 is of an unknown kind");
    CHECK(with(first_event + 25, 1) == "event 1 is no event of a P");
    CHECK(with(first_event + 27, 1) == "event 1 is no event");
    CHECK(with(first_event + 17, 0x10) == "event 1 is of no P");
    CHECK(with(first_event + 18, 3) == "event 1 says which M, or does not, against its kind");
    CHECK(with(first_event + 30, 1) == "in the ring of another P: event 1");
    CHECK(with(first_event + 32 + 25, 0x61) == "event 3 changes no known status");
}

TEST_CASE("reading a recording: events that were half written are left out", "[unit][trace]") {
    auto bytes = two_rings();
    for (std::size_t i = 0; i < sizeof(recorded_event); ++i) bytes[first_event + i] = std::byte{0};
    const auto r = check(bytes);
    INFO(to_text(r));
    CHECK(r.good());
    CHECK(r.incomplete == 1);
    CHECK(r.checked == 3);
}

TEST_CASE("reading a recording: sizes that no memory could hold", "[unit][trace]") {
    auto bytes = two_rings();
    for (std::size_t i = 0; i < 8; ++i) {
        bytes[24 + i] = std::byte{0xff};               // numbers given out
        bytes[first_ring + 8 + i] = std::byte{0xff};   // begun
        bytes[first_ring + 16 + i] = std::byte{0xff};  // kept
    }
    CHECK(why_not(bytes) == "it ends within ring 0");
}

TEST_CASE("reading a recording: any bytes give an answer", "[unit][trace]") {
    std::mt19937 random(1);
    const auto whole = two_rings();
    for (int i = 0; i < 50'000; ++i) {
        auto bytes = whole;
        for (unsigned k = random() % 4; k < 4; ++k) {
            bytes[random() % bytes.size()] = static_cast<std::byte>(random() & 0xff);
        }
        const auto r = check(bytes);
        if (r.checked > 4) FAIL("more events than there are");
    }
}
