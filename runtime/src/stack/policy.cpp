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

std::size_t checked_initial(const char* policy, std::size_t initial) {
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
