#include "store.hpp"

#include <charconv>

#include "parser.hpp"

namespace resp {

store::map::iterator store::shard::find_live(std::string_view key) {
    const auto found = entries.find(key);
    if (found == entries.end() || found->second.expires == never ||
        found->second.expires > vole::clock::now())
        return found;
    erase(found);
    return entries.end();
}

void store::shard::set_expiry(map::iterator at, time_point t) {
    entry& e = at->second;
    if (e.expires == t) return;
    if (e.expires != never) by_time.erase({e.expires, &at->first});
    if (t != never) by_time.insert({t, &at->first});
    e.expires = t;
}

void store::shard::erase(map::iterator at) {
    set_expiry(at, never);
    entries.erase(at);
}

bool store::set(std::string_view key, std::string_view value, time_point expires, when w) {
    shard& s = shard_of(key);
    const std::lock_guard lock(s.mutex);
    auto at = s.find_live(key);
    const bool there = at != s.entries.end();
    if (w != when::always && there != (w == when::present)) return false;
    if (!there) at = s.entries.try_emplace(std::string(key)).first;
    std::string& to = at->second.value;
    to.assign(value);
    if (to.capacity() / 4 > to.size() + 64) to.shrink_to_fit();  // a large one has been before it
    s.set_expiry(at, expires);
    return true;
}

bool store::erase(std::string_view key) {
    shard& s = shard_of(key);
    const std::lock_guard lock(s.mutex);
    const auto at = s.find_live(key);
    if (at == s.entries.end()) return false;
    s.erase(at);
    return true;
}

std::pair<store::sum, long long> store::add(std::string_view key, long long delta) {
    shard& s = shard_of(key);
    const std::lock_guard lock(s.mutex);
    auto at = s.find_live(key);
    long long n = 0;
    if (at != s.entries.end()) {
        const auto number = read_integer(at->second.value);
        if (!number) return {sum::not_a_number, 0};
        n = *number;
    }
    if (__builtin_add_overflow(n, delta, &n)) return {sum::overflow, 0};
    if (at == s.entries.end()) at = s.entries.try_emplace(std::string(key)).first;
    at->second.value = std::to_string(n);
    return {sum::done, n};
}

bool store::expire(std::string_view key, time_point t) {
    shard& s = shard_of(key);
    const std::lock_guard lock(s.mutex);
    const auto at = s.find_live(key);
    if (at == s.entries.end()) return false;
    if (t <= vole::clock::now())
        s.erase(at);
    else
        s.set_expiry(at, t);
    return true;
}

std::optional<store::time_point> store::expiry(std::string_view key) {
    shard& s = shard_of(key);
    const std::lock_guard lock(s.mutex);
    const auto at = s.find_live(key);
    if (at == s.entries.end()) return std::nullopt;
    return at->second.expires;
}

std::size_t store::size() {
    std::size_t n = 0;
    for (shard& s : shards_) {
        const std::lock_guard lock(s.mutex);
        n += s.entries.size();
    }
    return n;
}

void store::sweep() {
    constexpr int at_once = 100;
    const time_point now = vole::clock::now();
    for (shard& s : shards_) {
        bool more = true;
        while (more) {
            const std::lock_guard lock(s.mutex);
            int n = 0;
            while (n < at_once && !s.by_time.empty() && s.by_time.begin()->first <= now) {
                s.erase(s.entries.find(*s.by_time.begin()->second));
                ++n;
            }
            more = n == at_once;
        }
    }
}

}  // namespace resp
