// See landing.hpp. The tables are those of the Itanium C++ ABI ("language-specific data area"): of each
// function with handlers or cleanups a list of address ranges, each with a landing pad and an action. What is
// in no range ends in std::terminate.
#include "runtime/src/panic/landing.hpp"

#include <unwind.h>

#include <cstring>

namespace vole::inline v0::detail {

namespace {

class reader {
  public:
    explicit reader(const unsigned char* at) noexcept : at_(at) {}

    const unsigned char* at() const noexcept { return at_; }
    unsigned char byte() noexcept { return *at_++; }

    std::uint64_t uleb() noexcept {
        std::uint64_t value = 0;
        for (unsigned shift = 0;; shift += 7) {
            const unsigned char b = byte();
            value |= std::uint64_t{b & 0x7fu} << (shift & 63);
            if ((b & 0x80) == 0) return value;
        }
    }

    // Of the encodings (DW_EH_PE_*) those that compilers use for offsets.
    std::uint64_t value(unsigned char encoding) noexcept {
        switch (encoding & 0x0f) {
            case 0x01: return uleb();
            case 0x02: return fixed<std::uint16_t>();
            case 0x03: return fixed<std::uint32_t>();
            case 0x0a: return fixed<std::uint16_t>();
            case 0x0b: return fixed<std::uint32_t>();
            default: return fixed<std::uint64_t>();
        }
    }

  private:
    template <class T>
    T fixed() noexcept {
        T v;
        std::memcpy(&v, at_, sizeof(v));
        at_ += sizeof(v);
        return v;
    }
    const unsigned char* at_;
};

enum class found { no_range, cleanup, handler };
constexpr unsigned char omitted = 0xff;

found find(const void* table, std::uint64_t offset) noexcept {
    reader r(static_cast<const unsigned char*>(table));
    if (const unsigned char start = r.byte(); start != omitted) r.value(start);
    if (r.byte() != omitted) r.uleb();
    const unsigned char encoding = r.byte();
    const std::uint64_t length = r.uleb();
    const unsigned char* end = r.at() + length;
    while (r.at() < end) {
        const std::uint64_t begin = r.value(encoding);
        const std::uint64_t bytes = r.value(encoding);
        const std::uint64_t pad = r.value(encoding);
        const std::uint64_t action = r.uleb();
        if (offset < begin) return found::no_range;  // they are sorted
        if (offset < begin + bytes)
            return pad != 0 && action != 0 ? found::handler : found::cleanup;
    }
    return found::no_range;
}

struct search {
    std::uintptr_t pc;
    bool reached = false;
    bool may = true;
};

_Unwind_Reason_Code at_frame(_Unwind_Context* context, void* arg) {
    auto* s = static_cast<search*>(arg);
    int before = 0;
    const auto ip = static_cast<std::uintptr_t>(_Unwind_GetIPInfo(context, &before));
    if (!s->reached) {
        if (before == 0 || ip != s->pc) return _URC_NO_REASON;
        s->reached = true;
    }
    auto* table = reinterpret_cast<const void*>(_Unwind_GetLanguageSpecificData(context));
    if (table == nullptr) return _URC_NO_REASON;  // nothing to do in this function
    const std::uint64_t offset = ip - (before == 0 ? 1 : 0) - _Unwind_GetRegionStart(context);
    switch (find(table, offset)) {
        case found::cleanup: return _URC_NO_REASON;
        case found::handler: return _URC_END_OF_STACK;
        case found::no_range: s->may = false; break;
    }
    return _URC_END_OF_STACK;
}

}  // namespace

bool may_throw_at(std::uintptr_t pc) noexcept {
    search s{pc};
    _Unwind_Backtrace(at_frame, &s);
    return s.reached && s.may;
}

}  // namespace vole::detail
