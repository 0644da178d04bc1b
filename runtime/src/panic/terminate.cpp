// std::terminate on a goroutine: an exception that met a noexcept function, or left a destructor that another
// exception runs. It says where, before the handler that was there before says what.
//
// Stack: goroutine or thread. Allocates: C++ is not at its end yet, only this goroutine.
#include <exception>

#include <cstdlib>

#include <vole/runtime.hpp>

#include "runtime/internal/fatal.hpp"
#include "runtime/internal/park.hpp"
#include "runtime/src/panic/frames.hpp"
#include "runtime/src/panic/goexit.hpp"
#include "runtime/src/trace/record.hpp"

namespace vole::inline v0::detail {

namespace {

constinit std::terminate_handler previous = nullptr;

// The exception that terminate is called for; null: none.
void* current_object() noexcept {
    const std::exception_ptr current = std::current_exception();
    void* object = nullptr;
    static_assert(sizeof(current) == sizeof(object));
    __builtin_memcpy(&object, &current, sizeof(object));
    return object;
}

[[noreturn]] void on_terminate() noexcept {
    if (current_g() != nullptr) {
        void* object = current_object();
        // It counts as caught: any that is left has been unwinding, and a destructor has thrown.
        const recover_frame* f = innermost_frame();
        const bool claimed = f != nullptr && f->claimed == claim::exception;
        if (object != nullptr && std::uncaught_exceptions() > 0) {
            fatal_while_unwinding(claimed ? f->panic : nullptr, object);
        }
        if (object != nullptr) {
            const std::string text = panic_lines(new_record(object));
            message line;
            line << text.c_str() << "\n";
            line.write_to(2);
        }
        forget_caught_goexit();
        write_traceback(2, traceback_scope::current);
    }
    save_recording_of_crash();
    if (previous != nullptr) previous();
    std::abort();
}

}  // namespace

void install_terminate_handler() noexcept { previous = std::set_terminate(on_terminate); }

}  // namespace vole::detail
