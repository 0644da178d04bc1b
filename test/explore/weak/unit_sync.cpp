// Locks, groups, conditions and channels over the model of memory: units.hpp. Their sources are compiled beside this, and what
// they need of the runtime is here and in facade_sync/.
#include <vole/chan.hpp>
#include <vole/sync.hpp>

#include "runtime/internal/explore.hpp"
#include "runtime/internal/fatal.hpp"
#include "runtime/internal/membarrier.hpp"
#include "runtime/internal/park.hpp"
#include "test/explore/weak/units.hpp"
#include "test/support/rw_probe.hpp"

#include <stdexcept>

namespace vole::inline v0 {

namespace detail {

namespace {
std::uint32_t procs[16];  // of each thread, and 1; 0: none
}

bool fence_releasers() noexcept {
    if (release_mode.load(memory_order_relaxed) != release_restartable) return false;
    weak_memory::fence_all();
    return true;
}
bool fence_all_threads() noexcept {
    weak_memory::fence_all();
    return true;
}
bool can_fence_all_threads() noexcept { return true; }
std::uint32_t current_proc() noexcept { return procs[weak_memory::thread_number()] - 1; }
void throw_nil_deferred() { throw std::invalid_argument("nil"); }

}  // namespace detail

}  // namespace vole

int modelled_clear_if(unsigned* word, unsigned expected) noexcept {
    return weak_memory::clear_if(word, 0, expected) ? 1 : 0;
}

namespace weak_memory {

namespace {

using namespace vole::detail;

class mutex_of final : public lock_unit {
  public:
    void lock() override { mu_.lock(); }
    bool try_lock() override { return mu_.try_lock(); }
    void unlock() override { mu_.unlock(); }

  private:
    vole::mutex mu_;
};

class rw_mutex_of final : public rw_lock_unit {
  public:
    void lock() override { mu_.lock(); }
    bool try_lock() override { return mu_.try_lock(); }
    void unlock() override { mu_.unlock(); }
    void lock_shared() override { mu_.lock_shared(); }
    bool try_lock_shared() override { return mu_.try_lock_shared(); }
    void unlock_shared() override { mu_.unlock_shared(); }
    void spread() override { rw_mutex_probe::spread(mu_); }
    void spread_at_home() override { rw_mutex_probe::spread_at_home(mu_); }

  private:
    vole::rw_mutex mu_;
};

class group_of final : public group_unit {
  public:
    void add(int n) override { group_.add(n); }
    void wait() override { group_.wait(); }

  private:
    vole::wait_group group_;
};

class once_of final : public once_unit {
  public:
    void call(const std::function<void()>& f) override { once_.call(f); }

  private:
    vole::once once_;
};

class cond_of final : public cond_unit {
  public:
    void wait(lock_unit& held) override { cond_.wait(held); }
    void notify_one() override { cond_.notify_one(); }
    void notify_all() override { cond_.notify_all(); }

  private:
    vole::cond cond_;
};

class channel_of final : public channel_unit {
  public:
    explicit channel_of(std::size_t capacity)
        : core_(chan_make(sizeof(int), alignof(int), capacity)) {}
    ~channel_of() override { chan_free(core_); }
    void send(int x) override { chan_send(core_, &x); }
    int recv() override {
        int x = 0;
        return chan_recv(core_, &x) ? x : 0;
    }
    bool try_send(int x) override { return chan_try_send(core_, &x) == try_status::done; }
    int try_recv() override {
        int x = 0;
        const try_status s = chan_try_recv(core_, &x);
        return s == try_status::done ? x : s == try_status::closed ? -1 : 0;
    }
    void close() override { chan_close(core_); }
    chan_core* core() noexcept { return core_; }

  private:
    chan_core* core_;
};

}  // namespace

std::unique_ptr<lock_unit> make_mutex(release_kind how) {
    release_mode.value = how == release_kind::restartable ? release_restartable : 0;
    return std::make_unique<mutex_of>();
}
void be_on(unsigned proc) { procs[thread_number()] = proc + 1; }
std::unique_ptr<rw_lock_unit> make_rw_mutex() { return std::make_unique<rw_mutex_of>(); }
std::unique_ptr<group_unit> make_group() { return std::make_unique<group_of>(); }
std::unique_ptr<once_unit> make_once() { return std::make_unique<once_of>(); }
std::unique_ptr<cond_unit> make_cond() { return std::make_unique<cond_of>(); }
std::unique_ptr<channel_unit> make_channel(std::size_t capacity) {
    return std::make_unique<channel_of>(capacity);
}

int select(std::initializer_list<select_of> cases, bool has_default, int* received) {
    select_case cs[4];
    int elems[4] = {};
    select_waiter waiters[4];
    std::uint32_t poll[4];
    std::uint32_t lock_order[4];
    std::size_t n = 0;
    for (const select_of& c : cases) {
        elems[n] = c.send;
        cs[n].c = static_cast<channel_of*>(c.on)->core();
        cs[n].elem = &elems[n];
        cs[n].send = c.send != 0;
        ++n;
    }
    const std::size_t i = chan_select(cs, n, has_default, waiters, poll, lock_order);
    if (i == select_default) return -1;
    if (received != nullptr) *received = cs[i].send || !cs[i].ok ? 0 : elems[i];
    return static_cast<int>(i);
}

}  // namespace weak_memory
