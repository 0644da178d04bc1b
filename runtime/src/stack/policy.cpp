// stack_policy: what may be asked for. Stack: any.
#include <algorithm>
#include <bit>
#include <stdexcept>
#include <string>

#include <vole/stack.hpp>

namespace vole::inline v0 {

namespace {

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

std::size_t checked_initial(const char* policy, std::size_t initial) {
    check_available(policy);
    if (initial < 2048 || initial > std::size_t{1} << 20) {
        refuse(policy, "initial", initial, "2 KiB and 1 MiB");
    }
    return std::bit_ceil(initial);
}

}  // namespace

stack_policy stack_policy::reserved(std::size_t max) {
    if (max < 32 * 1024 || max > std::size_t{1} << 30) {
        refuse("reserved", "max", max, "32 KiB and 1 GiB");
    }
    constexpr std::size_t page = 4096;
    return {kind::reserved, (max + page - 1) / page * page};
}

stack_policy stack_policy::dense(std::size_t initial) {
    return {kind::dense, checked_initial("dense", initial)};
}

stack_policy stack_policy::copying(std::size_t initial) {
    return {kind::copying, checked_initial("copying", initial)};
}

}  // namespace vole
