// A slot for each P of what a P may touch without asking anybody: see sync/src/proc_slots.hpp.
#pragma once

#include <cstdint>

#include <vole/config.hpp>
#include <vole/detail/atomic.hpp>

namespace vole::inline v0::detail {

/// Chunk 0 has the slots of the first four Ps, and each further one as many as all before it: 11 for 4096 Ps.
struct proc_slots {
    static constexpr unsigned chunks = 11;
    atomic<void*> chunk[chunks] = {};
    atomic<std::uint32_t> begun{0};  // a bit for each chunk that is there, or about to be
};

}  // namespace vole::inline v0::detail
