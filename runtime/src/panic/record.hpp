// A panic as the runtime knows it: made when a guard sees the exception, shared by the frame that it is
// pending in, the exception's next guard, and whoever keeps a panic_value. Counted references.
// Stack: goroutine, or an ordinary thread's; whole functions of record.cpp allocate.
#pragma once

#include <exception>
#include <string>

#include <vole/detail/atomic.hpp>
#include <vole/panic.hpp>

namespace vole::inline v0::detail {

struct panic_record {
    static constexpr std::size_t most_frames = 100;

    atomic<int> references{1};
    panic_record* older = nullptr;  // the panic whose deferred call threw this one
    void* object = nullptr;         // thrown_object(); null: foreign
    std::exception_ptr exception;
    std::string text;
    std::string detail;  // a line that follows: of faults
    std::string name;    // of the goroutine
    std::string labels;  // its own, as tracebacks show them
    std::uint64_t goroutine = 0;
    std::uint64_t parent = 0;
    std::uintptr_t created_at = 0;
    bool recovered = false;
    bool unprintable = false;
    std::size_t frames = 0;
    std::uintptr_t stack[most_frames];
};

/// Of an exception that a guard's `seen` is told of; its stack is the caller's. All with room inside.
panic_record* new_record(void* object) noexcept;
/// Both: null is allowed.
panic_record* add_reference(panic_record* r) noexcept;
void drop_reference(panic_record* r) noexcept;

/// "panic: first [recovered]\n\tpanic: second\n", oldest first (PAN-51).
std::string panic_lines(const panic_record* newest);

/// What it holds as a panic_error; null: another exception.
const panic_error* panic_error_in(const panic_record* r) noexcept;
/// A reference to what is thrown.
std::exception_ptr pointer_to(void* object) noexcept;

}  // namespace vole::detail
