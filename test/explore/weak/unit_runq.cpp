// The run queue and runnext over the model of memory: units.hpp.
#include "runtime/src/sched/runnext.hpp"
#include "runtime/src/sched/runq.hpp"
#include "test/explore/weak/units.hpp"

namespace weak_memory {

namespace {

using namespace vole::detail;

// Their addresses are all that queues look at.
alignas(64) G goroutines[items];

G* to_g(int item) { return item == 0 ? nullptr : &goroutines[item]; }
int to_item(const G* g) { return g == nullptr ? 0 : static_cast<int>(g - goroutines); }

class queue final : public queue_unit {
  public:
    explicit queue(sharing_kind how) {
        q_.set_sharing(how == sharing_kind::fenced ? sharing::fenced : sharing::exchanged);
    }
    bool push(int item) override { return q_.push(to_g(item)); }
    int pop() override { return to_item(q_.pop()); }
    int exchange_next(int item) override { return to_item(q_.exchange_next(to_g(item))); }
    int pop_next() override { return to_item(q_.pop_next()); }
    bool empty() override { return q_.empty(); }
    int steal_into(queue_unit& thiefs) override {
        std::uint32_t n = 0;
        return to_item(q_.steal_into(static_cast<queue&>(thiefs).q_, &n));
    }
    int steal_next(const queue_unit& thiefs) override {
        G* seen = q_.peek_next();
        return seen != nullptr && q_.steal_next(seen, &static_cast<const queue&>(thiefs).q_)
                   ? to_item(seen)
                   : 0;
    }

  private:
    run_queue q_;
};

}  // namespace

std::unique_ptr<queue_unit> make_queue(sharing_kind how) { return std::make_unique<queue>(how); }

}  // namespace weak_memory
