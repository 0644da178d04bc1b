// Ps that are taken away: from system calls, from goroutines that do not enter the runtime, to stop the world. Each has one user at a
// time, who has seen what the one before did, and none is lost, under all that the memory orders allow.
#include <catch2/catch.hpp>

#include "test/explore/weak/crew.hpp"

#include <vector>

using namespace weak_memory;

namespace {

void nothing() {}

// The first goroutine makes system calls, and sysmon may take its P.
void from_system_calls(world& w, int procs, int threads, int calls) {
    bool calls_now = false;
    crew c(w, procs, threads, [&](int item, int) {
        for (int i = 0; item == 1 && i < calls; ++i) {
            c.machine().call_system([&] {
                calls_now = true;
                yield();
            });
        }
    });
    c.run({1, 2}, 2, {[&] {
              while (!calls_now) yield();
              for (int i = 0; i < 2; ++i) c.machine().retake();
          }});
}
void one_call(world& w) { from_system_calls(w, 1, 2, 1); }
void two_calls(world& w) { from_system_calls(w, 1, 2, 2); }
void two_procs(world& w) { from_system_calls(w, 2, 3, 1); }

// Two goroutines that compute, and enter the runtime now and then. The first starts the second, which waits for its P.
void detached(world& w, int procs, int threads, int entries) {
    bool begun = false;
    crew c(w, procs, threads, [&](int item, int thread) {
        if (item == 1) c.machine().publish_last(2, thread);
        begun = true;
        for (int i = 0; i < entries; ++i) c.machine().enter();
    });
    c.run({1}, 2, {[&] {
              while (!begun) yield();
              for (int i = 0; i < 2; ++i) c.machine().detach();
          }});
}
void detached_from_one(world& w) { detached(w, 1, 2, 2); }
void detached_from_two(world& w) { detached(w, 2, 3, 2); }
// It is inside while all threads pass the fence, and leaves before sysmon looks.
void detached_at_once(world& w) { detached(w, 1, 2, 4); }

// The world stops while a system call lasts, and the P may be taken by sysmon instead.
void stopped(world& w, int threads, bool sysmon) {
    bool begun = false;
    crew c(w, 1, threads, [&](int, int) {
        begun = true;
        c.machine().call_system(nothing);
    });
    const auto once_begun = [&](void (machine_unit::*f)()) {
        return [&, f] {
            while (!begun) yield();
            (c.machine().*f)();
        };
    };
    std::vector<std::function<void()>> beside = {once_begun(&machine_unit::stop_and_start)};
    if (sysmon) beside.push_back(once_begun(&machine_unit::retake));
    c.run({1}, 1, beside);
}
// With one thread, the goroutine that comes back has nobody who hands it its P.
void stopped_in_a_call(world& w) { stopped(w, 1, false); }
void stopped_beside_sysmon(world& w) { stopped(w, 2, true); }

// The call lasts until the world has been stopped: nobody else can tell the one who waits for it. `another`: sysmon takes the P, with
// a goroutine for which there is no thread.
void stopped_meanwhile(world& w, bool another) {
    bool begun = false;
    const char stays = 0;
    crew c(w, 1, 1, [&](int item, int thread) {
        if (item == 2) return;
        if (another) c.machine().publish_last(2, thread);
        begun = true;
        c.machine().call_system([&] { sleep(&stays); });
    });
    std::vector<std::function<void()>> beside = {[&] {
        while (!begun) yield();
        c.machine().stop_and_start();
        wake(&stays);
    }};
    if (another) {
        beside.push_back([&] {
            while (!begun) yield();
            for (int i = 0; i < 2; ++i) c.machine().retake();
        });
    }
    c.run({1}, another ? 2 : 1, beside);
}
void stopped_by_who_stays(world& w) { stopped_meanwhile(w, false); }
void stopped_without_a_thread(world& w) { stopped_meanwhile(w, true); }

constexpr std::uint64_t schedules = 2'000;

}  // namespace

TEST_CASE("weak: a P is taken from a system call by one only", "[explore][weak]") {
    holds(one_call, schedules);
    holds(two_calls, schedules);
    holds(two_procs, schedules);
    CHECK(fails(without::release, two_calls) != "");
    CHECK(fails(without::acquire, two_calls) != "");
}
TEST_CASE("weak: a goroutine loses its P only outside the runtime", "[explore][weak]") {
    holds(detached_from_one, schedules);
    holds(detached_from_two, schedules);
    holds(detached_at_once, schedules);
    CHECK(fails(without::fence_all, detached_from_one) != "");
    CHECK(fails(without::release, detached_at_once) != "");
    CHECK(fails(without::acquire, detached_at_once) != "");
}
TEST_CASE("weak: the world stops for system calls, too", "[explore][weak]") {
    holds(stopped_in_a_call, schedules);
    holds(stopped_beside_sysmon, schedules);
    holds(stopped_by_who_stays, schedules);
    holds(stopped_without_a_thread, schedules);
    CHECK(fails(without::sequential, stopped_by_who_stays) != "");
}
