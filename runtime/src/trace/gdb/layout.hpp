// What this program tells debuggers about its structures. See layout.cpp.
#pragma once

#include <cstdint>

extern "C" {
struct vole_debug_layout_v1;
extern const vole_debug_layout_v1 vole_debug_layout;
}

namespace vole::inline v0::detail {

/// What the values of an enumeration are called; some at the end are none of it.
struct debug_texts {
    static constexpr std::uint32_t count = 32;
    const char* texts[count];
};
extern const debug_texts status_texts;  // g_status
extern const debug_texts reason_texts;  // wait_reason

}  // namespace vole::detail
