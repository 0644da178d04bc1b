// How many Ps follow from affinity, quota and environment. Cites SCHED-3, SCHED-4, SCHED-12.
#include <catch2/catch.hpp>

#include "runtime/src/os/cgroup.hpp"
#include "runtime/src/os/cpus.hpp"

#include <limits>
#include <sched.h>
#include <thread>

using namespace vole::detail;

TEST_CASE("SCHED-4 the default number of Ps", "[unit][cpus]") {
    struct row {
        double quota;
        int affinity;
        int procs;
    };
    constexpr row table[] = {
        {no_cpu_quota, 8, 8}, {no_cpu_quota, 1, 1}, {0.5, 8, 2},    {0.001, 8, 2}, {1.0, 8, 2},
        {2.0, 8, 2},          {2.1, 8, 3},          {2.0001, 8, 3}, {7.5, 8, 8},   {8.0, 8, 8},
        {100.0, 8, 8},        {1e300, 8, 8},        {0.5, 1, 1},    {5.0, 1, 1},   {0.5, 2, 2},
        {3.0, 2, 2},          {no_cpu_quota, 0, 1}, {0.0, 8, 2},
    };
    for (const row& r : table) {
        INFO("quota " << r.quota << ", affinity " << r.affinity);
        CHECK(default_procs(r.quota, r.affinity) == r.procs);
    }
    CHECK(default_procs(std::numeric_limits<double>::infinity(), 8) == 8);
    CHECK(default_procs(std::numeric_limits<double>::quiet_NaN(), 8) == 8);
}

TEST_CASE("SCHED-3 the value of VOLE_MAXPROCS", "[unit][cpus]") {
    CHECK(parse_maxprocs(nullptr) == 0);
    CHECK(parse_maxprocs("") == 0);
    CHECK(parse_maxprocs("1") == 1);
    CHECK(parse_maxprocs("2") == 2);
    CHECK(parse_maxprocs("007") == 7);
    CHECK(parse_maxprocs("1024") == 1024);
    CHECK(parse_maxprocs("4096") == 4096);
    for (const char* bad : {"4097", "1000000000", "99999999999999999999", "-3", "0", "abc", "3x",
                            "3 ", " 3", "+3", "0x10", "2.5", "1e3", "-99999999999999999999"}) {
        INFO(bad);
        CHECK(parse_maxprocs(bad) == 0);
    }
}

TEST_CASE("SCHED-12 the CPUs of the calling thread", "[unit][cpus]") {
    cpu_set_t all;
    CPU_ZERO(&all);
    if (::sched_getaffinity(0, sizeof all, &all) != 0) {
        return;  // more CPUs than this simple mask holds
    }
    CHECK(affinity_count() == CPU_COUNT(&all));

    int with_one = 0;
    std::thread([&] {
        cpu_set_t one;
        CPU_ZERO(&one);
        for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
            if (CPU_ISSET(cpu, &all)) {
                CPU_SET(cpu, &one);
                break;
            }
        }
        with_one = ::sched_setaffinity(0, sizeof one, &one) == 0 ? affinity_count() : 1;
    }).join();
    CHECK(with_one == 1);
}
