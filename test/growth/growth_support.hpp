// What the tests of growth share.
#pragma once

#include <vole/vole.hpp>

#include <cstddef>
#include <exception>
#include <stdexcept>
#include <vector>

#if defined(__clang__)
#define KEEP_CALL __attribute__((noinline))
#else
#define KEEP_CALL __attribute__((noinline, noclone, noipa))
#endif

namespace vole::test {

/// Makes the compiler believe that somebody looks at it.
template <class T>
inline void use(T& x) {
    asm volatile("" : : "r"(&x) : "memory");
}

/// Calls f() with n bytes (a multiple of 16) more in a frame.
template <std::size_t n, class F>
KEEP_CALL void below(F& f) {
    char block[n + 8];
    use(block);
    f();
    use(block);
}

/// f() in a goroutine with that stack; waits for its end and rethrows what left it.
template <class F>
void on_stack(stack_policy policy, F f) {
    run([&] {
        std::exception_ptr error;
        auto done = make_chan<int>();
        go({.stack = policy}, [&] {
            try {
                f();
            } catch (...) {
                error = std::current_exception();
            }
            done.close();
        });
        done.recv();
        if (error) std::rethrow_exception(error);
    });
}

/// Calls op() about `bytes` further down the stack: every multiple of 16 comes up in a sweep.
template <class Op>
KEEP_CALL void dig(std::size_t bytes, Op& op) {
    if (bytes >= 256) {
        char block[184];
        use(block);
        dig(bytes - 224, op);
        use(block);
        return;
    }
    switch (bytes / 16) {
        case 0: return below<16>(op);
        case 1: return below<32>(op);
        case 2: return below<48>(op);
        case 3: return below<64>(op);
        case 4: return below<80>(op);
        case 5: return below<96>(op);
        case 6: return below<112>(op);
        case 7: return below<128>(op);
        case 8: return below<144>(op);
        case 9: return below<160>(op);
        case 10: return below<176>(op);
        case 11: return below<192>(op);
        case 12: return below<208>(op);
        case 13: return below<224>(op);
        case 14: return below<240>(op);
        default: return below<256>(op);
    }
}

/// A sweep this long crosses the end of a first segment that has 2 to 4 KiB.
inline constexpr std::size_t sweep_bytes = 4400;

/// Goroutines that do not grow, before each that may: else the place learns to start the next ones with
/// more (adapt.hpp), and the sweep no longer comes to the end of a first segment. Reserved ones never
/// learn.
inline int calm_before(stack_policy policy) {
    return policy.which() == stack_policy::kind::reserved ? 0 : 6;
}

/// op(bytes) at every starting depth in steps of 16, each in a goroutine of its own.
template <class Op>
void sweep(stack_policy policy, Op op) {
    std::size_t first_size = 0;
    bool same = true;
    run([&] {
        for (std::size_t bytes = 0; bytes < sweep_bytes; bytes += 16) {
            for (int calm = calm_before(policy); calm >= 0; --calm) {
                auto done = make_chan<int>();
                go({.stack = policy}, [&] {
                    const std::size_t size = stack::size();
                    if (first_size == 0) first_size = size;
                    same = same && size == first_size;
                    if (calm == 0) {
                        auto once = [&] { op(bytes); };
                        dig(bytes, once);
                    }
                    done.close();
                });
                done.recv();
            }
        }
    });
    if (!same) throw std::logic_error("first segments have changed: the sweep misses the split");
}

/// All that instrumented code can have here: dense, copying, and a reserved one of that size.
inline std::vector<stack_policy> policies(std::size_t reserved) {
#if defined(__x86_64__)
    return {stack_policy::dense(), stack_policy::copying(), stack_policy::reserved(reserved)};
#else
    return {stack_policy::reserved(reserved)};
#endif
}

/// The smallest stack there is.
inline stack_policy smallest() { return policies(36 * 1024).front(); }

/// With stacks of 2 KiB, and reserved ones of which 4 KiB are above the red zone.
template <class Op>
void sweep_all(Op op) {
    for (const stack_policy p : policies(36 * 1024)) sweep(p, op);
}

}  // namespace vole::test
