// defer, recovering and recover: see frames.hpp for how a panic travels.
//
// Stack: goroutine, small ones included (what allocates or throws goes to record.cpp, or gets room), or an
// ordinary thread's. No locks.
#include <cxxabi.h>

#include "runtime/internal/deep.hpp"
#include "runtime/internal/fatal.hpp"
#include "runtime/internal/park.hpp"
#include "runtime/src/panic/frames.hpp"
#include "runtime/src/panic/goexit.hpp"
#include "runtime/src/sched/sanitizer.hpp"

namespace vole::inline v0::detail {

VOLE_FITS_SMALL_STACK;

namespace {

constinit thread_local recover_frame* thread_frames = nullptr;

// noinline: the address of a thread_local must not be kept over a switch.
[[gnu::noinline]] recover_frame*& frames_of_thread() noexcept { return thread_frames; }

// Whose frames they are does not change while one exists: a thread without a goroutine never switches.
recover_frame** list_of_frames() noexcept {
    G* g = current_g();
    return g != nullptr ? &g->frames : &frames_of_thread();
}

}  // namespace

recover_frame* innermost_frame() noexcept { return *list_of_frames(); }

namespace {

void set_panic(recover_frame* f, panic_record* r) noexcept {
    panic_record* before = f->panic;
    f->panic = r;
    if (before != nullptr) deep([before] { drop_reference(before); });
}

void report_with_room(panic_record* r) {
    call_with_room(
        report_bytes, [](void* p) { report_panic(static_cast<panic_record*>(p)); }, r);
}

// goexit() unwinds on to the next frame, and takes a panic along that its deferred calls have begun.
void claim_for_goexit(recover_frame* f, panic_record* pending) noexcept {
    f->claimed = claim::goexit;
    f->uncaught = std::uncaught_exceptions();
    set_panic(f, pending);
    if (f->outermost && pending != nullptr) {
        report_with_room(pending);
        set_panic(f, nullptr);
    }
}

// Puts a frame into the list for its lifetime. Which goroutine's list that is may change meanwhile: a coroutine takes its
// frames along to whoever resumes it.
class frame_scope {
  public:
    explicit frame_scope(recover_frame* f) noexcept : f_(f) {
        recover_frame** list = list_of_frames();
        f->outer = *list;
        *list = f;
    }
    ~frame_scope() {
        if (f_ != nullptr) leave();
    }
    frame_scope(const frame_scope&) = delete;
    frame_scope& operator=(const frame_scope&) = delete;

    void end() noexcept {
        *list_of_frames() = f_->outer;
        f_ = nullptr;
    }

