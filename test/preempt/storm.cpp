// Library code of all kinds, stopped at every place where it may be: no hang, no wrong value, no call that
// fails with EINTR. Also built at -O0 and -O3.
#include <catch2/catch.hpp>

#include <vole/iter.hpp>

#include "test/preempt/storm_tasks.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <link.h>
#include <memory>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace vole::test {

namespace {

void allocate(counter& done) {
    random_numbers random{1};
    while (going_on()) {
        std::array<unsigned char*, 32> blocks{};
        std::array<std::size_t, 32> sizes{};
        for (std::size_t i = 0; i < blocks.size(); ++i) {
            sizes[i] = 1 + random() % 3000;
            blocks[i] = static_cast<unsigned char*>(std::malloc(sizes[i]));
            std::memset(blocks[i], static_cast<int>(i), sizes[i]);
        }
        for (std::size_t i = 0; i < blocks.size(); ++i) {
            EXPECT(blocks[i][0] == i && blocks[i][sizes[i] - 1] == i);
            std::free(blocks[i]);
        }
        ++done;
    }
}

void make_strings(counter& done) {
    for (long k = 0; going_on(); ++k) {
        std::string all;
        for (int i = 0; i < 50; ++i) all += std::to_string(k + i) + ",";
        std::set<std::string> words{all, "b", std::to_string(k)};
        EXPECT(all.compare(0, std::to_string(k).size(), std::to_string(k)) == 0);
        EXPECT(words.count("b") == 1);
        ++done;
    }
}

struct counts_its_end {
    int& ended;
    ~counts_its_end() {
        linger(20);
        ++ended;
    }
};

void throw_and_catch(counter& done) {
    while (going_on()) {
        int ended = 0;
        try {
            try {
                counts_its_end a{ended};
                counts_its_end b{ended};
                throw std::runtime_error("x" + std::to_string(ended));
            } catch (const std::exception& e) {
                EXPECT(ended == 2 && e.what() == std::string("x0"));
                counts_its_end c{ended};
                try {
                    linger(100);
                    throw 5;
                } catch (int five) {
                    EXPECT(five == 5 && std::current_exception() != nullptr);
                }
                throw;
            }
        } catch (const std::runtime_error& e) {
            EXPECT(ended == 3 && e.what()[0] == 'x' && std::uncaught_exceptions() == 0);
        }
        ++done;
    }
}

std::mutex plain;
std::recursive_mutex recursive;
std::shared_mutex shared;
long by_plain, by_recursive, by_shared;

void lock_plain(counter& done) {
    while (going_on()) {
        const std::lock_guard held(plain);
        const long before = by_plain;
        linger(500);
        EXPECT(by_plain == before);
        ++by_plain;
        ++done;
    }
}

// Its owner is a thread: whoever is stopped here must go on on the same one.
void lock_recursive(counter& done) {
    while (going_on()) {
        const std::lock_guard held(recursive);
        linger(200);
        const std::lock_guard again(recursive);
        const long before = by_recursive;
        linger(200);
        EXPECT(by_recursive == before);
        ++by_recursive;
        ++done;
    }
}

void lock_shared(counter& done) {
    random_numbers random{7};
    while (going_on()) {
        if (random() % 4 == 0) {
            const std::unique_lock held(shared);
            const long before = by_shared;
            linger(300);
            EXPECT(by_shared == before);
            ++by_shared;
        } else {
            const std::shared_lock held(shared);
            const long before = by_shared;
            linger(300);
            EXPECT(by_shared == before);
        }
        ++done;
    }
}

template <int N>
int slowly_initialised() {
    static const int value = [] {
        linger(20'000);
        return N;
    }();
    return value;
}

template <int... I>
void initialise_all(std::integer_sequence<int, I...>) {
    const int sum = (slowly_initialised<I>() + ...);
    EXPECT(sum == static_cast<int>(sizeof...(I)) * (static_cast<int>(sizeof...(I)) - 1) / 2);
}

void initialise(counter& done) {
    while (going_on()) {
        initialise_all(std::make_integer_sequence<int, 64>{});
        const auto once = std::make_unique<std::once_flag>();
        int calls = 0;
        for (int i = 0; i < 3; ++i) {
            std::call_once(*once, [&calls] {
                linger(100);
                ++calls;
            });
        }
        EXPECT(calls == 1);
        ++done;
    }
}

void print(counter& done) {
    std::FILE* null = std::fopen("/dev/null", "we");
    for (long k = 0; going_on(); ++k) {
        char text[200];
        std::snprintf(text, sizeof(text), "%ld %f %s", k, static_cast<double>(k) * 0.5, "abc");
        EXPECT(std::atol(text) == k);
        EXPECT(std::fprintf(null, "%s\n", text) > 0);
        ++done;
    }
    std::fclose(null);
}

// errno is the thread's: it is read where the call set it.
void fail(counter& done) {
    while (going_on()) {
        char c = 0;
        errno = 0;
        EXPECT(::read(-1, &c, 1) == -1 && errno == EBADF);
        linger(50);
        EXPECT(errno == EBADF);
        EXPECT(::open("/no/such/file", O_RDONLY | O_CLOEXEC) == -1 && errno == ENOENT);
        ++done;
    }
}

thread_local int of_thread;

// Between two operations of the runtime there is one thread, and no other goroutine on it.
[[gnu::noinline]] bool thread_is_ours() {
    const int thread = thread_id();
    const int before = ++of_thread;
    linger(1000);
    return of_thread == before && thread_id() == thread;
}

void use_thread_locals(counter& done) {
    while (going_on()) {
        EXPECT(thread_is_ours());
        ++done;
    }
}

int compare_slowly(const void* a, const void* b) {
    linger(10);
    const int x = *static_cast<const int*>(a);
    const int y = *static_cast<const int*>(b);
    return x < y ? -1 : x > y;
}

void sort(counter& done) {
    random_numbers random{3};
    while (going_on()) {
        std::array<int, 300> numbers{};
        for (int& n : numbers) n = static_cast<int>(random());
        std::qsort(numbers.data(), numbers.size(), sizeof(int), compare_slowly);
        EXPECT(std::is_sorted(numbers.begin(), numbers.end()));
        ++done;
    }
}

// Called with ld.so's lock held.
int look_at_object(dl_phdr_info*, std::size_t, void* objects) {
    linger(3000);
    ++*static_cast<int*>(objects);
    return 0;
}

void iterate_objects(counter& done) {
    while (going_on()) {
        int objects = 0;
        dl_iterate_phdr(look_at_object, &objects);
        EXPECT(objects > 2);
        ++done;
    }
}

void use_channels(counter& done) {
    auto there = make_chan<long>();
    auto back = make_chan<long>(2);
    go([there, back]() mutable {
        for (long x : there) back.send(x + 1);
        back.close();
    });
    for (long k = 0; going_on(); ++k) {
        there.send(k);
        EXPECT(back.recv() == k + 1);
        ++done;
    }
    there.close();
    while (back.recv()) {
    }
}

vole::mutex ours;
long by_ours;

void lock_ours(counter& done) {
    while (going_on()) {
        const std::lock_guard held(ours);
        const long before = by_ours;
        linger(300);
        EXPECT(by_ours == before);
        ++by_ours;
        ++done;
    }
}

void start_goroutines(counter& done) {
    while (going_on()) {
        wait_group all;
        std::atomic<int> ran{0};
        for (int i = 0; i < 20; ++i) {
            all.go([&ran] {
                linger(300);
                ++ran;
            });
        }
        all.wait();
        EXPECT(ran == 20);
        ++done;
    }
}

void resume_coroutines(counter& done) {
    while (going_on()) {
        auto numbers = iter::pull([](iter::yielder<long> yield) {
            for (long i = 0; yield(i); ++i) linger(20);
        });
        for (long i = 0; i < 100; ++i) EXPECT(*numbers.next() == i);
        ++done;
    }
}

void compute(counter& done) {
    random_numbers random{11};
    while (going_on()) {
        const auto a = static_cast<double>(random() % 1000);
        double sum = 0;
        std::uint64_t whole = 0;
        for (int i = 0; i < 2000; ++i) {
            sum += a * i;
            whole += static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(i);
        }
        EXPECT(sum == a * 1999000 && whole == static_cast<std::uint64_t>(a) * 1999000);
        ++done;
    }
}

// Throwing is not among the free: the unwinder keeps the exception in a thread-local.
constexpr std::array tasks{
    storm_task{"allocate", allocate, false},
    storm_task{"make_strings", make_strings, false},
    storm_task{"throw_and_catch", throw_and_catch, false},
    storm_task{"lock_plain", lock_plain, false},
    storm_task{"lock_recursive", lock_recursive, false},
    storm_task{"lock_shared", lock_shared, false},
    storm_task{"initialise", initialise, false},
    storm_task{"print", print, false},
    storm_task{"fail", fail, false},
    storm_task{"use_thread_locals", use_thread_locals, false},
    storm_task{"sort", sort, false},
    storm_task{"iterate_objects", iterate_objects, false},
    storm_task{"use_channels", use_channels, true},
    storm_task{"lock_ours", lock_ours, true},
    storm_task{"start_goroutines", start_goroutines, true},
    storm_task{"resume_coroutines", resume_coroutines, true},
    storm_task{"compute", compute, true},
};

}  // namespace

TEST_CASE("PRE-57 library code survives preemption, one P", "[storm]") {
    CHECK(blow(tasks, 1, storm::kind::gentle) == 0);
}
TEST_CASE("PRE-57 library code survives preemption, two Ps", "[storm]") {
    CHECK(blow(tasks, 2, storm::kind::gentle) == 0);
}
TEST_CASE("PRE-57 library code survives signals at once, one P", "[storm]") {
    blow(tasks, 1, storm::kind::dense);
}
TEST_CASE("PRE-57 library code survives signals at once, two Ps", "[storm]") {
    blow(tasks, 2, storm::kind::dense);
}

TEST_CASE("child: free storm", "[.child]") {
    choose_migration();
    blow(tasks, 1, storm::kind::dense, true);
    blow(tasks, 2, storm::kind::dense, true);
    CHECK(blow(tasks, 2, storm::kind::gentle, true) == 0);
    CHECK(counts().injections > 0);
    CHECK(counts().freezes == 0);
}
TEST_CASE("PRE-21 code without thread-bound state survives free migration", "[storm]") {
    if (!has_free_migration) return;
    const auto r = run_case_in_subprocess("child: free storm", {.env = with_free_migration()});
    INFO(r.text());
    CHECK(r.succeeded());
}

}  // namespace vole::test
