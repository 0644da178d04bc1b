// What the narrations of stacks and of preemption are written with. Stack: not a small one.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/internal/fatal.hpp"

namespace vole::inline v0::detail {

/// Several lines, written to stderr at once by the destructor.
class account {
  public:
    account() = default;
    account(const account&) = delete;
    account& operator=(const account&) = delete;
    ~account();
    /// Whatever the caller has put into `line`.
    void add(const message& line) noexcept;

  private:
    char text_[4096];
    std::size_t size_ = 0;
};

/// The name of the function that holds pc, demangled and cut to size; the number if there is none.
/// Allocates.
struct shown_name {
    char text[72];

    explicit shown_name(std::uintptr_t pc) noexcept;
    bool operator==(const shown_name& other) const noexcept;
};

}  // namespace vole::detail
