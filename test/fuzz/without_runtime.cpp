// What the look-up of ports wants of the runtime, for a program without one: on an ordinary thread these do nothing but
// call.
#include <vole/runtime.hpp>

#include "net/src/io_object.hpp"

#include <stdexcept>

namespace vole::inline v0::detail {

void enter_blocking() noexcept {}
void leave_blocking() noexcept {}
void call_on_system_stack(void (*fn)(void*), void* arg) { fn(arg); }

void throw_op_error(std::error_code e, const char*, const char*, std::string_view,
                    std::string_view) {
    throw std::system_error(e);
}

}  // namespace vole::detail
