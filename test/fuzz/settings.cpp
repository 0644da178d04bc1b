// VOLE_DEBUG: comes from the environment. What is complained about might as well not have been there.
#include "test/fuzz/target.hpp"

#include "runtime/src/os/settings.hpp"

#include <tuple>

using namespace vole::detail;
using vole::fuzz::must_hold;

namespace {

std::vector<std::string> complaints;  // of the last parse

settings parse(const std::string& text) {
    complaints.clear();
    return parse_settings(text.c_str(),
                          [](const char* message) { complaints.emplace_back(message); });
}

auto all_of(const settings& s) {
    return std::tuple(s.schedtrace_ms, s.container_maxprocs, s.update_maxprocs, s.lockrank,
                      s.stacktrace, s.stackexplain, s.stackverify, s.asyncpreemptoff,
                      s.preempttrace, s.preemptexplain, std::string(s.record), s.recordsize,
                      std::string(s.fail));
}

void check_complaint(std::string_view text) {
    must_hold(text.starts_with("vole: VOLE_DEBUG: "), "a complaint says who complains");
    must_hold(text.ends_with(" ignored"), "a complaint says what happens");
    must_hold(std::ranges::none_of(
                  text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }),
              "a complaint is one line of visible characters");
}

/// Of an item that was taken: all values but a name of a file and what is to fail are whole numbers.
void check_value(std::string_view item) {
    if (item.empty()) return;
    const std::size_t equals = item.find('=');
    must_hold(equals != item.npos && equals + 1 < item.size(), "a setting has a value");
    must_hold(item.starts_with("record=") || item.starts_with("fail=") ||
                  item.find_first_not_of("0123456789", equals + 1) == item.npos,
              "a value is a number");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string text(vole::fuzz::text_of(data, size));
    text.resize(text.find('\0') == text.npos ? text.size() : text.find('\0'));
    const auto whole = all_of(parse(text));
    const std::size_t complained = complaints.size();
    for (const std::string& c : complaints) check_complaint(c);
    must_hold(all_of(parse_settings(text.c_str(), nullptr)) == whole, "nobody need listen");

    std::string good;
    std::size_t bad = 0;
    for (std::size_t at = 0; at <= text.size();) {
        const std::size_t comma = std::min(text.find(',', at), text.size());
        const std::string item = text.substr(at, comma - at);
        parse(item);
        must_hold(complaints.size() <= 1, "one item, one complaint");
        if (complaints.empty()) {
            check_value(item);
            good += item + ",";
        } else {
            ++bad;
        }
        at = comma + 1;
    }
    must_hold(bad == complained, "each item is complained about alone");
    must_hold(all_of(parse(good)) == whole, "what is complained about has no effect");
    must_hold(complaints.empty(), "what was good is good");
    return 0;
}
