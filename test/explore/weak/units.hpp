// Parts of the runtime, as they are, over the model of memory: their sources are compiled once more, in unit_*.cpp, with
// weak_memory::atomic for their atomics and v0, the inner name of namespace vole, replaced by `modelled`, so that they do not meet the
// real ones. Here is what tests can do with them; items are numbers from 1 below `items`.
#pragma once

#include <cstddef>
#include <functional>
#include <initializer_list>
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

// ---- sync: unit_sync.cpp ----------------------------------------------------------------------

class lock_unit {
  public:
    virtual ~lock_unit() = default;
    virtual void lock() = 0;
    virtual bool try_lock() = 0;
    virtual void unlock() = 0;
};
class rw_lock_unit : public lock_unit {
  public:
    virtual void lock_shared() = 0;
    virtual bool try_lock_shared() = 0;
    virtual void unlock_shared() = 0;
    /// By one who holds it for reading: its readers count themselves on their Ps, or those on the caller's P there.
    virtual void spread() = 0;
    virtual void spread_at_home() = 0;
};
/// Which P the calling thread has from now on. Nobody else has it.
void be_on(unsigned proc);
class group_unit {
  public:
    virtual ~group_unit() = default;
    virtual void add(int n) = 0;
    virtual void wait() = 0;
};
class once_unit {
  public:
    virtual ~once_unit() = default;
    virtual void call(const std::function<void()>& f) = 0;
};
class cond_unit {
  public:
    virtual ~cond_unit() = default;
    virtual void wait(lock_unit& held) = 0;
    virtual void notify_one() = 0;
    virtual void notify_all() = 0;
};
/// Values are positive. 0: closed, or nothing there; try_recv gives -1 for closed.
class channel_unit {
  public:
    virtual ~channel_unit() = default;
    virtual void send(int x) = 0;
    virtual int recv() = 0;
    virtual bool try_send(int x) = 0;
    virtual int try_recv() = 0;
    virtual void close() = 0;
};

/// A context that can be cancelled; it goes with its handle. sync/src/context.cpp.
class context_unit {
  public:
    virtual ~context_unit() = default;
    virtual std::unique_ptr<context_unit> child() = 0;
    virtual void cancel() = 0;
    virtual bool over() = 0;
    /// By its channel; whether that is closed.
    virtual void wait() = 0;
    virtual bool closed() = 0;
    /// One function; stop() takes it back.
    virtual void after(const std::function<void()>& f) = 0;
    virtual bool stop() = 0;
};
class semaphore_unit {
  public:
    virtual ~semaphore_unit() = default;
    virtual void acquire(int n) = 0;
    /// False: the context was over first.
    virtual bool acquire(context_unit& until, int n) = 0;
    virtual bool try_acquire(int n) = 0;
    virtual void release(int n) = 0;
};

/// How a mutex is released where nobody waits.
enum class release_kind { exchanged, restartable };
std::unique_ptr<lock_unit> make_mutex(release_kind how);
std::unique_ptr<rw_lock_unit> make_rw_mutex();
std::unique_ptr<group_unit> make_group();
std::unique_ptr<once_unit> make_once();
std::unique_ptr<cond_unit> make_cond();
std::unique_ptr<channel_unit> make_channel(std::size_t capacity);
std::unique_ptr<context_unit> make_context();
std::unique_ptr<semaphore_unit> make_semaphore(int size);
/// The runtime's own, used as a lock: sync/internal/sema.hpp.
std::unique_ptr<lock_unit> make_sema();

/// A descriptor in the poller, its reading direction: net/src/poll_desc.hpp.
enum class wait_result { ready, closed, timeout };
class desc_unit {
  public:
    virtual ~desc_unit() = default;
    virtual wait_result prepare() = 0;
    virtual wait_result wait() = 0;
    virtual void event() = 0;
    virtual void evict() = 0;
    virtual void set_deadline(bool passed) = 0;  // else: in a while
    virtual void alarm_goes_off() = 0;           // if it is set
};
std::unique_ptr<desc_unit> make_desc();

/// Cleanups of one object, which as many hold as `owners` says: sync/src/managed.cpp, cleanup.cpp. Whoever adds, holds it.
class cleanups_unit {
  public:
    virtual ~cleanups_unit() = default;
    virtual void add(int item, const std::function<void()>& f) = 0;
    virtual void stop(int item) = 0;
    virtual void let_go() = 0;
    virtual void drain() = 0;
    /// How often its function was destroyed.
    virtual int dropped(int item) = 0;
};
std::unique_ptr<cleanups_unit> make_cleanups(int owners);

/// Timers on a clock that stands until somebody lets time pass; units of it are nanoseconds. time/src/timer.cpp, heap.cpp,
/// heaps.cpp.
class timer_unit {
  public:
    virtual ~timer_unit() = default;
    virtual bool stop() = 0;
    virtual bool reset(int in) = 0;
    /// Of one with a channel: waits for its value; whether there was one.
    virtual void recv() = 0;
    virtual bool try_recv() = 0;
};
std::unique_ptr<timer_unit> make_timer(int in);
std::unique_ptr<timer_unit> make_after_func(int in, const std::function<void()>& f);
/// By the calling thread: then it runs what is due in all heaps.
void let_pass(int time);

/// Ps and threads that run goroutines, which are calls of one function: runtime/src/sched/schedule.cpp, idle.cpp, with the queues;
/// syscall.cpp, stw.cpp, preempt/detach.cpp, attention.cpp. All threads begin asleep, all Ps idle. A P has plain memory, which is
/// whoever's it is.
class machine_unit {
  public:
    virtual ~machine_unit() = default;
    /// What a goroutine does: f(item, thread).
    virtual void runs(std::function<void(int, int)> f) = 0;
    /// Runs goroutines until end_one() has picked it.
    virtual void work_on(int thread) = 0;
    /// By a goroutine: item goes on next on its P, or last.
    virtual void publish_next(int item, int thread) = 0;
    virtual void publish_last(int item, int thread) = 0;
    /// By anybody else.
    virtual void publish_from_outside(int item) = 0;
    /// By a goroutine: it is inside the runtime for a moment, and uses its P.
    virtual void enter() = 0;
    /// By a goroutine: a system call that keeps its P, if nobody takes that away during it.
    virtual void call_system(const std::function<void()>& during) = 0;
    /// By one that is none of the threads: takes the Ps that are in system calls; those of goroutines outside the runtime.
    virtual void retake() = 0;
    virtual void detach() = 0;
    /// The same: nobody uses a P in between.
    virtual void stop_and_start() = 0;
    /// How many threads sleep.
    virtual int asleep() = 0;
    /// One that sleeps is woken, and ends as soon as it knows of no work.
    virtual void end_one() = 0;
};
std::unique_ptr<machine_unit> make_machine(int procs, int threads);

struct select_of {
    channel_unit* on;
    int send = 0;  // 0: receives
};
/// -1: default.
int select(std::initializer_list<select_of> cases, bool has_default, int* received);

}  // namespace weak_memory
