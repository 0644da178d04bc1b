// Cleanups of a dead object, and the pool that runs them, over the model of memory: units.hpp.
#include <vole/managed.hpp>
#include <vole/runtime.hpp>

#include "runtime/internal/park.hpp"
#include "sync/src/cleanup.hpp"
#include "test/explore/weak/blocking.hpp"
#include "test/explore/weak/units.hpp"

namespace vole::inline v0::detail {

// A goroutine begins as a thread of the model: workers, and functions of contexts.
spawn_ticket spawn_begin(const go_options&, std::size_t size, std::size_t) {
    static G fresh;
    return {&fresh, ::operator new(size)};
}
void spawn_abort(spawn_ticket t) noexcept { ::operator delete(t.storage); }
void spawn_commit(spawn_ticket t, const closure_type* type) noexcept {
    struct begun {
        const closure_type* type;
        void* closure;
    };
    weak_memory::spawn(
        [](void* p) {
            const begun b = *static_cast<begun*>(p);
            delete static_cast<begun*>(p);
            b.type->invoke(b.closure);
            if (b.type->destroy != nullptr) b.type->destroy(b.closure);
            ::operator delete(b.closure);
        },
        new begun{type, t.storage});
}

}  // namespace vole::detail

namespace weak_memory {

namespace {

using namespace vole::detail;

struct test_cleanup : cleanup {
    explicit test_cleanup(std::function<void()> f) : cleanup(&kind), what(std::move(f)) {}
    static const operations kind;
    void run() const {
        if (dropped != 0) fail("a cleanup runs whose function is gone");
        what();
        if (dropped != 0) fail("a cleanup's function goes while it runs");
    }
    std::function<void()> what;
    int dropped = 0;
};
const cleanup::operations test_cleanup::kind{
    [](cleanup* c) { static_cast<test_cleanup*>(c)->run(); },
    [](cleanup* c) noexcept { ++static_cast<test_cleanup*>(c)->dropped; },
    [](cleanup* c) noexcept { delete static_cast<test_cleanup*>(c); }};

class cleanups final : public cleanups_unit {
  public:
    explicit cleanups(int owners) : owners_(owners) {}
    ~cleanups() override {
        for (cleanup* c : handles_) {
            if (c != nullptr) release_cleanup(c);
        }
    }
    void add(int item, const std::function<void()>& f) override {
        auto* c = new test_cleanup(f);
        handles_[item] = c;
        register_cleanup(lists_, c);
    }
    // As the handle does.
    void stop(int item) override {
        cleanup* c = handles_[item];
        if (c->leave_armed(cleanup::stage::stopped)) c->ops->drop(c);
    }
    // As the last shared_ptr does.
    void let_go() override {
        if (owners_.fetch_sub(1, memory_order_acq_rel) == 1) managed_died(lists_);
    }
    int dropped(int item) override { return static_cast<test_cleanup*>(handles_[item])->dropped; }
    void drain() override { vole::drain_cleanups(); }

  private:
    managed_lists lists_;
    atomic<int> owners_;
    cleanup* handles_[items] = {};
};

}  // namespace

std::unique_ptr<cleanups_unit> make_cleanups(int owners) {
    return std::make_unique<cleanups>(owners);
}

}  // namespace weak_memory
