// See settings.hpp. Locks: none (the first caller parses, others wait for it). Stack: any.
#include "runtime/src/os/settings.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <sched.h>
#include <string_view>
#include <system_error>
#include <unistd.h>

#include <vole/detail/atomic.hpp>

#include "runtime/internal/os.hpp"

namespace vole::inline v0::detail {
namespace {

bool parse_whole(std::string_view text, int& out) noexcept {
    int value = 0;
    const char* const last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data(), last, value);
    // No sign, not even that of "-0".
    if (error != std::errc{} || end != last || text.starts_with('-')) {
        return false;
    }
    out = value;
    return true;
}

bool parse_switch(std::string_view text, bool& out) noexcept {
    if (text != "0" && text != "1") {
        return false;
    }
    out = text == "1";
    return true;
}

void complain(void (*warn)(const char*), const char* what, std::string_view item) noexcept {
    if (warn == nullptr) {
        return;
    }
    // A line feed in it would make two lines of one, and the second somebody else's.
    std::array<char, 61> shown{};
    item = item.substr(0, shown.size() - 1);
    std::transform(item.begin(), item.end(), shown.begin(), [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
    });
    std::array<char, 160> message;
    std::snprintf(message.data(), message.size(), "vole: VOLE_DEBUG: %s \"%s\" ignored", what,
                  shown.data());
    warn(message.data());
}

void warn_on_stderr(const char* message) {
    std::array<char, 192> line;
    const int length = std::snprintf(line.data(), line.size(), "%s\n", message);
    if (length > 0) {
        // One write, so that lines of several threads do not mix. Nothing can be done if it fails.
        [[maybe_unused]] const ssize_t n =
            os::write(STDERR_FILENO, line.data(), static_cast<std::size_t>(length));
    }
}

enum class phase : int { unread, reading, ready };

constinit settings current{};
constinit atomic<phase> state{phase::unread};

}  // namespace

settings parse_settings(const char* text, void (*warn)(const char* message)) noexcept {
    settings result;
    if (text == nullptr) {
        return result;
    }
    std::string_view rest = text;
    while (!rest.empty()) {
        const std::size_t comma = rest.find(',');
        const std::string_view item = rest.substr(0, comma);
        rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
        if (item.empty()) {
            continue;
        }
        const std::size_t equals = item.find('=');
        const std::string_view name = item.substr(0, equals);
        const std::string_view value =
            equals == std::string_view::npos ? std::string_view{} : item.substr(equals + 1);

        bool understood = false;
        if (name == "schedtrace") {
            understood = parse_whole(value, result.schedtrace_ms);
        } else if (name == "containermaxprocs") {
            understood = parse_switch(value, result.container_maxprocs);
        } else if (name == "updatemaxprocs") {
            understood = parse_switch(value, result.update_maxprocs);
        } else if (name == "lockrank") {
            understood = parse_switch(value, result.lockrank);
        } else if (name == "stacktrace") {
            understood = parse_switch(value, result.stacktrace);
        } else if (name == "stackexplain") {
            understood = parse_switch(value, result.stackexplain);
        } else if (name == "stackverify") {
            understood = parse_switch(value, result.stackverify);
        } else if (name == "asyncpreemptoff") {
            understood = parse_switch(value, result.asyncpreemptoff);
        } else if (name == "preempttrace") {
            understood = parse_switch(value, result.preempttrace);
        } else if (name == "preemptexplain") {
            understood = parse_switch(value, result.preemptexplain);
        } else if (name == "record") {
            understood = !value.empty();
            if (understood) result.record = value;
        } else if (name == "recordsize") {
            understood = parse_whole(value, result.recordsize);
        } else if (name == "fail") {
            understood = are_faults(value);
            if (understood) result.fail = value;
        } else {
            complain(warn, "unknown setting", item);
            continue;
        }
        if (!understood) {
            complain(warn, "unusable value in", item);
        }
    }
    return result;
}

const settings& debug_settings() noexcept {
    phase seen = state.load(memory_order_acquire);
    if (seen == phase::ready) {
        return current;
    }
    seen = phase::unread;
    if (state.compare_exchange_strong(seen, phase::reading, memory_order_acquire)) {
        current = parse_settings(std::getenv("VOLE_DEBUG"), warn_on_stderr);
        if (!current.fail.empty()) plan_faults(current.fail);
        state.store(phase::ready, memory_order_release);
        return current;
    }
    while (state.load(memory_order_acquire) != phase::ready) {
        ::sched_yield();
    }
    return current;
}

}  // namespace vole::detail
