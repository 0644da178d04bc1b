// See guard.hpp, and arch/*/guard.S for the frame that this is the personality routine of.
#include "runtime/src/panic/guard.hpp"

#include <typeinfo>

#include <cstdint>

#include <vole/arch/split_note.hpp>

namespace vole::inline v0::detail {

VOLE_FITS_SMALL_STACK;

namespace {

// "GNUCC++\0" and, of a rethrown exception_ptr, "GNUCC++\1"; other C++ runtimes write another vendor
// before the "C++".
constexpr std::uint64_t language = 0x432b2b00;  // "C++\0"

// What the C++ ABI puts before the unwinder's header in either kind of exception.
struct exception_header {
    void* type_or_object;  // std::type_info; of a rethrown one the thrown object
    void* destructor_and_handlers[3];
    void* next;
    int counts[2];
    void* found[4];
};
static_assert(sizeof(exception_header) == exception_header_bytes);

}  // namespace

void* thrown_object(_Unwind_Exception* e) noexcept {
    if ((e->exception_class & 0xfffffffe) != language) return nullptr;
    if ((e->exception_class & 1) == 0) return e + 1;
    return (reinterpret_cast<exception_header*>(e) - 1)->type_or_object;
}

namespace {

_Unwind_Reason_Code stop(_Unwind_Exception* e, _Unwind_Context* context) noexcept {
    _Unwind_SetGR(context, __builtin_eh_return_data_regno(0), reinterpret_cast<_Unwind_Word>(e));
    _Unwind_SetIP(context, reinterpret_cast<_Unwind_Ptr>(&arch::vole_guard_landing));
    return _URC_INSTALL_CONTEXT;
}

}  // namespace

}  // namespace vole::detail

extern "C" __attribute__((visibility("hidden"))) _Unwind_Reason_Code
vole_guard_personality(int, _Unwind_Action actions, _Unwind_Exception_Class kind,
                       _Unwind_Exception* e, _Unwind_Context* context) {
    using namespace vole::detail;
    auto* g =
        reinterpret_cast<guard*>(_Unwind_GetGR(context, vole::arch::this_port::guard_register));
    if ((actions & _UA_FORCE_UNWIND) != 0) {
        if (kind == goexit_class && g->stops_goexit) return stop(e, context);
        return _URC_CONTINUE_UNWIND;  // a thread that is cancelled, say: no panic
    }
    if ((actions & _UA_SEARCH_PHASE) != 0) {
        if (g->seen != nullptr) g->seen(g, e);
        return _URC_HANDLER_FOUND;
    }
    return stop(e, context);
}
