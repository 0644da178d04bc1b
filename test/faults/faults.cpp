// Each call of the table fails once in each program, and what the program sees of it is what README.md says.
#include <catch2/catch.hpp>

#include <vole/config.hpp>

#include "runtime/internal/may_fail.hpp"
#include "test/support/scale.hpp"
#include "test/support/subprocess.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <netdb.h>
#include <sstream>
#include <string>
#include <vector>

using namespace vole::test;
namespace inner = vole::detail;

namespace {

enum class outcome {
    survived,  ///< nobody notices
    reported,  ///< or one step gets the error, or std::bad_alloc; tried again, it works
};

struct demand {
    const char* row;
    int error;  // 0: the row's own
    outcome is;
};

// README.md says why.
constexpr demand demands[] = {
    {"mmap", 0, outcome::reported},
    {"munmap", 0, outcome::survived},
    {"mprotect", 0, outcome::reported},
    {"madvise", 0, outcome::survived},
    {"madvise", EINVAL, outcome::survived},
    {"mincore", 0, outcome::survived},
    {"malloc", 0, outcome::reported},
    {"pthread_create", 0, outcome::reported},
    {"futex_wait", 0, outcome::survived},
    {"futex_wait", EAGAIN, outcome::survived},
    {"membarrier", 0, outcome::survived},
    {"sigaction", 0, outcome::reported},
    {"sigaltstack", 0, outcome::survived},
    {"timer_create", 0, outcome::survived},
    {"timer_settime", 0, outcome::survived},
    {"tgkill", 0, outcome::survived},
    {"sched_getaffinity", 0, outcome::survived},
    {"sched_getaffinity", EINVAL, outcome::survived},
    {"getrlimit", 0, outcome::survived},
    {"open", 0, outcome::survived},
    {"open", ENOENT, outcome::survived},
    {"open", EINTR, outcome::survived},
    {"getdents", 0, outcome::survived},
    {"read", 0, outcome::survived},
    {"write", 0, outcome::survived},
    {"short_read", 0, outcome::survived},
    {"short_write", 0, outcome::survived},
    {"writev", 0, outcome::survived},
    {"writev", ENOSPC, outcome::reported},
    {"send", 0, outcome::survived},
    {"send", ENOBUFS, outcome::reported},
    {"recv", 0, outcome::survived},
    {"recv", ECONNRESET, outcome::reported},
    {"sendfile", 0, outcome::reported},
    {"sendfile", EINTR, outcome::survived},
    {"splice", 0, outcome::reported},
    {"splice", EINTR, outcome::survived},
    {"accept", 0, outcome::reported},
    {"accept", EINTR, outcome::survived},
    {"accept", ECONNABORTED, outcome::survived},
    {"connect", 0, outcome::reported},
    {"connect", ECONNREFUSED, outcome::reported},
    {"socket", 0, outcome::reported},
    {"socket", ENOBUFS, outcome::reported},
    {"bind", 0, outcome::reported},
    {"listen", 0, outcome::reported},
    {"shutdown", 0, outcome::reported},
    {"setsockopt", 0, outcome::reported},
    {"getsockopt", 0, outcome::reported},
    {"getsockname", 0, outcome::reported},
    {"getpeername", 0, outcome::reported},
    {"fcntl", 0, outcome::reported},
    {"pipe", 0, outcome::reported},
    {"fstat", 0, outcome::reported},
    {"close", 0, outcome::survived},
    {"unlink", 0, outcome::survived},
    {"poll_create", 0, outcome::reported},
    {"poll_wake_create", 0, outcome::reported},
    {"poll_add", 0, outcome::reported},
    {"poll_add", ENOMEM, outcome::reported},
    {"poll_wait", 0, outcome::survived},
    {"poll_look", 0, outcome::survived},
    {"getaddrinfo", 0, outcome::reported},
    {"getaddrinfo", EAI_AGAIN, outcome::reported},
};

struct seen {
    subprocess_result run;
    std::vector<std::string> said, lost;
    std::map<std::string, std::pair<unsigned, unsigned>> calls;  // made, failed
    int files = -1;
    bool ended = false;
};

seen run_program(const std::string& name, const std::string& fault) {
    seen s;
    std::vector<std::string> env{"VOLE_DEBUG=" + fault};
#if defined(VOLE_TSAN)
    env.push_back(
        "TSAN_OPTIONS=halt_on_error=1:atexit_sleep_ms=0");  // or each process takes a second longer
#endif
    s.run = run_in_subprocess({VOLE_FAULTED, name}, true, {.env = env});
    std::istringstream out(s.run.out);
    for (std::string line; std::getline(out, line);) {
        std::istringstream words(line);
        std::string word;
        words >> word;
        if (word == "said") s.said.push_back(line);
        if (word == "lost") s.lost.push_back(line);
        if (word == "files") words >> s.files;
        if (word == "end") s.ended = true;
        if (word == "calls") {
            words >> word;
            auto& [made, failed] = s.calls[word];
            words >> made >> failed;
        }
    }
    return s;
}

// The first ones, which set things up, and some from all over the rest.
std::vector<unsigned> which_of(unsigned made) {
    const bool slow = slowdown() > 4;
    const unsigned first = long_run() ? 60 : slow ? 2 : 4;
    const unsigned spread = long_run() ? 200 : slow ? 2 : 6;
    std::vector<unsigned> all;
    for (unsigned i = 1; i <= std::min(made, first); ++i) all.push_back(i);
    for (unsigned i = 1; made > first && i <= spread; ++i) {
        all.push_back(first + 1 + (made - first - 1) * i / spread);
    }
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
}

// "" or what is wrong.
std::string judge(const seen& s, const seen& usual, const demand& d) {
    if (!s.run.succeeded() || !s.ended) return "it did not end well";
    if (!s.lost.empty()) return "a step fails though no call does any more";
    if (s.files > usual.files) return "descriptors stay open";
    const auto at = s.calls.find(d.row);
    const bool failed = at != s.calls.end() && at->second.second != 0;
    if (s.said.empty()) return "";
    if (!failed) return "a step fails though no call does";
    if (d.is == outcome::survived) return "a step notices";
    return s.said.size() > 1 ? "more than one step fails" : "";
}

void sweep(const std::string& program) {
    const seen usual = run_program(program, "");
    INFO(usual.run.text());
    REQUIRE(usual.ended);
    REQUIRE(usual.said.empty());
    for (const demand& d : demands) {
        const auto calls = usual.calls.find(d.row);
        if (calls == usual.calls.end()) continue;
        for (const unsigned n : which_of(calls->second.first)) {
            std::string fault = "fail=" + std::string(d.row) + "@" + std::to_string(n);
            if (d.error != 0) fault += ":" + std::to_string(d.error);
            const seen s = run_program(program, fault);
            INFO("VOLE_DEBUG=" << fault << " " << VOLE_FAULTED << " " << program);
            INFO(s.run.text());
            CHECK(judge(s, usual, d) == "");
        }
    }
}

}  // namespace

