// Everything of vole::net at once, for as long as one likes, while goroutines are stopped at every place where they may be.
//
//     soak [SECONDS [SEED]]     2 s if not said
//
// On one, two and four Ps in turn: tasks of the kinds below, two of each, against servers that all share. Each checks every byte,
// and counts its rounds. A watchdog looks at the counts: one that stands still for too long has lost a wake-up, and the
// program ends with everybody's traceback. At the end of each turn nothing may be left: no descriptor, goroutine or wait.
//
// Exit status 0: all went well. Else it says what did not, and with which seed it was started.
#include "test/net/soak_tasks.hpp"
#include "test/preempt/preempt_support.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <thread>

namespace vole::test {

using namespace soaking;

namespace {

const std::span<const task> tasks = all_tasks();
constexpr std::size_t of_each = 2;
std::vector<count> counts_of(tasks.size() * of_each);

// ---- the watchdog -----------------------------------------------------------------------------

class watchdog {
  public:
    watchdog() : thread_([this] { watch(); }) {}
    ~watchdog() {
        over_ = true;
        thread_.join();
    }

  private:
    using wall = std::chrono::steady_clock;

    void watch() {
        std::vector<std::uint64_t> seen(counts_of.size());
        std::vector<wall::time_point> since(counts_of.size(), wall::now());
        while (!over_) {
            std::this_thread::sleep_for(20ms);
            for (std::size_t i = 0; i < seen.size(); ++i) {
                const std::uint64_t now = counts_of[i];
                if (now != seen[i]) since[i] = wall::now();
                seen[i] = now;
                if (wall::now() - since[i] > patience()) bark(i);
            }
        }
    }
    [[noreturn]] static void bark(std::size_t i) {
        std::fprintf(stderr, "soak: %s stands still after %llu rounds, %lld wait for the poller\n",
                     tasks[i / of_each].name, static_cast<unsigned long long>(counts_of[i].load()),
                     static_cast<long long>(detail::io_waiters()));
        write_traceback(STDERR_FILENO, traceback_scope::all);
        std::abort();
    }

    std::atomic<bool> over_{false};
    std::thread thread_;
};

// ---- turns ------------------------------------------------------------------------------------

long resident_kib() {
    long pages = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> pages >> resident;
    return resident * (::sysconf(_SC_PAGESIZE) / 1024);
}

void turn(int procs, storm::kind kind, std::chrono::milliseconds time, std::uint64_t seed) {
    const leaves_nothing check;
    stop = false;
    for (count& c : counts_of) c = 0;
    run_on(procs, [&] {
        const storm around(kind);
        const watchdog dog;
        servers s;
        wait_group all;
        for (std::size_t i = 0; i < counts_of.size(); ++i) {
            all.go([&, i] { tasks[i / of_each].run(s, counts_of[i], dice(seed + i)); });
        }
        sleep(time);
        // Those that have done nothing yet have had no chance.
        wait_until(
            [] { return std::ranges::all_of(counts_of, [](const count& c) { return c > 0; }); },
            "each task to do something");
        stop = true;
        all.wait();
    });
    const std::string left = check.text();
    ok(left.empty(), left);
    std::uint64_t rounds = 0;
    for (const count& c : counts_of) rounds += c;
    std::printf("%d P, %s: %llu rounds, %ld KiB resident\n", procs,
                kind == storm::kind::gentle ? "gentle" : "dense",
                static_cast<unsigned long long>(rounds), resident_kib());
    std::fflush(stdout);
}

// Thousands of connections a second would leave no port free for a minute after each. Where the system lets us have a
// network of our own, it may forget them at once.
void have_own_network() {
    if (::unshare(CLONE_NEWNET) != 0) return;
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ifreq lo{};
    std::strcpy(lo.ifr_name, "lo");
    lo.ifr_flags = IFF_UP | IFF_RUNNING;
    if (::ioctl(fd, SIOCSIFFLAGS, &lo) != 0) std::perror("soak: lo");
    ::close(fd);
    std::ofstream("/proc/sys/net/ipv4/tcp_max_tw_buckets") << 100;
}

int soak(double seconds, std::uint64_t seed) {
    using wall = std::chrono::steady_clock;
    const auto end_at = wall::now() + std::chrono::duration<double>(seconds);
    const auto each =
        std::chrono::milliseconds(std::clamp(static_cast<int>(seconds * 1000 / 6), 10, 5000));
    do {
        for (const int procs : {1, 2, 4}) {
            for (const auto kind : {storm::kind::gentle, storm::kind::dense}) {
                turn(procs, kind, each, seed++);
                if (!ok.text().empty()) {
                    std::fprintf(stderr, "soak: seed %llu\n%s",
                                 static_cast<unsigned long long>(seed - 1), ok.text().c_str());
                    return 1;
                }
            }
        }
    } while (wall::now() < end_at);
    return 0;
}

}  // namespace

}  // namespace vole::test

int main(int argc, char** argv) {
    const double seconds = argc > 1 ? std::atof(argv[1]) : 2;
    const std::uint64_t seed =
        argc > 2 ? std::strtoull(argv[2], nullptr, 10)
                 : static_cast<std::uint64_t>(
                       std::chrono::system_clock::now().time_since_epoch().count());
    vole::test::have_own_network();
    return vole::test::soak(seconds, seed);
}
