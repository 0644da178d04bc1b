// See narrate.hpp.
#include "runtime/src/stack/narrate.hpp"

#include "runtime/internal/bubble.hpp"
#include "runtime/internal/fatal.hpp"
#include "runtime/internal/futex.hpp"
#include "runtime/src/sched/sched.hpp"
#include "runtime/src/stack/verify.hpp"
#include "runtime/src/trace/account.hpp"
#include "runtime/src/trace/unwind.hpp"

namespace vole::inline v0::detail {

namespace {

constexpr std::size_t shown_frames = 10;
constexpr std::size_t most_counted = 10'000;  // frames: a walk takes some microseconds for each

message& begin_line(message& line, const G* g) noexcept {
    line << "vole: stack: goroutine " << g->id;
    if (name_of(g) != nullptr) line << " \"" << name_of(g) << "\"";
    return line;
}

void add_opening(account& out, const G* g, const char* what) noexcept {
    message line;
    out.add(begin_line(line, g) << " " << what);
}

void add_asker(account& out, const growth* at, const stack_segment* s) noexcept {
    message line;
    line << "  asked by    " << shown_name(at->body_pc).text;
    if (at->kind != VOLE_GROWTH_FOREIGN)
        line << ": its frame takes " << at->frame_bytes << " bytes";
    const auto* sp = reinterpret_cast<const char*>(&at->caller_pc);
    const bool above = sp >= s->guard;
    line << ", the stack pointer is "
         << static_cast<std::uint64_t>(above ? sp - s->guard : s->guard - sp)
         << (above ? " above the guard" : " below the guard");
    out.add(line);
}

void add_frames(account& out, const stack_segment* s) noexcept {
    std::uintptr_t pcs[shown_frames];
    const std::size_t n = frames_within(s->lo, s->hi(), most_counted, pcs, shown_frames);
    if (n == 0) return;  // built without libunwind
    message line;
    line << "  frames      " << (n == most_counted ? "at least " : "") << std::uint64_t{n}
         << " on this stack, innermost first: ";
    const std::size_t shown = n < shown_frames ? n : shown_frames;
    for (std::size_t i = 0; i < shown;) {
        const shown_name name(pcs[i]);
        std::size_t run = 1;
        while (i + run < shown && shown_name(pcs[i + run]) == name) ++run;
        line << (i != 0 ? ", " : "") << name.text;
        if (run > 1) line << " (" << std::uint64_t{run} << " times)";
        i += run;
    }
    if (shown < n) line << ", ...";
    out.add(line);
}

void explain_link(const G* g, const growth* at) noexcept {
    const stack_segment* s = g->stack;
    const stack_segment* n = s->next;
    account out;
    message line;
    add_opening(out, g, "links a segment");
    add_asker(out, at, s);
    add_frames(out, s);
    line << "  new         segment of " << std::uint64_t{n->bytes} << " bytes at [";
    line.hex(reinterpret_cast<std::uintptr_t>(n->lo)) << ", ";
    line.hex(reinterpret_cast<std::uintptr_t>(n->end()))
        << "), linked behind one of " << std::uint64_t{s->bytes};
    out.add(line);
    out.add(
        message{} << "  nothing moves: frames stay where they are, and every address stays good");
    out.add(message{} << "  goes on     " << at->argument_bytes
                      << " bytes of stack arguments are copied, then the body is called there");
    out.add(message{} << "  afterwards  the segment is kept: the next call from here costs no more "
                         "than some nanoseconds");
}

void explain_borrow(const G* g, const growth* at) noexcept {
    const bool foreign = at->kind == VOLE_GROWTH_FOREIGN;
    account out;
    add_opening(out, g, "borrows a segment");
    add_asker(out, at, g->stack);
    add_frames(out, g->stack);
    out.add(message{} << "  why         "
                      << (foreign ? "code that is not instrumented needs room, and does not check "
                                    "whether there is any"
                                  : "it does not fit on a stack of policy dense"));
    out.add(message{} << "  new         65536 bytes of this thread's list, which has been filled: "
                      << std::uint64_t{current_m()->spare_count} << " segments");
    out.add(
        message{} << "  nothing moves: frames stay where they are, and every address stays good");
    out.add(message{} << "  afterwards  it goes back to the list; the next loans pass through "
                         "assembly alone and are not told");
}

// Of the registers that __morestack has saved, those that held an address of the stack.
std::uint64_t addresses_in_registers(const growth* at, const stack_segment* old) noexcept {
    const auto lo = reinterpret_cast<std::uintptr_t>(old->lo);
    const auto bytes = reinterpret_cast<std::uintptr_t>(old->hi()) - lo;
    std::uint64_t n = 0;
    const auto* words = reinterpret_cast<const std::uint64_t*>(at);
    for (std::size_t i = 0; i < sizeof(growth) / sizeof(*words); ++i) n += words[i] - lo < bytes;
    return n;
}

void explain_copy(const G* g, const told_copy& c, std::int64_t took) noexcept {
    const auto live = static_cast<std::uint64_t>(c.old->hi() - reinterpret_cast<const char*>(c.at));
    const auto from = reinterpret_cast<std::uintptr_t>(c.old->lo);
    const auto to = reinterpret_cast<std::uintptr_t>(c.fresh->lo);
    const std::uint64_t old_hi = reinterpret_cast<std::uintptr_t>(c.old->hi());
    const std::uint64_t new_hi = reinterpret_cast<std::uintptr_t>(c.fresh->hi());
    account out;
    message line;
    begin_line(line, g) << " moves its stack (growth " << std::uint64_t{c.fresh->copies} << ")";
    out.add(line);
    add_asker(out, c.at, c.old);
    add_frames(out, c.old);
    out.add(message{} << "  live        " << live << " of " << std::uint64_t{c.old->bytes}
                      << " bytes: only these are copied");
    out.add(message{} << "  new         " << std::uint64_t{c.fresh->bytes} << " bytes, "
                      << std::uint64_t{c.fresh->bytes / c.old->bytes}
                      << " times the size: doubling keeps the sum of all copies below twice the "
                         "last stack");
    line = {};
    line << "  moves       from [";
    line.hex(from) << ", ";
    line.hex(old_hi) << ") to [";
    line.hex(to) << ", ";
    line.hex(new_hi) << "): " << (new_hi > old_hi ? "up by " : "down by ");
    line.hex(new_hi > old_hi ? new_hi - old_hi : old_hi - new_hi);
    out.add(line);
    out.add(message{} << "  adjusted    " << std::uint64_t{c.changed} << " of " << live / 8
                      << " words: those between the old ends, taken for addresses, moved along");
    out.add(message{} << "  registers   " << addresses_in_registers(c.at, c.old)
                      << " of 13 saved ones among them");
    out.add(message{} << "  old stack   "
                      << (keeps_abandoned_stacks()
                              ? "stays, inaccessible: who uses an old address is found out"
                          : c.old->kind == segment_kind::mapped
                              ? "is unmapped, or kept for the next who needs that size"
                              : "goes back to the free list of its size"));
    out.add(message{} << "  took        " << static_cast<std::uint64_t>(took) << " ns");
}

}  // namespace

void tell_link(const G* g, const growth* at) noexcept {
    if (debug_settings().stackexplain) return explain_link(g, at);
    message line;
    begin_line(line, g) << " links a segment of " << std::uint64_t{g->stack->next->bytes}
                        << " bytes for a frame of " << at->frame_bytes << " at ";
    line.hex(at->body_pc) << "\n";
    line.write_to(2);
}

void tell_borrow(const G* g, const growth* at) noexcept {
    if (debug_settings().stackexplain) return explain_borrow(g, at);
    message line;
    begin_line(line, g) << " borrows 65536 bytes for "
                        << (at->kind == VOLE_GROWTH_FOREIGN ? "uninstrumented callees" : "a frame")
                        << " at ";
    line.hex(at->body_pc) << "\n";
    line.write_to(2);
}

void tell_copy(const G* g, const told_copy& c) noexcept {
    const std::int64_t took = nanotime() - c.start;
    if (debug_settings().stackexplain) return explain_copy(g, c, took);
    message line;
    begin_line(line, g) << " moves from " << std::uint64_t{c.old->bytes} << " to "
                        << std::uint64_t{c.fresh->bytes} << " bytes: "
                        << static_cast<std::uint64_t>(c.old->hi() -
                                                      reinterpret_cast<const char*>(c.at))
                        << " bytes copied, " << std::uint64_t{c.changed} << " words adjusted, at ";
    line.hex(c.at->body_pc) << "\n";
    line.write_to(2);
}

}  // namespace vole::detail
