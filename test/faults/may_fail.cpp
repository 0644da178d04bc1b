// The table itself: what a plan makes fail, and how a plan is written.
#include <catch2/catch.hpp>

#include "net/src/os.hpp"
#include "test/support/subprocess.hpp"

#include <cerrno>
#include <unistd.h>
#include <vector>

using namespace vole::detail;

namespace {

struct no_faults {
    ~no_faults() { plan_no_faults(); }
};

// Which of n looks at a directory that is there fail.
std::vector<int> failures_of(int n) {
    std::vector<int> which;
    for (int i = 1; i <= n; ++i) {
        if (const int fd = os::open("/", O_RDONLY | O_CLOEXEC); fd >= 0) {
            ::close(fd);
        } else {
            which.push_back(i);
        }
    }
    return which;
}

}  // namespace

TEST_CASE("what is planned fails, the rest is done", "[faults]") {
    const no_faults at_end;
    CHECK(failures_of(5).empty());
    plan_fault(fallible::open, {.first = 3});
    CHECK(failures_of(9) == std::vector<int>{3});
    CHECK(counts_of(fallible::open).made == 9);
    CHECK(counts_of(fallible::open).failed == 1);
    // Planned anew, counted anew.
    plan_fault(fallible::open, {.first = 2, .count = 3});
    CHECK(failures_of(9) == std::vector<int>{2, 3, 4});
    plan_fault(fallible::open, {});
    CHECK(failures_of(4).empty());
    CHECK(counts_of(fallible::open).made == 4);
    plan_fault(fallible::open, {.first = 1, .count = 1000});
    plan_no_faults();
    CHECK(failures_of(4).empty());
    CHECK(counts_of(fallible::open).made == 0);
}

TEST_CASE("by chance: about as many as asked for, the same ones for the same seed", "[faults]") {
    const no_faults at_end;
    plan_fault(fallible::open, {.one_in = 10});
    const auto once = failures_of(2000);
    CHECK(once.size() > 100);
    CHECK(once.size() < 400);
    plan_fault(fallible::open, {.one_in = 10});
    CHECK(failures_of(2000) == once);
    plan_fault(fallible::open, {.one_in = 10, .seed = 2});
    CHECK(failures_of(2000) != once);
}

TEST_CASE("a call fails as its function would", "[faults]") {
    const no_faults at_end;
    plan_fault(fallible::open, {.first = 1});
    errno = 0;
    CHECK(os::open("/", O_RDONLY) == -1);
    CHECK(errno == EMFILE);
    plan_fault(fallible::open, {.first = 1, .error = ENOENT});
    CHECK(os::open("/", O_RDONLY) == -1);
    CHECK(errno == ENOENT);
    plan_fault(fallible::mmap, {.first = 1});
    CHECK(os::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
    CHECK(errno == ENOMEM);
    plan_fault(fallible::malloc, {.first = 1, .count = 3});
    CHECK(os::malloc(1) == nullptr);
    CHECK(os::calloc(1, 1) == nullptr);
    CHECK(os::aligned_alloc(64, 64) == nullptr);
    plan_fault(fallible::pthread_create, {.first = 1});
    pthread_t unused{};
    CHECK(os::pthread_create(
              &unused, nullptr, [](void*) -> void* { return nullptr; }, nullptr) == EAGAIN);
    plan_fault(fallible::getaddrinfo, {.first = 1});
    addrinfo* none = nullptr;
    CHECK(os::getaddrinfo("localhost", nullptr, nullptr, &none) == EAI_MEMORY);
    // A close that fails has closed.
    const int fd = ::dup(2);
    plan_fault(fallible::close, {.first = 1});
    CHECK(os::close(fd) == -1);
    CHECK(::fcntl(fd, F_GETFD) == -1);
}

TEST_CASE("a stream's transfer is cut", "[faults]") {
    const no_faults at_end;
    plan_fault(fallible::short_read, {.first = 2});
    CHECK(perhaps_short(fallible::short_read, 100) == 100);
    CHECK(perhaps_short(fallible::short_read, 100) == 1);
    CHECK(perhaps_short(fallible::short_read, 100) == 100);
    plan_fault(fallible::short_read, {.first = 1});
    CHECK(perhaps_short(fallible::short_read, 0) == 0);
    CHECK(perhaps_short(fallible::short_read, 1) == 1);
}

TEST_CASE("how faults are written", "[faults]") {
    const no_faults at_end;
    for (const char* good : {"mmap@1", "mmap@3x2", "mmap@3x2:12", "read%100", "read%100/7",
                             "read%100/7:5", "mmap@1+short_read@2+read@4"}) {
        CAPTURE(good);
        CHECK(are_faults(good));
    }
    for (const char* bad : {"",
                            "mmap",
                            "mmap@",
                            "mmap@0",
                            "mmap@1x",
                            "mmap@1x0",
                            "mmap@-1",
                            "mmap@1:",
                            "mmap@1:0",
                            "mmap@1 ",
                            "nmap@1",
                            "mma@1",
                            "mmapp@1",
                            "@1",
                            "mmap%0",
                            "mmap%",
                            "mmap%5/",
                            "mmap@1++mmap@2",
                            "mmap@1+",
                            "mmap@99999999999",
                            "mmap@1+nmap@2"}) {
        CAPTURE(bad);
        CHECK(!are_faults(bad));
    }
    plan_faults("open@2x2:2+read@1");
    CHECK(failures_of(5) == std::vector<int>{2, 3});
    char byte = 0;
    CHECK(os::read(0, &byte, 0) == -1);
    CHECK(errno == EINTR);
}
