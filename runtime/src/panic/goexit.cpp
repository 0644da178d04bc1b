// See goexit.hpp. Stack: goroutine.
#include "runtime/src/panic/goexit.hpp"

#include <cxxabi.h>
#include <unwind.h>

#include <cstdlib>
#include <exception>
#include <new>
#include <typeinfo>

#include <vole/panic.hpp>
#include <vole/runtime.hpp>

#include "runtime/internal/deep.hpp"
#include "runtime/internal/fatal.hpp"
#include "runtime/internal/park.hpp"
#include "runtime/src/sched/sanitizer.hpp"
#include "runtime/src/stack/grow.hpp"

namespace vole::inline v0::detail {

namespace {

static_assert(sizeof(_Unwind_Exception) + alignof(_Unwind_Exception) <= goexit_bytes);

_Unwind_Exception* exception_of(const G* g) noexcept {
    const auto top =
        reinterpret_cast<std::uintptr_t>(first_segment(g)->hi()) - sizeof(_Unwind_Exception);
    return reinterpret_cast<_Unwind_Exception*>(top & ~(alignof(_Unwind_Exception) - 1));
}

constexpr _Unwind_Exception_Class goexit_class = 0x564f4c4500455849;  // "VOLE\0EXI"

VOLE_NO_TSAN _Unwind_Reason_Code at_frame(int, _Unwind_Action actions, _Unwind_Exception_Class,
                                          _Unwind_Exception*, _Unwind_Context*, void* g) {
    if ((actions & _UA_END_OF_STACK) != 0) {
        exception_of(static_cast<G*>(g))->exception_class = 0;
        end_goroutine(static_cast<G*>(g));
    }
    return _URC_NO_REASON;
}

void swallowed(_Unwind_Reason_Code, _Unwind_Exception*) {
    fatal("goexit swallowed",
          "vole: a catch (...) block caught vole::goexit() and did not rethrow it");
}

void describe(message& text, const char* type_name) noexcept {
    int status = 0;
    char* plain = abi::__cxa_demangle(type_name, nullptr, nullptr, &status);
    text << (plain != nullptr ? plain : type_name);
    std::free(plain);
}

}  // namespace

bool is_goexit_in_flight(const G* g) noexcept {
    return exception_of(g)->exception_class == goexit_class;
}

namespace {
void write_uncaught(const G* g) noexcept {
    message text;
    text << "panic: ";
    try {
        throw;
    } catch (const panic_error& e) {
        text << e.what();
    } catch (const std::exception& e) {
        describe(text, typeid(e).name());
        text << ": " << e.what();
    } catch (...) {
        const std::type_info* type = abi::__cxa_current_exception_type();
        describe(text, type != nullptr ? type->name() : "foreign exception");
    }
    text << "\n\ngoroutine " << g->id << " [running]";
    if (g->name != nullptr) text << " \"" << g->name << "\"";
    text << " has ended by this exception; the others go on\n";
    text.write_to(2);
}
}  // namespace

void report_uncaught(const G* g) noexcept {
    deep([g] { write_uncaught(g); });
}

void report_uncaught_exception() noexcept {
    if (const G* g = current_g(); g != nullptr) report_uncaught(g);
}

}  // namespace vole::detail

namespace vole::inline v0 {

void goexit() {
    detail::G* g = detail::current_g();
    if (g == nullptr) {
        throw runtime_error("vole::goexit called in a thread that is not a goroutine");
    }
    auto* e = ::new (static_cast<void*>(detail::exception_of(g))) _Unwind_Exception{};
    e->exception_class = detail::goexit_class;
    e->exception_cleanup = detail::swallowed;
    detail::tell_unwinding();
    _Unwind_ForcedUnwind(e, detail::at_frame, g);
    detail::fatal("goexit: the stack cannot be unwound",
                  "vole: some frame has no unwind information");
}

}  // namespace vole
