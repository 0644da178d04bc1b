// In the place of arch/include/vole/arch/port.hpp: the real port, but a thread's M and its depth in the runtime are the model's.
// Under another name: what is compiled for it must not be taken for the real one's.
#pragma once

#include <vole/detail/atomic.hpp>

#include "arch/include/vole/arch/port.hpp"

namespace vole::arch {

struct modelled_port : this_port {
    static void* current_m() noexcept;      // unit_sched.cpp
    static void* runtime_depth() noexcept;  // unit_sched.cpp
    static auto& depth() noexcept {
        return *static_cast<weak_memory::atomic<std::uint32_t>*>(runtime_depth());
    }
    static void count_in() noexcept {
        depth().store(depth().load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
    static void count_out() noexcept {
        depth().store(depth().load(std::memory_order_relaxed) - 1, std::memory_order_release);
    }
    static bool step_in() noexcept {
        if (depth().load(std::memory_order_relaxed) != 0) return false;
        depth().store(1, std::memory_order_relaxed);
        return true;
    }
    static void step_out() noexcept { depth().store(0, std::memory_order_release); }
};

}  // namespace vole::arch

#define this_port modelled_port
