// Keys and values, some of which expire, for many goroutines at once.
//
// 64 shards, each a map and a vole::mutex. Why not one vole::sync_map: INCR, SET NX and EXPIRE read, decide and write, which
// is one step under a lock, and a loop of compare-and-swap without; a SET of a key that exists keeps its
// memory here, where sync_map would make a new entry; and the expiry of a key is in a second order, by time, that must
// agree with the map. The sections are short, and 64 of them seldom meet. No lock is held while anything waits.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include <vole/vole.hpp>

namespace resp {

class store {
  public:
    using time_point = vole::clock::time_point;
    static constexpr time_point never = time_point::max();

    enum class when { always, absent, present };

    /// Calls f(value) while nobody can change it, if the key is there.
    template <class F>
    bool read(std::string_view key, F&& f) {
        shard& s = shard_of(key);
        const std::lock_guard lock(s.mutex);
        const auto found = s.find_live(key);
        if (found == s.entries.end()) return false;
        std::forward<F>(f)(std::string_view(found->second.value));
        return true;
    }

    /// False: the key was there, or was not, and nothing has changed.
    bool set(std::string_view key, std::string_view value, time_point expires, when w);
    bool erase(std::string_view key);

    enum class sum { done, not_a_number, overflow };
    /// The value, as a number, and `delta`; a key that is not there counts as 0.
    std::pair<sum, long long> add(std::string_view key, long long delta);

    /// False: no such key. One that has expired is gone.
    bool expire(std::string_view key, time_point t);
    /// never: it does not expire. nullopt: no such key.
    std::optional<time_point> expiry(std::string_view key);

    /// Those, too, that have expired since the last sweep() and were not asked for.
    std::size_t size();

    /// Erases what has expired. Holds a lock for a hundred keys at most, then lets others in.
    void sweep();

  private:
    struct entry {
        std::string value;
        time_point expires = never;
    };
    struct hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const noexcept {
            return std::hash<std::string_view>()(text);
        }
    };
    using map = std::unordered_map<std::string, entry, hash, std::equal_to<>>;

    struct alignas(64) shard {
        vole::mutex mutex;
        map entries;
        // What expires, first things first; the keys are those of the entries, which do not move.
        std::set<std::pair<time_point, const std::string*>> by_time;

        /// Expired ones are found here, at the latest, and erased.
        map::iterator find_live(std::string_view key);
        void set_expiry(map::iterator at, time_point t);
        void erase(map::iterator at);
    };

    shard& shard_of(std::string_view key) {
        // The maps use the low bits for themselves.
        return shards_[(hash()(key) >> 32) % shards_.size()];
    }

    std::array<shard, 64> shards_;
};

}  // namespace resp
