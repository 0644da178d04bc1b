// Timers over the model of memory: units.hpp. The scheduler, which would run what is due, is the test's.
#include <vole/runtime.hpp>
#include <vole/time.hpp>

#include "runtime/internal/park.hpp"
#include "runtime/internal/timers.hpp"
#include "test/explore/weak/units.hpp"

#include <chrono>

namespace vole::inline v0::detail {

namespace {

const timer_driver* the_driver = nullptr;
std::int64_t now = 1000;
constexpr char clock_lock = 0;
// As P::first_timer.
atomic<std::int64_t> first[most_heaps] = {no_deadline, no_deadline};

struct call {
    const closure_type* type;
    void* storage;
};

}  // namespace

void install_timer_driver(const timer_driver* d) { the_driver = d; }
std::uint32_t timer_home() noexcept { return weak_memory::thread_number() % most_heaps; }
void set_first_timer(std::uint32_t p, std::int64_t when) noexcept {
    first[p].store(when, memory_order_seq_cst);
}
std::int64_t timer_now() noexcept {
    weak_memory::lock(&clock_lock);
    const std::int64_t n = now;
    weak_memory::unlock(&clock_lock);
    return n;
}

namespace {
// As a P does before it sleeps: until nothing is due.
void run_due() {
    for (std::uint32_t p = 0; p < most_heaps; ++p) {
        while (first[p].load(memory_order_seq_cst) <= timer_now()) the_driver->run(p);
    }
}
}  // namespace

void watch_deadline(std::int64_t when, bool) noexcept {
    if (when <= timer_now()) weak_memory::spawn([](void*) { run_due(); }, nullptr);
}

spawn_ticket spawn_begin(const go_options&, std::size_t size, std::size_t align) {
    static G fresh;
    return {&fresh, ::operator new (size, std::align_val_t{align})};
}
void spawn_abort(spawn_ticket) noexcept {}
void spawn_commit(spawn_ticket t, const closure_type* type) noexcept {
    weak_memory::spawn(
        [](void* p) {
            const std::unique_ptr<call> c(static_cast<call*>(p));
            c->type->invoke(c->storage);
            if (c->type->destroy != nullptr) c->type->destroy(c->storage);
        },
        new call{type, t.storage});
}
void throw_nil_func() { weak_memory::fail("nil"); }

}  // namespace vole::inline v0::detail

namespace weak_memory {

namespace {

class timer_of final : public timer_unit {
  public:
    explicit timer_of(vole::timer t) : t_(std::move(t)) {}
    bool stop() override { return t_.stop(); }
    bool reset(int in) override { return t_.reset(std::chrono::nanoseconds(in)); }
    void recv() override { (void)t_.c().recv(); }
    bool try_recv() override { return t_.c().try_recv().is_value(); }

  private:
    vole::timer t_;
};

}  // namespace

std::unique_ptr<timer_unit> make_timer(int in) {
    return std::make_unique<timer_of>(vole::timer(std::chrono::nanoseconds(in)));
}
std::unique_ptr<timer_unit> make_after_func(int in, const std::function<void()>& f) {
    return std::make_unique<timer_of>(vole::after_func(std::chrono::nanoseconds(in), f));
}
void let_pass(int time) {
    using namespace vole::detail;
    lock(&clock_lock);
    now += time;
    unlock(&clock_lock);
    run_due();
}

}  // namespace weak_memory
