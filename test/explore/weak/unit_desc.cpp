// A descriptor of the poller over the model of memory: units.hpp. The kernel is the test's.
#include "net/src/back_end.hpp"
#include "net/src/poll_desc.hpp"
#include "runtime/internal/timers.hpp"
#include "test/explore/weak/blocking.hpp"
#include "test/explore/weak/units.hpp"
#include "time/internal/alarm.hpp"

namespace vole::inline v0::detail {

namespace {

// One descriptor at a time, and one alarm of it, whose own lock orders its setting and its going off.
alarm* last_alarm = nullptr;
constexpr char alarm_lock = 0;

const poll_back_end kernel{nullptr, [](int, std::uint64_t) noexcept { return 0; },
                           [](int) noexcept {}, nullptr, nullptr};

}  // namespace

const poll_back_end& current_back_end() noexcept { return kernel; }
int ensure_poller() { return 0; }

void set_alarm(alarm* t, std::int64_t) {
    weak_memory::lock(&alarm_lock);
    t->set = true;
    last_alarm = t;
    weak_memory::unlock(&alarm_lock);
}
void stop_alarm(alarm* t) noexcept {
    weak_memory::lock(&alarm_lock);
    t->set = false;
    weak_memory::unlock(&alarm_lock);
}

}  // namespace vole::detail

namespace weak_memory {

namespace {

using namespace vole::detail;

wait_result result_of(io_status s) {
    return s == io_status::ready    ? wait_result::ready
           : s == io_status::closed ? wait_result::closed
                                    : wait_result::timeout;
}

class desc final : public desc_unit {
  public:
    desc() {
        last_alarm = nullptr;
        open_poll_desc(0, &d_);
    }
    ~desc() override { close_poll_desc(d_, 0); }
    wait_result prepare() override { return result_of(vole::detail::prepare(d_, io_dir::read)); }
    wait_result wait() override { return result_of(wait_ready(d_, io_dir::read)); }
    void event() override {
        g_list runnable;
        on_event({token_of(d_), dir_read, false, false}, runnable);
        while (G* g = runnable.pop_front()) ready(g);
    }
    void evict() override { vole::detail::evict(d_); }
    void set_deadline(bool passed) override {
        set_deadlines(d_, dir_read, passed ? poll_desc::passed : timer_now() + 1);
    }
    void alarm_goes_off() override {
        weak_memory::lock(&alarm_lock);
        const bool goes_off = last_alarm != nullptr && last_alarm->set;
        if (goes_off) {
            last_alarm->set = false;
        }
        weak_memory::unlock(&alarm_lock);
        if (!goes_off) return;
        d_->mu.acquire();
        if (d_->deadline[0] > 0) d_->deadline[0] = timer_now();  // it is that late now
        d_->mu.release();
        if (G* g = last_alarm->of.on_time(last_alarm); g != nullptr) ready(g);
    }

  private:
    poll_desc* d_ = nullptr;
};

}  // namespace

std::unique_ptr<desc_unit> make_desc() { return std::make_unique<desc>(); }

}  // namespace weak_memory
