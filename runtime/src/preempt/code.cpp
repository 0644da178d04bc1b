// Where a signal may stop a goroutine: in the program's own code, and nowhere else unless the program says
// so. What belongs to libc, libstdc++, the unwinder, ld.so or an allocator may hold locks that the next
// goroutine needs, or stand between computing a thread-local address and using it.
//
// Ranges lie in tables that only grow in use; an entry is written with its end first, so the handler, which
// reads them without a lock, sees none or a whole one.
//
// Stack: any; is_preemptible in the signal handler.
#include <link.h>

#include <stdexcept>

#include <vole/panic.hpp>
#include <vole/preempt.hpp>

#include "runtime/src/panic/fault.hpp"
#include "runtime/src/preempt/sanitizer_code.hpp"
#include "runtime/src/sched/sched.hpp"

// The program's entry point, where its code begins; weak, for a runtime that is linked into a library.
extern "C" __attribute__((weak)) void _start();

namespace vole::inline v0::detail {

namespace {

constexpr std::size_t most_ranges = 64;

struct range {
    atomic<std::uintptr_t> lo{0};  // 0: free; 1: being written
    atomic<std::uintptr_t> hi{0};
};

struct range_table {
    range ranges[most_ranges];
    atomic<std::size_t> used{0};  // entries that have ever been used

    bool add(std::uintptr_t lo, std::uintptr_t hi) noexcept {
        for (std::size_t i = 0; i < most_ranges; ++i) {
            std::uintptr_t free = 0;
            if (!ranges[i].lo.compare_exchange_strong(free, 1, memory_order_relaxed,
                                                      memory_order_relaxed)) {
                continue;
            }
            ranges[i].hi.store(hi, memory_order_relaxed);
            ranges[i].lo.store(lo, memory_order_release);
            std::size_t n = used.load(memory_order_relaxed);
            while (n < i + 1 && !used.compare_exchange_weak(n, i + 1, memory_order_release,
                                                            memory_order_relaxed)) {
            }
            return true;
        }
        return false;
    }
    void remove(std::uintptr_t lo, std::uintptr_t hi) noexcept {
        for (range& r : ranges) {
            if (r.lo.load(memory_order_relaxed) != lo || r.hi.load(memory_order_relaxed) != hi) {
                continue;
            }
            r.hi.store(0, memory_order_relaxed);
            r.lo.store(0, memory_order_release);
        }
    }
    bool holds(std::uintptr_t pc) const noexcept {
        const std::size_t n = used.load(memory_order_acquire);
        for (std::size_t i = 0; i < n; ++i) {
            const std::uintptr_t lo = ranges[i].lo.load(memory_order_acquire);
            if (lo > 1 && pc >= lo && pc < ranges[i].hi.load(memory_order_relaxed)) return true;
        }
        return false;
    }
};

constinit range_table preemptible;
constinit range_table unsafe;
constinit range_table faulting;  // built to throw for faults: panic/fault.hpp

// Calls f(lo, hi) for each stretch of executable code of a loaded object.
template <class F>
void each_code(const dl_phdr_info* object, F f) {
    for (int i = 0; i < object->dlpi_phnum; ++i) {
        const auto& h = object->dlpi_phdr[i];
        if (h.p_type != PT_LOAD || (h.p_flags & PF_X) == 0) continue;
        const std::uintptr_t lo = object->dlpi_addr + h.p_vaddr;
        f(lo, lo + h.p_memsz);
    }
}

bool holds(const dl_phdr_info* object, std::uintptr_t address) noexcept {
    bool found = false;
    each_code(object, [&](std::uintptr_t lo, std::uintptr_t hi) {
        found |= address >= lo && address < hi;
    });
    return found;
}

bool has_loader(const dl_phdr_info* object) noexcept {
    for (int i = 0; i < object->dlpi_phnum; ++i) {
        if (object->dlpi_phdr[i].p_type == PT_INTERP) return true;
    }
    return false;
}

// A static link: libc and the rest lie in the same text. Linkers place code in the order of their command
// line, and the libraries come after the program and after us: its part is what lies before us. (What
// the compiler calls cold, startup or hot code is sorted apart and left out: main() itself, usually.)
void add_static_program() noexcept {
    const auto begin = reinterpret_cast<std::uintptr_t>(&_start);
    const auto end = reinterpret_cast<std::uintptr_t>(&is_preemptible);
    if (begin < end) preemptible.add(begin, end);
}

int add_object(dl_phdr_info* object, std::size_t, void* at) noexcept {
    const bool is_main = *static_cast<int*>(at) == 0;
    ++*static_cast<int*>(at);
    const bool has_runtime = holds(object, reinterpret_cast<std::uintptr_t>(&is_preemptible));
    if (is_main && has_runtime && !has_loader(object)) {
        add_static_program();
    } else if (is_main || has_runtime) {
        each_code(object, [](std::uintptr_t lo, std::uintptr_t hi) { preemptible.add(lo, hi); });
    }
    return 0;
}

// Of the library that holds the address: what to do with each stretch of its code. False: none does.
bool each_code_around(const void* address, bool (*act)(std::uintptr_t lo, std::uintptr_t hi),
                      bool* all_done) {
    struct search {
        std::uintptr_t address;
        bool (*act)(std::uintptr_t, std::uintptr_t);
        bool found;
        bool all_done;
    } s{reinterpret_cast<std::uintptr_t>(address), act, false, true};
    dl_iterate_phdr(
        [](dl_phdr_info* object, std::size_t, void* arg) {
            auto* at = static_cast<search*>(arg);
            if (!holds(object, at->address)) return 0;
            at->found = true;
            each_code(object, [at](std::uintptr_t lo, std::uintptr_t hi) {
                at->all_done &= at->act(lo, hi);
            });
            return 1;
        },
        &s);
    *all_done = s.all_done;
    return s.found;
}

}  // namespace

void find_preemptible_code() noexcept {
    static constinit bool done = false;  // a start that failed later may be tried again
    if (done) return;
    done = true;
    int objects = 0;
    dl_iterate_phdr(add_object, &objects);
    add_sanitizer_code([](std::uintptr_t lo, std::uintptr_t hi) { unsafe.add(lo, hi); });
}

bool throws_faults(std::uintptr_t pc) noexcept { return faulting.holds(pc) && is_preemptible(pc); }

bool throw_faults_of(const void* anchor) noexcept {
    bool room = false;
    each_code_around(
        anchor,
        [](std::uintptr_t lo, std::uintptr_t hi) {
            faulting.remove(lo, hi);
            return faulting.add(lo, hi);
        },
        &room);
    return room;
}

bool is_preemptible(std::uintptr_t pc) noexcept {
    return preemptible.holds(pc) && !unsafe.holds(pc);
}

}  // namespace vole::detail

