// A day of virtual time: ten thousand clients of a server that is too small, each with a back-off of its own.
// Cites SYN-19, SYN-22, SYN-26.
//
// All chance comes from generators that are made of the bubble's seed and the client's number. In a trace of
// these seeds no two events share an instant (each run checks it), so virtual time alone says who comes next: the
// trace must be the same in every run, on any number of Ps, and the one that a simulation without goroutines gives.
#include "test/synctest/synctest_support.hpp"

#include <algorithm>
#include <queue>
#include <utility>

namespace vole::test {

namespace {

constexpr std::int64_t day = ns(24h);
constexpr std::int64_t opening_hours = ns(20h);  // when clients come for the first time
constexpr std::int64_t first_back_off = ns(1min);
constexpr int tries = 8;
constexpr int capacity = 4;
constexpr std::int64_t all_service = ns(125h);  // 45 s each, for ten thousand

// splitmix64
class generator {
  public:
    generator(std::uint64_t seed, int client)
        : state_(seed * 0x100000001B3U ^ static_cast<std::uint64_t>(client) * 0xD1342543DE82EF95U) {
    }
    /// From half of `mean` to one and a half.
    std::int64_t around(std::int64_t mean) { return mean / 2 + below(mean); }
    std::int64_t below(std::int64_t n) {
        std::uint64_t z = state_ += 0x9E3779B97F4A7C15U;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9U;
        z = (z ^ z >> 27) * 0x94D049BB133111EBU;
        return static_cast<std::int64_t>((z ^ z >> 31) % static_cast<std::uint64_t>(n));
    }

  private:
    std::uint64_t state_;
};

/// What happened, in order.
struct trace {
    std::uint64_t hash = 14695981039346656037U;
    std::int64_t last = 0;
    bool ordered = true;  // each event later than the one before
    int served = 0;
    int refused = 0;
    int gave_up = 0;

    void add(std::int64_t at, int client, char what) {
        for (const std::uint64_t word :
             {static_cast<std::uint64_t>(at), static_cast<std::uint64_t>(client),
              static_cast<std::uint64_t>(what)}) {
            hash = (hash ^ word) * 1099511628211U;
            hash ^= hash >> 29;
        }
        ordered = ordered && at > last;
        last = at;
    }
    friend bool operator==(const trace&, const trace&) = default;
};

/// Serves few at once, refuses the others.
class server {
  public:
    bool begin(std::int64_t at, int client) {
        const bool accepted = busy_ < capacity;
        if (accepted)
            ++busy_;
        else
            ++seen_.refused;
        seen_.add(at, client, accepted ? '+' : '-');
        return accepted;
    }
    void end(std::int64_t at, int client) {
        --busy_;
        ++seen_.served;
        seen_.add(at, client, '.');
    }
    void give_up() { ++seen_.gave_up; }
    const trace& seen() const { return seen_; }

  private:
    int busy_ = 0;
    trace seen_;
};

trace with_goroutines(std::uint64_t seed, int clients) {
    trace result;
    bubble(seed, [&] {
        const stopwatch t;
        mutex lock;
        server s;
        wait_group all;
        const auto locked = [&](auto f) {
            const std::lock_guard hold(lock);
            return f();
        };
        for (int i = 0; i < clients; ++i) {
            all.go([&, i] {
                generator chance(synctest::seed(), i);
                std::int64_t back_off = first_back_off;
                sleep(1ns * (1 + chance.below(opening_hours)));
                for (int n = 1; !locked([&] { return s.begin(t.ns(), i); }); ++n) {
                    if (n == tries) return locked([&] { s.give_up(); });
                    sleep(1ns * chance.around(back_off));
                    back_off *= 2;
                }
                sleep(1ns * chance.around(all_service / clients));
                locked([&] { s.end(t.ns(), i); });
            });
        }
        all.wait();
        result = s.seen();
        sleep_until(t.start() + 24h);
        if (t.ns() != day) result.ordered = false;
    });
    return result;
}

trace simulated(std::uint64_t seed, int clients) {
    struct client {
        generator chance;
        int n = 1;
        bool served = false;
        std::int64_t back_off = first_back_off;
    };
    std::vector<client> all;
    using due = std::pair<std::int64_t, int>;
    std::priority_queue<due, std::vector<due>, std::greater<>> queue;
    for (int i = 0; i < clients; ++i) {
        all.push_back({generator(seed, i)});
        queue.emplace(1 + all.back().chance.below(opening_hours), i);
    }
    server s;
    while (!queue.empty()) {
        const auto [at, i] = queue.top();
        queue.pop();
        client& c = all[static_cast<std::size_t>(i)];
        if (c.served) {
            s.end(at, i);
        } else if (s.begin(at, i)) {
            c.served = true;
            queue.emplace(at + c.chance.around(all_service / clients), i);
        } else if (c.n++ == tries) {
            s.give_up();
        } else {
            queue.emplace(at + c.chance.around(std::exchange(c.back_off, 2 * c.back_off)), i);
        }
    }
    return s.seen();
}

int how_many_clients() { return std::min(scaled(10'000, 200), most_goroutines); }

/// How many of `runs` runs give the trace that the simulation gives.
int equal_runs(int runs) {
    const int clients = how_many_clients();
    const trace wanted = simulated(1, clients);
    int equal = 0;
    for (int i = 0; i < runs; ++i) {
        constexpr std::array procs{4, 1, 2};
        const procs_scope guard(procs[static_cast<std::size_t>(i) % procs.size()]);
        const trace got = with_goroutines(1, clients);
        equal += got == wanted;
    }
    return equal;
}

}  // namespace

TEST_CASE("SYN-26 the back-off simulation is one that tells something", "[synctest][backoff]") {
    const int clients = how_many_clients();
    const trace one = simulated(1, clients);
    CHECK(one.ordered);
    CHECK(one.last < day);
    CHECK(one.last > opening_hours);
    CHECK(one.served > clients / 2);
    CHECK(one.gave_up > clients / 20);
    CHECK(one.served + one.gave_up == clients);
    CHECK(one.refused > 2 * clients);
    CHECK(one == simulated(1, clients));
    CHECK(one.hash != simulated(2, clients).hash);
}

TEST_CASE("SYN-19 SYN-22 SYN-26 a day of ten thousand clients is the same in every run",
          "[synctest][backoff]") {
    const int runs = scaled(20, 3);
    CHECK(equal_runs(runs) == runs);
    const int clients = std::min(1000, how_many_clients());
    CHECK(with_goroutines(2, clients) == simulated(2, clients));
}

TEST_CASE("SYN-26 a thousand of these days", "[.full][synctest][backoff]") {
    const int runs = 1000;
    CHECK(equal_runs(runs) == runs);
}

}  // namespace vole::test
