// Parts of the runtime, as they are, over the model of memory: their sources are compiled once more, in unit_*.cpp, with
// weak_memory::atomic for their atomics and v0, the inner name of namespace vole, replaced by `modelled`, so that they do not meet the
// real ones. Here is what tests can do with them; items are numbers from 1 below `items`.
#pragma once

#include <memory>

namespace weak_memory {

inline constexpr int items = 8;

enum class sharing_kind { fenced, exchanged };

/// runtime/src/sched/runq.hpp, runnext.hpp. 0: nothing.
class queue_unit {
  public:
    virtual ~queue_unit() = default;
    virtual bool push(int item) = 0;
    virtual int pop() = 0;
    virtual int exchange_next(int item) = 0;
    virtual int pop_next() = 0;
    virtual bool empty() = 0;
    /// Thief, with a queue of its own: what it runs at once; the others are in its queue.
    virtual int steal_into(queue_unit& thiefs) = 0;
    /// Takes what it sees.
    virtual int steal_next(const queue_unit& thiefs) = 0;
};
std::unique_ptr<queue_unit> make_queue(sharing_kind how);

}  // namespace weak_memory
