// What the tests of policy copying share: a goroutine whose stack moves, and a way to make it move.
//
// An address that is to be compared with a later one must not lie on the stack meanwhile, where it
// would be adjusted: move_watch keeps it elsewhere.
#pragma once

#include <vole/sync.hpp>
#include <vole/vole.hpp>

#include <cstddef>
#include <cstdint>

// Sanitizers put calls into a function; code that makes calls of uninstrumented code borrows a segment
// instead of moving.
#if defined(__clang__)
#define PLAIN_CODE [[gnu::noinline, clang::disable_sanitizer_instrumentation]]
#else
#define PLAIN_CODE [[gnu::noinline, gnu::no_sanitize("undefined", "thread")]]
#endif

namespace vole::test {

/// Goes `levels` deep, with frames of some 250 bytes, and calls nobody else: on a stack that is
/// used up it moves.
PLAIN_CODE std::size_t dig(std::size_t levels);

/// Enough for two moves of the stacks below.
inline constexpr std::size_t deep_enough = 1000;

/// Large enough for calls of uninstrumented code to run on it, so that the frame of a test is on the
/// stack that moves.
inline constexpr std::size_t roomy = 64 * 1024;

class move_watch {
  public:
    template <class T>
    explicit move_watch(const T& local) {
        address = reinterpret_cast<std::uintptr_t>(&local);
    }
    template <class T>
    bool has_moved(const T& local) const {
        return address != reinterpret_cast<std::uintptr_t>(&local);
    }

  private:
    static inline volatile std::uintptr_t address = 0;
};

struct outcome {
    bool moved = false;  ///< the stack did move, else the test shows nothing
    bool held = false;   ///< what the test says survives did
};

/// Runs f(outcome&) in a goroutine of policy copying, and waits for its end.
template <class F>
outcome on_copying_stack(F f, std::size_t initial = roomy) {
    outcome result;
    vole::run([&] {
        vole::wait_group done;
        done.add(1);
        vole::go({.stack = vole::stack_policy::copying(initial)}, [&] {
            struct at_end {
                vole::wait_group& done;
                ~at_end() { done.done(); }
            } end{done};
            f(result);
        });
        done.wait();
    });
    return result;
}

}  // namespace vole::test
