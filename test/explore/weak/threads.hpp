// Threads of a modelled world: goroutines of the explored bubble that have seen what the one that starts them has.
#pragma once

#include <vole/vole.hpp>

#include "test/explore/weak/memory.hpp"

#include <functional>
#include <vector>

namespace weak_memory {

/// Runs all of them, and has seen what they did.
inline void run_threads(world& w, const std::vector<std::function<void()>>& threads) {
    vole::wait_group done;
    for (const auto& f : threads) {
        const word seen = world::view_for_child();
        done.go([&f, seen] {
            world::begin_child(seen);
            f();
        });
    }
    done.wait();
    w.join_all();
}

}  // namespace weak_memory