TEST_CASE("any call of goroutines, stacks and threads may fail", "[faults]") { sweep("runtime"); }
TEST_CASE("any call of channels, locks and maps may fail", "[faults]") { sweep("sync"); }
TEST_CASE("any call of timers may fail", "[faults]") { sweep("time"); }
TEST_CASE("any call of sockets may fail", "[faults]") { sweep("net"); }

TEST_CASE("what the system refuses for ever is done without", "[faults]") {
    // By that error: an older kernel, a sandbox, a file system.
    for (const char* fault : {
             "madvise@1x1000000:22",  // no guard pages without a mapping
#if !defined(                                                                                      \
    VOLE_TSAN)  // a loop that is all calls of TSan's own code can only lose its P, which takes the barrier
                 "membarrier@1x1000000",
#endif
                 "timer_create@1x1000000",                        // preemption by tgkill then
                 "timer_create@1x1000000+tgkill%2",               //
                 "timer_settime%2",                               //
                 "sched_getaffinity@1x1000000",                   //
                 "getrlimit@1x1000000",                           //
                 "open@1x1000000:2",                              // no /proc, no /sys
                 "poll_wait@1:38",                                // no epoll_pwait2
                 "sendfile@1x1000000", "splice@1x1000000",        // by a buffer then
                 "short_read@1x1000000", "short_write@1x1000000"  // a byte at a time
         }) {
        for (const char* program : {"runtime", "sync", "time", "net"}) {
            const seen s = run_program(program, std::string("fail=") + fault);
            INFO("VOLE_DEBUG=fail=" << fault << " " << VOLE_FAULTED << " " << program);
            INFO(s.run.text());
            CHECK(s.run.succeeded());
            CHECK(s.ended);
            CHECK(s.said.empty());
        }
    }
}

TEST_CASE("much fails at once: steps are lost, the process is not", "[faults]") {
    const int seeds = long_run() ? 100 : scaled(2);
    for (int seed = 1; seed <= seeds; ++seed) {
        const std::string n = "/" + std::to_string(seed);
        for (const std::string& fault :
             {"malloc%10" + n, "malloc%4" + n, "mprotect%2" + n, "pthread_create%2" + n,
              "mmap%4" + n, "malloc%8" + n + "+mmap%5" + n + "+pthread_create%3" + n,
              "socket%4" + n + "+accept%4" + n + "+fcntl%4" + n + "+bind%5" + n,
              "setsockopt%5" + n + "+getsockopt%6" + n + "+connect%5" + n,
              "poll_add%4" + n + "+poll_create%2" + n + "+poll_wake_create%2" + n,
              "getaddrinfo%2" + n + "+pipe%2" + n + "+listen%4" + n}) {
            for (const char* program : {"runtime", "sync", "time", "net"}) {
                const seen s = run_program(program, "fail=" + fault);
                INFO("VOLE_DEBUG=fail=" << fault << " " << VOLE_FAULTED << " " << program);
                INFO(s.run.text());
                // STK-53: a stack that has to grow now and cannot.
                const bool no_stack =
                    s.run.aborted() && s.run.err.find("out of memory (stack)") != std::string::npos;
                CHECK((no_stack || (s.run.succeeded() && s.ended)));
            }
        }
    }
}

TEST_CASE("each row of the table has a demand", "[faults]") {
    for (std::size_t i = 0; i < inner::fallible_count; ++i) {
        const std::string row = inner::name_of(static_cast<inner::fallible>(i));
        CAPTURE(row);
        CHECK(std::ranges::any_of(demands, [&](const demand& d) { return d.row == row; }));
    }
}
