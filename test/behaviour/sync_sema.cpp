// Semaphores by address, on which slow paths wait (sync/internal/sema.hpp). Cites NET-20, for which they were made.
#include <catch2/catch.hpp>

#include <vole/sync.hpp>

#include "runtime/internal/entry.hpp"
#include "sync/internal/sema.hpp"
#include "test/behaviour/sched_support.hpp"
#include "test/support/duel.hpp"
#include "test/support/findings.hpp"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

using namespace vole::test;
namespace inner = vole::detail;

namespace {

void acquire(std::uint32_t& s) {
    const inner::runtime_entry entry;
    inner::sema_acquire(&s, inner::wait_reason::semaphore);
}
void release(std::uint32_t& s) {
    const inner::runtime_entry entry;
    inner::sema_release(&s);
}

}  // namespace

TEST_CASE("NET-20 a semaphore by address lets through as many as it was given", "[sync][sema]") {
    CHECK(everywhere([](findings& ok) {
              std::uint32_t s = 0;
              for (int i = 0; i < 5; ++i) release(s);
              for (int i = 0; i < 5; ++i) acquire(s);
              ok.equal(s, 0u);
              std::atomic<int> through{0};
              vole::wait_group all;
              for (int i = 0; i < 10; ++i) {
                  all.go([&] {
                      acquire(s);
                      ++through;
                  });
              }
              for (int i = 1; i <= 10; ++i) {
                  release(s);
                  wait_until([&] { return through == i; }, "one to get through");
                  settle();
                  ok.equal(through.load(), i);
              }
              all.wait();
              ok.equal(s, 0u);
          }) == "");
}

TEST_CASE("NET-20 a semaphore by address serves those who wait in their order", "[sync][sema]") {
    findings ok;
    run_on(1, [&] {
        std::uint32_t s = 0;
        std::uint32_t other = 0;  // has nothing to do with it
        std::vector<int> order;
        vole::wait_group all;
        for (int i = 0; i < 8; ++i) {
            all.go([&, i] {
                acquire(s);
                order.push_back(i);
            });
            settle();
        }
        for (int i = 0; i < 8; ++i) {
            release(other);
            release(s);
            // Who comes late does not overtake one who has been served.
            settle();
        }
        all.wait();
        ok(order == std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7});
        ok.equal(other, 8u);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("NET-20 a semaphore by address: one comes as one is let through", "[sync][sema]") {
    findings ok;
    run_on(2, [&] {
        std::uint32_t s = 0;
        duel(
            scaled(20'000), [] {}, [&] { acquire(s); }, [&] { release(s); });
        ok.equal(s, 0u);
    });
    CHECK(ok.text() == "");
}

TEST_CASE("NET-20 a semaphore by address may be gone when its last waiter has been let through",
          "[sync][sema]") {
    // ASan and TSan see a release that touches it afterwards.
    run_on(2, [&] {
        for (int i = 0; i < scaled(3000); ++i) {
            auto s = std::make_unique<std::uint32_t>(0);
            vole::wait_group releaser;
            releaser.go([&, word = s.get()] { release(*word); });
            acquire(*s);
            s.reset();
            releaser.wait();
        }
    });
}

TEST_CASE("NET-20 goroutines and threads wait for the same semaphore by address", "[sync][sema]") {
    std::uint32_t s = 0;
    std::atomic<int> through{0};
    std::vector<std::thread> threads;
    vole::wait_group goroutines;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            acquire(s);
            ++through;
            release(s);
        });
        goroutines.go([&] {
            acquire(s);
            ++through;
            release(s);
        });
    }
    release(s);
    for (auto& t : threads) t.join();
    goroutines.wait();
    CHECK(through == 8);
    CHECK(s == 1);
}