  private:
    // By forced unwinding.
    void leave() noexcept {
        *list_of_frames() = f_->outer;
        panic_record* pending = f_->panic;
        f_->panic = nullptr;
        if (f_->claimed == claim::goexit && f_->outer != nullptr) {
            claim_for_goexit(f_->outer, pending);
        } else if (pending != nullptr) {
            deep([pending] { drop_reference(pending); });
        }
        drop_carried(f_);
    }
    recover_frame* f_;
};

// Null: fn has returned.
inline _Unwind_Exception* call_in_frame(recover_frame& f, void (*fn)(void*), void* arg) {
    frame_scope scope(&f);
    _Unwind_Exception* e = call_guarded(fn, arg, &f);
    scope.end();
    if (f.carried != nullptr) [[unlikely]]
        drop_carried(&f);
    return e;
}

// What an inner frame knew of the exception, or a new one.
panic_record* take_record(recover_frame* f, void* object) noexcept {
    panic_record* r = f->carried;
    if (r == nullptr || object == nullptr || r->object != object) return new_record(object);
    f->carried = nullptr;
    return r;
}

// An exception is on its way to this frame.
void claim_for_exception(recover_frame* f, _Unwind_Exception* e) {
    f->claimed = claim::exception;
    f->uncaught = std::uncaught_exceptions();
    set_panic(f, take_record(f, thrown_object(e)));
}

void on_recoverable(guard* self, _Unwind_Exception* e) {
    claim_for_exception(static_cast<recover_frame*>(self), e);
}

// The frame's part is over. e: what was stopped there. Throws nothing.
outcome end_frame(recover_frame& f, _Unwind_Exception* e) noexcept {
    abi::__cxa_begin_catch(e);
    abi::__cxa_end_catch();  // the record keeps it if it is still wanted
    outcome o;
    o.goexit = f.ending;
    o.panic = f.panic;
    f.panic = nullptr;
    return o;
}

struct arrival {
    recover_frame* f;
    _Unwind_Exception* e;
};

}  // namespace

// What is pending goes on.
void continue_with(const outcome& o) {
    if (o.goexit) goexit_with(o.panic);
    if (o.panic == nullptr) return;  // recovered, or there was nothing
    std::exception_ptr going_on = o.panic->exception;
    if (recover_frame* f = innermost_frame(); f != nullptr) {
        drop_carried(f);
        f->carried = o.panic;
    } else {
        drop_reference(o.panic);
    }
    if (going_on == nullptr) throw runtime_error("vole: an exception that is not of C++");
    std::rethrow_exception(std::move(going_on));
}

void drop_carried(recover_frame* f) noexcept {
    if (f->carried == nullptr) return;
    deep([f] { drop_reference(f->carried); });
    f->carried = nullptr;
}

void claim_for_goexit(panic_record* pending) noexcept {
    if (recover_frame* f = innermost_frame(); f != nullptr) claim_for_goexit(f, pending);
}

void run_recovering(void (*fn)(void*), void* arg) {
    recover_frame f;
    f.seen = on_recoverable;
    _Unwind_Exception* e = call_in_frame(f, fn, arg);
    if (e == nullptr) [[likely]]
        return;
    arrival a{&f, e};
    call_with_room(
        throw_bytes,
        [](void* p) {
            const auto* at = static_cast<const arrival*>(p);
            continue_with(end_frame(*at->f, at->e));
        },
        &a);
}

// ---- the outermost frame of a coroutine -------------------------------------------------------

outcome run_contained(void (*fn)(void*), void* arg) noexcept {
    recover_frame f;
    f.seen = on_recoverable;
    f.stops_goexit = true;
    _Unwind_Exception* e = call_in_frame(f, fn, arg);
    if (e == nullptr) [[likely]]
        return {};
    if (e->exception_class != goexit_class) return end_frame(f, e);
    stopped_goexit(e, 0, false);
    return {.panic = f.panic, .goexit = true};
}

void report_outcome(const outcome& o) noexcept {
    if (o.panic == nullptr) return;
    report_with_room(o.panic);
    deep([&o] { drop_reference(o.panic); });
}

// ---- the outermost frame of a goroutine -------------------------------------------------------

namespace {

void on_uncaught(guard* self, _Unwind_Exception* e) {
    auto* f = static_cast<recover_frame*>(self);
    claim_for_exception(f, e);
    if (f->keeps_exception && !aborts_on_panic()) return;
    report_with_room(f->panic);
}

}  // namespace

std::exception_ptr run_outermost(void (*fn)(void*), void* arg, bool keep_exception) {
    recover_frame f;
    f.seen = on_uncaught;
    f.outermost = true;
    f.keeps_exception = keep_exception;
    _Unwind_Exception* e = call_in_frame(f, fn, arg);
    if (e == nullptr) [[likely]]
        return nullptr;
    std::exception_ptr kept;
    abi::__cxa_begin_catch(e);
    if (keep_exception && !f.ending) kept = f.panic->exception;
    abi::__cxa_end_catch();
    set_panic(&f, nullptr);
    return kept;
}

// ---- deferred calls ---------------------------------------------------------------------------

namespace {

struct deferred_guard : guard {
    recover_frame* f = nullptr;
    panic_record* thrown = nullptr;
    bool ours = false;
};

// An exception is about to leave a deferred call that another one, or goexit, runs.
void on_deferred(guard* self, _Unwind_Exception* e) {
    auto* g = static_cast<deferred_guard*>(self);
    if (!g->ours || (g->f->outermost && g->f->claimed != claim::goexit)) {
        fatal_while_unwinding(g->ours ? g->f->panic : nullptr, thrown_object(e));
    }
    g->thrown = take_record(g->f, thrown_object(e));
    if (!g->f->outermost) return;
    report_with_room(g->thrown);
}

// What recover() sees while a deferred call runs, and what a goexit() in it may change and has to leave.
class deferred_scope {
  public:
    deferred_scope(recover_frame* f, bool by_panic) noexcept
        : f_(f), claimed_(f->claimed), uncaught_(f->uncaught), in_deferred_(f->in_deferred) {
        f->in_deferred = by_panic;
    }
    ~deferred_scope() { f_->in_deferred = in_deferred_; }
    deferred_scope(const deferred_scope&) = delete;
    deferred_scope& operator=(const deferred_scope&) = delete;
    void claim_again() const noexcept {
        f_->claimed = claimed_;
        f_->uncaught = uncaught_;
    }

