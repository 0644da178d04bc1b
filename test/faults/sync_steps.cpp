// Channels, locks, maps, pools, groups.
#include "test/faults/program.hpp"

#include <vole/managed.hpp>
#include <vole/pool.hpp>
#include <vole/semaphore.hpp>
#include <vole/single_flight.hpp>
#include <vole/sync_map.hpp>
#include <vole/task_group.hpp>

#include <memory>
#include <string>

namespace vole::faults {
namespace {

void channels() {
    auto c = make_chan<int>();
    auto buffered = make_chan<std::string>(64);
    team all;
    try {
        all.go([c] {
            for (const int n : {1, 2, 3}) c.send(n);
            c.close();
        });
    } catch (...) {
        c.close();
        throw;
    }
    int sum = 0;
    for (const int n : c) sum += n;
    all.wait();
    must(sum == 6, "each element arrives once");
    for (int i = 0; i < 64; ++i) {
        buffered.send("a text that is too long for a short one, so that it needs memory");
    }
    must(buffered.len() == 64, "a buffer holds what was sent");
}

// More cases than fit into the goroutine's own places.
void selects() {
    std::vector<chan<int>> many;
    for (int i = 0; i < 40; ++i) many.push_back(make_chan<int>(1));
    many[17].send(5);
    int got = 0;
    vole::selector s;
    for (auto& c : many) s.recv(c, [&](std::optional<int> v) { got = v.value_or(-1); });
    s.select();
    must(got == 5, "the ready case is taken");
}

void locks() {
    mutex mu;
    rw_mutex rw;
    cond changed;
    int n = 0;
    team all;
    for (int i = 0; i < 8; ++i) {
        all.go([&] {
            for (int k = 0; k < 100; ++k) {
                rw.lock_shared();
                rw.unlock_shared();
                const std::lock_guard held(mu);
                ++n;
                changed.notify_all();
            }
        });
    }
    all.wait();
    rw.lock();
    rw.unlock();
    must(n == 800, "a lock keeps others out");
}

void maps() {
    sync_map<int, std::string> map;
    for (int i = 0; i < 300; ++i) {
        map.store(i, "a value that is too long for a short text: it needs memory");
    }
    int there = 0;
    for (int i = 0; i < 300; ++i) there += map.load(i) ? 1 : 0;
    must(there == 300, "what was stored is there");
    for (int i = 0; i < 300; ++i) map.erase(i);
    must(!map.load(7), "what was erased is not");
}

void pools() {
    pool<int> spare([] { return std::make_unique<int>(1); });
    auto one = spare.get();
    must(one != nullptr, "a pool makes what it has not");
    spare.put(std::move(one));
    (void)spare.get();
}

void flights() {
    single_flight<int, int> f;
    const auto r = f.call(1, [] { return 3; });
    must(r.value == 3, "a flight gives what its function gave");
}

void semaphores() {
    weighted_semaphore s(2);
    team all;
    for (int i = 0; i < 4; ++i) {
        all.go([&] {
            s.acquire(2);
            gosched();
            s.release(2);
        });
    }
    all.wait();
}

void managed_objects() {
    auto p = make_managed<std::string>("a text that is too long for a short one: it needs memory");
    const auto w = make_weak(p);
    must(w.value() == p, "a weak handle finds what is there");
}

void groups() {
    task_group g;
    for (int i = 0; i < 10; ++i) g.go([] { gosched(); });
    g.wait();
}

}  // namespace

void sync_steps() {
    step("channels", channels);
    step("selects", selects);
    step("locks", locks);
    step("maps", maps);
    step("pools", pools);
    step("flights", flights);
    step("semaphores", semaphores);
    step("managed objects", managed_objects);
    step("groups", groups);
}

}  // namespace vole::faults
