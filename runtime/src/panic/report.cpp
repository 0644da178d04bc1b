// What is said of panics that nobody catches: the handler, the default report, and the texts of panics that
// end the process.
//
// Reports are written one at a time, each in one piece. The turn is a futex word: a goroutine that waits for
// it holds its thread, and sysmon gives its P away.
//
// Lock: handler_mu, a leaf, for the pointer only. Stack: goroutine or thread, with room for user code.
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>

#include <vole/runtime.hpp>

#include "runtime/internal/deep.hpp"
#include "runtime/internal/entry.hpp"
#include "runtime/internal/explore.hpp"
#include "runtime/internal/fatal.hpp"
#include "runtime/internal/futex.hpp"
#include "runtime/internal/lock.hpp"
#include "runtime/internal/never_destroyed.hpp"
#include "runtime/internal/write_all.hpp"
#include "runtime/src/panic/frames.hpp"
#include "runtime/src/trace/frames_text.hpp"
#include "runtime/src/trace/record.hpp"

namespace vole::inline v0::detail {

namespace {

constinit atomic<uncaught_policy> policy{uncaught_policy::report};

// Behind a pointer that is never freed: no static destructor.
using shared_handler = std::shared_ptr<const panic_handler>;
constinit lock handler_mu{lock_rank::gslab};
shared_handler& handler_slot() {
    static auto* slot = new shared_handler;
    return *slot;
}

shared_handler current_handler() {
    shared_handler& slot = handler_slot();
    const runtime_pin pin;
    const lock_guard held(handler_mu);
    return slot;
}

// 0 free, 1 taken, 2 taken and waited for.
constinit atomic<std::uint32_t> turn_word{0};

class turn {
  public:
    turn() noexcept {
        std::uint32_t seen = 0;
        if (turn_word.compare_exchange_strong(seen, 1, memory_order_acquire,
                                              memory_order_relaxed)) {
            return;
        }
        while (turn_word.exchange(2, memory_order_acquire) != 0) futex_wait(&turn_word, 2);
    }
    ~turn() {
        if (turn_word.exchange(0, memory_order_release) == 2) futex_wake(&turn_word, 1);
    }
    turn(const turn&) = delete;
    turn& operator=(const turn&) = delete;
};

std::string report_of(const panic_record* r) {
    std::string text = panic_lines(r);
    if (!r->detail.empty()) text += r->detail + "\n";
    if (level() == traceback_level::none) return text;
    text += "\ngoroutine " + std::to_string(r->goroutine) + " [running]:";
    if (!r->name.empty()) text += " " + r->name;
    text += r->labels + "\n";
    append_frames(text, r->stack, r->frames, frames_of::a_throw);
    append_creation(text, r->created_at, r->parent);
    return text;
}

void write_default(const panic_record* r) {
    const turn mine;
    const std::string text = report_of(r) + "\n";
    (void)write_all(2, text.data(), text.size());
    if (level() >= traceback_level::all) write_traceback(2, traceback_scope::all);
}

// PAN-52: before anything else is done with it.
void check_printable(const panic_record* r) noexcept {
    if (!r->unprintable) return;
    message text;
    text << "panic while printing panic value: ";
    for (const char c : r->text) {
        const char one[2] = {c, '\0'};
        text << one;
        if (c == '\n') text << "\t";
    }
    fatal(text.c_str());
}

struct told {
    panic_record* r;
    shared_handler handler;
};

[[noreturn]] void handler_threw(guard*, _Unwind_Exception* e) {
    const std::string text = panic_lines(new_record(thrown_object(e)));
    fatal("panic in the panic handler", text.c_str());
}

// An exception of the handler has nowhere to go.
void call_handler(told& t) {
    guard g;
    g.seen = handler_threw;
    call_guarded(
        [](void* p) {
            auto* at = static_cast<told*>(p);
            (*at->handler)(panic_value(add_reference(at->r)));
        },
        &t, &g);
}

}  // namespace

void set_uncaught_policy(uncaught_policy p) noexcept { policy.store(p, memory_order_relaxed); }
bool aborts_on_panic() noexcept {
    return policy.load(memory_order_relaxed) == uncaught_policy::abort;
}

void report_panic(panic_record* r) noexcept {
    check_printable(r);
    if (explore_panic(r->exception, r->text.c_str())) return;
    told t{r, current_handler()};
    if (t.handler != nullptr && *t.handler) {
        call_handler(t);
    } else {
        write_default(r);
    }
    if (!aborts_on_panic()) return;
    const turn mine;  // whoever is reporting shall finish
    save_recording_of_crash();
    if (level() == traceback_level::crash) std::abort();
    std::_Exit(2);
}

void wait_for_reports() noexcept { const turn mine; }

void fatal_while_unwinding(const panic_record* older, void* object) noexcept {
    struct both {
        const panic_record* older;
        void* object;
    } b{older, object};
    call_with_room(
        report_bytes,
        [](void* p) {
            const auto* at = static_cast<const both*>(p);
            panic_record* newer = new_record(at->object);
            std::string text =
                at->older != nullptr
                    ? panic_lines(at->older)
                    : std::string("panic: an exception that the program is going to catch\n");
            text += "\t" + panic_lines(newer);
            text.pop_back();
            fatal("panic during unwinding", text.c_str());
        },
        &b);
    __builtin_unreachable();
}

}  // namespace vole::detail

namespace vole::inline v0 {

panic_handler set_panic_handler(panic_handler handler) {
    using namespace detail;
    auto fresh = std::make_shared<const panic_handler>(std::move(handler));
    shared_handler& slot = handler_slot();
    {
        const runtime_pin pin;
        const lock_guard held(handler_mu);
        slot.swap(fresh);
    }
    return fresh != nullptr ? *fresh : panic_handler{};
}

const std::any& panic_value::value() const noexcept {
    const auto* e = detail::panic_error_in(record_);
    return e != nullptr ? e->value() : detail::never_destroyed<const std::any>();
}
const char* panic_value::what() const noexcept { return record_->text.c_str(); }
std::exception_ptr panic_value::exception() const noexcept { return record_->exception; }
std::uint64_t panic_value::goroutine() const noexcept { return record_->goroutine; }
const std::string& panic_value::name() const noexcept { return record_->name; }
std::span<const std::uintptr_t> panic_value::stack() const noexcept {
    return {record_->stack, record_->frames};
}
std::string panic_value::report() const { return detail::report_of(record_); }

panic_value::panic_value(const panic_value& other) noexcept
    : record_(detail::add_reference(other.record_)) {}
panic_value& panic_value::operator=(const panic_value& other) noexcept {
    panic_value copy(other);
    std::swap(record_, copy.record_);
    return *this;
}
panic_value::~panic_value() { detail::drop_reference(record_); }

}  // namespace vole
