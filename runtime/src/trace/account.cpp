// See account.hpp.
#include "runtime/src/trace/account.hpp"

#include <cxxabi.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "runtime/internal/write_all.hpp"
#include "runtime/src/trace/symbols.hpp"

namespace vole::inline v0::detail {

account::~account() {
    const int saved = errno;
    (void)write_all(2, text_, size_);  // nothing can be done about it
    errno = saved;
}

void account::add(const message& line) noexcept {
    for (const char* s = line.c_str(); *s != '\0' && size_ < sizeof(text_) - 1;) {
        text_[size_++] = *s++;
    }
    text_[size_++] = '\n';
}

shown_name::shown_name(std::uintptr_t pc) noexcept {
    char mangled[512];
    message number;
    const char* from = number.hex(pc).c_str();
    char* plain = nullptr;
    if (function_name(pc, mangled, sizeof(mangled))) {
        int status = 0;
        plain = abi::__cxa_demangle(mangled, nullptr, nullptr, &status);
        from = plain != nullptr ? plain : mangled;
    }
    // A stand-in for a function that is not instrumented (arch/amd64/foreign.def).
    constexpr const char stand_in[] = "__wrap_";
    if (std::strncmp(from, stand_in, sizeof(stand_in) - 1) == 0) from += sizeof(stand_in) - 1;
    const bool whole = std::strlen(from) < sizeof(text);
    std::strncpy(text, from, sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    if (!whole) std::memcpy(text + sizeof(text) - 4, "...", 3);
    std::free(plain);
}

bool shown_name::operator==(const shown_name& other) const noexcept {
    return std::strcmp(text, other.text) == 0;
}

}  // namespace vole::detail
