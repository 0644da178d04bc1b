// The threads of a modelled machine (units.hpp), from the first goroutine to the last: all threads sleep before there is something to
// do, and when everything is done; then they are woken to end.
#pragma once

#include "test/explore/weak/blocking.hpp"
#include "test/explore/weak/units.hpp"
#include "test/explore/weak/weak_support.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <utility>
#include <vector>

namespace weak_memory {

class crew {
  public:
    /// body(item, thread) is what goroutines do.
    crew(world& w, int procs, int threads, std::function<void(int, int)> body)
        : w_(w), m_(make_machine(procs, threads)), threads_(threads) {
        m_->runs([this, f = std::move(body)](int item, int thread) {
            must(!std::exchange(begun_[static_cast<std::size_t>(item)], true),
                 "a goroutine ran twice");
            f(item, thread);
            ++finished_;
        });
    }
    machine_unit& machine() { return *m_; }

    /// Each of `outside` is started by a thread that is none of these; `beside` are others. When all sleep, so many have ended.
    void run(const std::vector<int>& outside, int expected,
             std::vector<std::function<void()>> beside = {}) {
        std::vector<std::function<void()>> all;
        for (int t = 0; t < threads_; ++t)
            all.push_back([this, t] {
                m_->work_on(t);
                ++ended_;
            });
        for (const int item : outside) {
            beside.push_back([this, item] {
                await_sleep();
                m_->publish_from_outside(item);
            });
        }
        std::size_t done = 0;
        for (const auto& f : beside) {
            all.push_back([&done, &f] {
                f();
                ++done;
            });
        }
        all.push_back([this, expected, &done, &beside] {
            while (done != beside.size()) yield();
            await_sleep();
            // Now, not when the threads are woken to end.
            must(finished_ == expected, "all threads sleep, and work is left");
            end_all();
        });
        run_threads(w_, all);
    }

  private:
    void await_sleep() {
        while (m_->asleep() + ended_ != threads_) yield();
    }
    void end_all() {
        while (ended_ != threads_) {
            await_sleep();
            if (ended_ != threads_) m_->end_one();
        }
    }

    world& w_;
    std::unique_ptr<machine_unit> m_;
    int threads_;
    int ended_ = 0;
    int finished_ = 0;
    std::array<bool, items> begun_{};
};

}  // namespace weak_memory
