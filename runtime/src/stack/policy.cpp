// stack_policy: what may be asked for, by whom, and what is given to those who do not ask.
// The default is set by initialisers of the program's files and read by every go(). Locks: none.
// Stack: any.
#include <bit>
#include <cstring>
#include <stdexcept>
#include <string>

#include <vole/detail/atomic.hpp>
#include <vole/stack.hpp>

#include "runtime/src/stack/default.hpp"

namespace vole::inline v0 {

namespace {

constexpr std::size_t smallest = 2048;

[[noreturn]] void refuse(const char* policy, const char* argument, std::size_t value,
                         const char* limits) {
    throw std::invalid_argument("vole::stack_policy::" + std::string(policy) + ": " + argument +
                                " is " + std::to_string(value) + " bytes; it must be between " +
                                limits);
}

// Both policies need code that grows by itself, and what only amd64 has: a linker that knows which
// calls leave it. ASan keeps addresses of frames, and takes the prologues for itself.
void check_available(const char* policy) {
#if !defined(__x86_64__)
    throw std::invalid_argument("vole::stack_policy::" + std::string(policy) +
                                ": only on amd64 so far; use stack_policy::reserved, or "
                                "stack::ensure for deep recursion");
#elif defined(VOLE_ASAN)
    throw std::invalid_argument("vole::stack_policy::" + std::string(policy) +
                                ": not in a build with the address sanitizer; use "
                                "stack_policy::reserved there");
#else
    static_cast<void>(policy);
#endif
}

// A file that only says that it is built for growing stacks would run off them silently.
void check_file(const char* policy, const void* probe) {
    if (probe == nullptr) return;
    // cmp %fs:0x70, %rsp, without its displacement, and what lld and gold make of it (stc; nopl)
    // where the function calls one that is not instrumented. bfd and mold leave it alone.
    constexpr unsigned char compiled[] = {0x64, 0x48, 0x3b, 0x24, 0x25};
    constexpr unsigned char linked[] = {0xf9, 0x0f, 0x1f, 0x84, 0x00};
    if (std::memcmp(probe, linked, sizeof linked) == 0) return;
    const bool instrumented = std::memcmp(probe, compiled, sizeof compiled) == 0;
    const std::string name = policy;
    throw std::invalid_argument(
        "vole::stack_policy::" + name + ": the file that asks for it was " +
        (instrumented ? "not linked by lld (-fuse-ld=lld -Wl,-z,now), so calls of code that is not "
                        "instrumented would run off the stack"
                      : "compiled without -fsplit-stack, or with what moves the check of the "
                        "stack from a function's start (-fcf-protection, "
                        "-fsanitize=function), so its stack would not grow") +
        "; use dependency('vole-" + name + "'), `pkg-config --cflags --libs vole-" + name +
        "`, or `tools/vole run --stack " + name + "`");
}

}  // namespace

stack_policy stack_policy::reserved(std::size_t max) {
    if (max < 32 * 1024 || max > std::size_t{1} << 30) {
        refuse("reserved", "max", max, "32 KiB and 1 GiB");
    }
    constexpr std::size_t page = 4096;
    return {kind::reserved, (max + page - 1) / page * page};
}

stack_policy stack_policy::growing(kind k, std::size_t initial, const void* probe) {
    const char* policy = k == kind::dense ? "dense" : "copying";
    check_available(policy);
    check_file(policy, probe);
    if (initial < smallest || initial > std::size_t{1} << 20) {
        refuse(policy, "initial", initial, "2 KiB and 1 MiB");
    }
    return {k, std::bit_ceil(initial)};
}

namespace detail {

namespace {

constinit atomic<stack_policy::kind> default_kind{stack_policy::kind::reserved};

}  // namespace

void not_instrumented() noexcept {}

void set_default_stack(const stack_policy& policy) noexcept {
    default_kind.store(policy.which(), memory_order_relaxed);
}

stack_policy default_stack() noexcept {
    const auto kind = default_kind.load(memory_order_relaxed);
    if (kind == stack_policy::kind::reserved) [[likely]]
        return {};
    return {kind, smallest};
}

stack_policy default_main_stack() noexcept {
    const stack_policy policy = default_stack();
    return policy.which() == stack_policy::kind::copying ? stack_policy::reserved() : policy;
}

}  // namespace detail

}  // namespace vole