namespace vole::inline v0::preempt {

using namespace detail;

void add_library(const void* address) {
    bool room = false;
    if (!each_code_around(
            address,
            [](std::uintptr_t lo, std::uintptr_t hi) {
                preemptible.remove(lo, hi);  // said twice: known once
                return preemptible.add(lo, hi);
            },
            &room)) {
        throw std::invalid_argument("vole::preempt::add_library: no loaded library has code at "
                                    "this address; give the address "
                                    "of one of its functions");
    }
    if (!room)
        throw runtime_error("vole::preempt::add_library: 64 ranges of code are known already");
}

void forget_library(const void* address) {
    bool done = false;
    if (!each_code_around(
            address,
            [](std::uintptr_t lo, std::uintptr_t hi) {
                preemptible.remove(lo, hi);
                return true;
            },
            &done)) {
        throw std::invalid_argument(
            "vole::preempt::forget_library: no loaded library has code at this address; forget it "
            "before it is closed");
    }
}

void add_unsafe_range(code_range r) {
    const auto lo = reinterpret_cast<std::uintptr_t>(r.begin);
    const auto hi = reinterpret_cast<std::uintptr_t>(r.end);
    if (lo < 2 || lo >= hi) {
        throw std::invalid_argument("vole::preempt::add_unsafe_range: begin is not below end");
    }
    if (!unsafe.add(lo, hi)) {
        throw runtime_error("vole::preempt::add_unsafe_range: 64 ranges are known already");
    }
}

}  // namespace vole::preempt
