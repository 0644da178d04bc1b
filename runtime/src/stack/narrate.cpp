// See narrate.hpp. Stack: g0. One write(2) a line, so that lines of several threads do not mix.
#include "runtime/src/stack/narrate.hpp"

#include "runtime/internal/fatal.hpp"

namespace vole::inline v0::detail {

namespace {

message& begin_line(message& line, const G* g) noexcept {
    line << "vole: stack: goroutine " << g->id;
    if (g->name != nullptr) line << " \"" << g->name << "\"";
    return line;
}

}  // namespace

void tell_link(const G* g, const growth* at) noexcept {
    message line;
    begin_line(line, g) << " links a segment of " << std::uint64_t{g->stack->next->bytes}
                        << " bytes for a frame of " << at->frame_bytes << " at ";
    line.hex(at->body_pc) << "\n";
    line.write_to(2);
}

void tell_borrow(const G* g, const growth* at) noexcept {
    message line;
    begin_line(line, g) << " borrows 65536 bytes for "
                        << (at->kind == VOLE_GROWTH_FOREIGN ? "uninstrumented callees" : "a frame")
                        << " at ";
    line.hex(at->body_pc) << "\n";
    line.write_to(2);
}

void tell_copy(const G* g, const growth* at, const stack_segment* old, const stack_segment* fresh,
               std::size_t changed) noexcept {
    message line;
    begin_line(line, g) << " moves from " << std::uint64_t{old->bytes} << " to "
                        << std::uint64_t{fresh->bytes} << " bytes: "
                        << static_cast<std::uint64_t>(old->hi() - reinterpret_cast<const char*>(at))
                        << " bytes copied, " << std::uint64_t{changed} << " words adjusted, at ";
    line.hex(at->body_pc) << "\n";
    line.write_to(2);
}

}  // namespace vole::detail