  private:
    recover_frame* f_;
    claim claimed_;
    int uncaught_;
    bool in_deferred_;
};

void replace_panic(recover_frame* f, panic_record* by) noexcept {
    if (f->outermost) {  // has been reported, goexit goes on
        deep([by] { drop_reference(by); });
        return;
    }
    panic_record* oldest = by;  // it may have replaced others in frames of the deferred call's own
    while (oldest->older != nullptr) oldest = oldest->older;
    oldest->older = f->panic;
    f->panic = by;
}

void run_in_frame(recover_frame* f, const deferred_call& call, bool ours) {
    deferred_guard g;
    g.seen = on_deferred;
    g.f = f;
    g.ours = ours;
    g.stops_goexit = true;
    const bool by_panic = ours && f->panic != nullptr && !f->outermost;
    const int before = std::uncaught_exceptions();
    _Unwind_Exception* e = nullptr;
    {
        const deferred_scope scope(f, by_panic);
        e = call_guarded(call.fn, call.arg, &g);
        if (e != nullptr) scope.claim_again();
    }
    if (e == nullptr) {
        // The panic ends with the deferred call that has recovered it.
        if (ours && f->panic != nullptr && f->panic->recovered) set_panic(f, nullptr);
    } else if (e->exception_class == goexit_class) {
        if (!ours) {
            fatal("goexit during unwinding",
                  "vole: a deferred call called vole::goexit() while an exception unwinds that is "
                  "going to be caught");
        }
        stopped_goexit(e, before, f->claimed == claim::goexit);
        f->ending = f->claimed == claim::exception;
    } else {
        abi::__cxa_begin_catch(e);
        replace_panic(f, g.thrown);
        abi::__cxa_end_catch();
    }
}

// During unwinding that no frame of ours will see the end of.
void run_outside(const deferred_call& call) {
    deferred_guard g;
    g.seen = on_deferred;
    call_guarded(call.fn, call.arg, &g);
}

}  // namespace

void run_deferred(const deferred_call& call) {
    recover_frame* f = innermost_frame();
    const int uncaught = std::uncaught_exceptions();
    if (uncaught <= call.uncaught) [[likely]] {
        if (f == nullptr) {
            call.fn(call.arg);
            return;
        }
        const deferred_scope scope(f, false);
        call.fn(call.arg);
        return;
    }
    if (f == nullptr) {
        run_outside(call);
        return;
    }
    run_in_frame(f, call, f->claimed != claim::none && f->uncaught == uncaught);
}

namespace {

// That recover() may end; null: none.
panic_record* recoverable() noexcept {
    const recover_frame* f = innermost_frame();
    const bool any = f != nullptr && f->in_deferred && f->panic != nullptr && !f->panic->recovered;
    return any ? f->panic : nullptr;
}

}  // namespace

std::exception_ptr passing_exception() noexcept {
    const panic_record* r = recoverable();
    return r != nullptr ? r->exception : nullptr;
}

}  // namespace vole::detail

namespace vole::inline v0 {

std::optional<panic_value> recover() {
    detail::panic_record* r = detail::recoverable();
    if (r == nullptr) return std::nullopt;
    r->recovered = true;
    return panic_value(detail::add_reference(r));
}

defer_list::~defer_list() noexcept(false) {
    // If one of them throws at an ordinary end, the others run while that unwinds.
    struct rest {
        defer_list* list;
        ~rest() noexcept(false) {
            while (!list->calls_.empty()) list->run_last();
        }
    } rest{this};
}

void defer_list::run_last() {
    struct others {
        defer_list* list;
        int uncaught = std::uncaught_exceptions();
        ~others() noexcept(false) {
            if (std::uncaught_exceptions() <= uncaught) return;
            while (!list->calls_.empty()) list->run_last();
        }
    } others{this};
    std::function<void()> f = std::move(calls_.back());
    calls_.pop_back();
    detail::run_deferred(
        {[](void* p) { detail::call_deferred(*static_cast<std::function<void()>*>(p)); }, &f,
         uncaught_});
}

}  // namespace vole
