#include "commands.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <optional>
#include <string>

#include "parser.hpp"

namespace resp {
namespace {

using arguments = std::span<const std::string_view>;
using vole::clock;

constexpr std::string_view not_an_integer = "ERR value is not an integer or out of range";
constexpr std::string_view syntax_error = "ERR syntax error";

bool same(std::string_view a, std::string_view lower) {
    return std::ranges::equal(a, lower, {}, [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
}

/// The command's surroundings, and the replies there are.
struct call {
    arguments args;  // the first one is the command's name
    store& data;
    serving::output& out;

    void line(char kind, long long n) {
        std::array<char, 24> digits;
        const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), n);
        out.text().append(1, kind).append(digits.data(), end.ptr).append("\r\n");
    }
    void simple(std::string_view text) { out.text().append("+").append(text).append("\r\n"); }
    void ok() { simple("OK"); }
    void integer(long long n) { line(':', n); }
    void array(std::size_t n) { line('*', static_cast<long long>(n)); }
    void nil() { out.text().append("$-1\r\n"); }
    void bulk(std::string_view text) {
        line('$', static_cast<long long>(text.size()));
        out.text().append(text).append("\r\n");
    }
    void error(std::string_view text) { write_error(out, text); }
    void invalid_time(std::string_view command) {
        error("ERR invalid expire time in '" + std::string(command) + "' command");
    }
};

void value_or_nil(call& c, std::string_view key) {
    if (!c.data.read(key, [&](std::string_view value) { c.bulk(value); })) c.nil();
}

/// So long from now; none: beyond what a clock can say.
template <class Unit>
std::optional<clock::time_point> from_now(long long n) {
    const clock::time_point now = clock::now();
    const auto most = std::chrono::duration_cast<Unit>(clock::time_point::max() - now).count();
    if (n >= most || n <= -most) return std::nullopt;
    return now + Unit(n);
}

// ---- the commands -------------------------------------------------------------------------------

void ping(call& c) {
    if (c.args.size() == 1)
        c.simple("PONG");
    else
        c.bulk(c.args[1]);
}

void echo(call& c) { c.bulk(c.args[1]); }

void get(call& c) { value_or_nil(c, c.args[1]); }

void mget(call& c) {
    c.array(c.args.size() - 1);
    for (const std::string_view key : c.args.subspan(1)) {
        value_or_nil(c, key);
        c.out.flush_if_full();  // a few keys may be a lot to hold
    }
}

/// SET key value [NX | XX] [EX seconds | PX milliseconds]
void set(call& c) {
    auto when = store::when::always;
    clock::time_point expires = store::never;
    for (std::size_t i = 3; i < c.args.size(); ++i) {
        const bool nx = same(c.args[i], "nx");
        const bool seconds = same(c.args[i], "ex");
        if (nx || same(c.args[i], "xx")) {
            if (when != store::when::always) return c.error(syntax_error);
            when = nx ? store::when::absent : store::when::present;
        } else if (seconds || same(c.args[i], "px")) {
            if (expires != store::never || ++i == c.args.size()) return c.error(syntax_error);
            const auto n = read_integer(c.args[i]);
            if (!n) return c.error(not_an_integer);
            const auto t = seconds ? from_now<std::chrono::seconds>(*n)
                                   : from_now<std::chrono::milliseconds>(*n);
            if (*n <= 0 || !t) return c.invalid_time("set");
            expires = *t;
        } else {
            return c.error(syntax_error);
        }
    }
    if (c.data.set(c.args[1], c.args[2], expires, when))
        c.ok();
    else
        c.nil();
}

void del(call& c) {
    long long n = 0;
    for (const std::string_view key : c.args.subspan(1)) n += c.data.erase(key) ? 1 : 0;
    c.integer(n);
}

void incr(call& c) {
    const auto [result, n] = c.data.add(c.args[1], 1);
    switch (result) {
        case store::sum::done: return c.integer(n);
        case store::sum::not_a_number: return c.error(not_an_integer);
        case store::sum::overflow: return c.error("ERR increment or decrement would overflow");
    }
}

void expire(call& c) {
    const auto n = read_integer(c.args[2]);
    if (!n) return c.error(not_an_integer);
    const auto t = from_now<std::chrono::seconds>(*n);
    if (!t) return c.invalid_time("expire");
    c.integer(c.data.expire(c.args[1], *t) ? 1 : 0);
}

void ttl(call& c) {
    const auto t = c.data.expiry(c.args[1]);
    if (!t) return c.integer(-2);
    if (*t == store::never) return c.integer(-1);
    c.integer(std::chrono::round<std::chrono::seconds>(*t - clock::now()).count());
}

void dbsize(call& c) { c.integer(static_cast<long long>(c.data.size())); }

// Clients ask these two when they begin, and are content to hear nothing.
void command(call& c) { c.array(0); }
void config(call& c) {
    if (same(c.args[1], "get"))
        c.array(0);
    else
        c.error("ERR unknown subcommand '" + std::string(c.args[1].substr(0, 128)) + "'");
}

void quit(call& c) { c.ok(); }

struct known_command {
    std::string_view name;
    std::size_t least, most;  // arguments, the name included
    void (*run)(call&);
};

constexpr std::size_t any = -1UL;
constexpr std::array known_commands{
    known_command{"get", 2, 2, get},         known_command{"set", 3, any, set},
    known_command{"incr", 2, 2, incr},       known_command{"mget", 2, any, mget},
    known_command{"del", 2, any, del},       known_command{"expire", 3, 3, expire},
    known_command{"ttl", 2, 2, ttl},         known_command{"ping", 1, 2, ping},
    known_command{"dbsize", 1, 1, dbsize},   known_command{"command", 1, any, command},
    known_command{"config", 2, any, config}, known_command{"quit", 1, any, quit},
    known_command{"echo", 2, 2, echo},
};

std::string unknown(arguments args) {
    std::string text = "ERR unknown command '" + std::string(args[0].substr(0, 128)) +
                       "', with args beginning with: ";
    const std::size_t most = text.size() + 128;
    for (const std::string_view a : args.subspan(1)) {
        if (text.size() >= most) break;
        text.append("'").append(a.substr(0, most - text.size())).append("' ");
    }
    return text;
}

}  // namespace

bool execute(std::span<const std::string_view> args, store& data, serving::output& out) {
    if (args.empty()) return true;
    call c{args, data, out};
    for (const known_command& k : known_commands) {
        if (!same(args[0], k.name)) continue;
        if (args.size() >= k.least && args.size() <= k.most) {
            k.run(c);
            return k.run != quit;
        }
        c.error("ERR wrong number of arguments for '" + std::string(k.name) + "' command");
        return true;
    }
    c.error(unknown(args));
    return true;
}

void write_error(serving::output& out, std::string_view text) {
    // What the client has sent may be in it; an error is one line.
    std::string& to = out.text();
    to.append("-");
    std::ranges::transform(text, std::back_inserter(to),
                           [](char c) { return c == '\r' || c == '\n' ? ' ' : c; });
    to.append("\r\n");
}

}  // namespace resp
