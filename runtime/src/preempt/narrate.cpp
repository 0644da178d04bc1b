// VOLE_DEBUG=preempttrace=1 and preemptexplain=1: what happens to goroutines that run for too long.
//
// Events happen in signal handlers, where nothing can be formatted or named; and sysmon, who could, must
// not wait for a lock that a frozen goroutine holds (ld.so's, for one). So they go through a ring to a
// thread of their own, which exists only when somebody has asked for the narration.
//
// Ring: a writer takes a number (relaxed), fills the slot, then stores the number + 1 into it (release);
// the reader waits for that (acquire). A writer that finds the slot not yet read drops its event.
// Stack: signal or any for tell_slow; the narrator's own, and the exiting thread's, for the rest.
#include <pthread.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <system_error>

#include "runtime/internal/futex.hpp"
#include "runtime/internal/os.hpp"
#include "runtime/src/os/settings.hpp"
#include "runtime/src/sched/sched.hpp"
#include "runtime/src/trace/account.hpp"

namespace vole::inline v0::detail {

constinit bool preempt_is_told = false;

namespace {

constexpr std::uint64_t ring_size = 1024;

struct slot {
    atomic<std::uint64_t> full{0};  // number of the event in it, + 1; 0 or older: free
    preempt_event event{};
};

constinit slot ring[ring_size]{};
constinit atomic<std::uint64_t> next_number{0};
constinit atomic<std::uint64_t> read_number{0};
constinit atomic<std::uint64_t> lost{0};
constinit atomic<bool> reading{false};
constinit note news;

const char* text_of(refusal why) noexcept {
    switch (why) {
        case refusal::request: return "nothing is asked of it any more";
        case refusal::runtime: return "it is inside the runtime";
        case refusal::stack: return "its stack pointer is not on its stack";
        case refusal::code: return "this code must not be stopped: it may hold what others need";
        case refusal::handler:
            return "a signal handler of the program runs, or signals are blocked";
        case refusal::work: return "there is nothing else to run";
        case refusal::thread: return "no thread is ready to go on; one is being made";
        case refusal::cap: return "max_frozen goroutines are stopped already";
        case refusal::elsewhere: return "the signal stack of this thread is not the runtime's";
        case refusal::none:
        case refusal::count: break;
    }
    return "";
}

void begin_line(message& line, const preempt_event& e) noexcept {
    line << "vole: preempt: goroutine " << e.goroutine;
}

message& add_thread(message& line, int tid) noexcept {
    return line << "thread " << static_cast<std::uint64_t>(tid);
}

message& add_place(message& line, const preempt_event& e) noexcept {
    line.hex(e.pc);
    return line << " (" << shown_name(e.pc).text << ")";
}

message& add_ms(message& line, std::int64_t ns) noexcept {
    return line << static_cast<std::uint64_t>(ns / 1'000'000) << "."
                << static_cast<std::uint64_t>(ns / 100'000 % 10) << " ms";
}

void trace(const preempt_event& e) noexcept {
    using enum preempt_event::what;
    message line;
    begin_line(line, e);
    switch (e.kind) {
        case request: add_thread(line << " is asked to give way, on ", e.tid); break;
        case refused: add_place(line << " not stopped at ", e) << ": " << text_of(e.why); break;
        case frozen:
            add_place(line << " frozen at ", e);
            add_thread(line << " on ", e.tid);
            if (e.to_tid != 0) add_thread(line << ", P to ", e.to_tid);
            break;
        case resumed: add_ms(line << " goes on after ", e.ns); break;
        case injected: add_place(line << " stopped by an injected call at ", e); break;
        case detached:
            line << (e.how == detach_reason::blocked ? " is blocked: " : " cannot be stopped: ");
            add_thread(line << "its P is taken, it goes on alone on ", e.tid);
            break;
        case returned: add_ms(line << " wants a P again after ", e.ns); break;
    }
    line << "\n";
    line.write_to(2);
}

void explain_refused(account& out, const preempt_event& e) noexcept {
    message line;
    begin_line(line, e);
    out.add(line << " is not stopped by the signal");
    line = {};
    add_place(line << "  place       ", e);
    out.add(line);
    out.add(message{} << "  rule        refused: " << text_of(e.why));
    out.add(message{}
            << "  next        the request stays; the next signal, or the next operation of this "
               "library, tries again");
}

void explain_frozen(account& out, const preempt_event& e) noexcept {
    message line;
    begin_line(line, e);
    out.add(line << " is frozen: stopped by a signal where it is");
    line = {};
    add_place(line << "  place       ", e);
    out.add(line);
    line = {};
    line << "  stack       pointer ";
    line.hex(e.sp);
    out.add(line << ", on the goroutine's own stack");
    out.add(message{}
            << "  rule        allowed: a request is pending, outside the runtime, the program's "
               "own code, no handler of the program, other work waits");
    out.add(message{} << "  saved       " << e.bytes
                      << " bytes by the kernel, on the signal stack: every register there is");
    line = {};
    add_thread(line << "  threads     ", e.tid)
        << " waits in the handler, with the goroutine tied to it";
    if (e.to_tid != 0) {
        add_thread(line << "; ", e.to_tid) << " has its P and runs others";
    } else {
        line << "; its P is stopped with the world, or it had none";
    }
    out.add(line);
    out.add(message{}
            << "  later       its turn comes from the queue; that thread gets a P, and the kernel "
               "puts every register back");
}

void explain(const preempt_event& e) noexcept {
    using enum preempt_event::what;
    account out;
    message line;
    begin_line(line, e);
    switch (e.kind) {
        case request:
            out.add(line << " has run for 10 ms: asked to give way");
            out.add(message{}
                    << "  next        at its next operation of this library it yields; if others "
                       "wait, a timer on its thread's CPU clock sends a signal");
            break;
        case refused: explain_refused(out, e); break;
        case frozen: explain_frozen(out, e); break;
        case resumed:
            add_ms(line << " goes on at the instruction it was stopped at, after ", e.ns);
            out.add(line);
            break;
        case injected:
            out.add(line << " is made to call vole_async_preempt where it is");
            line = {};
            add_place(line << "  place       ", e);
            out.add(line);
            out.add(
                message{} << "  saved       at most " << e.bytes
                          << " bytes, on its own stack, by xsavec: any thread may go on with it");
            break;
        case detached:
            out.add(line << " loses its P, and goes on without");
            out.add(
                message{} << "  why         "
                          << (e.how == detach_reason::blocked
                                  ? "the kernel says that its thread sleeps, outside the runtime"
                                  : "for 20 ms no signal has found it where it may be stopped"));
            line = {};
            add_thread(line << "  threads     ", e.tid);
            out.add(line << " is not disturbed: no signal is sent, no call of it returns early");
            out.add(
                message{} << "  later       it takes a P at its next operation of this library");
            break;
        case returned:
            add_ms(line << " has come to an operation of this library after ", e.ns);
            out.add(line << " without a P: it takes one, or queues for one");
            break;
    }
}

void drain() noexcept {
    // Two threads only, the narrator and one that exits.
    if (reading.exchange(true, memory_order_acquire)) return;
    std::uint64_t n = read_number.load(memory_order_relaxed);
    for (;; ++n) {
        slot& s = ring[n % ring_size];
        if (s.full.load(memory_order_acquire) != n + 1) break;
        const preempt_event e = s.event;
        read_number.store(n + 1, memory_order_release);
        if (debug_settings().preemptexplain) {
            explain(e);
        } else {
            trace(e);
        }
    }
    if (const std::uint64_t missed = lost.exchange(0, memory_order_relaxed); missed != 0) {
        message line;
        line << "vole: preempt: " << missed << " events were too fast to be told\n";
        line.write_to(2);
    }
    reading.store(false, memory_order_release);
}

// The narrator may be busy with the first name, for which all symbol tables are read.
void drain_at_exit() noexcept {
    constexpr int most_ms = 5000;
    for (int i = 0; i < most_ms && reading.load(memory_order_acquire); ++i) {
        const timespec ms{0, 1'000'000};
        nanosleep(&ms, nullptr);
    }
    drain();
}

void* narrate(void*) {
    for (;;) {
        news.sleep();
        news.clear();
        drain();
    }
}

}  // namespace

void tell_slow(const preempt_event& e) noexcept {
    std::uint64_t n = next_number.load(memory_order_relaxed);
    do {
        // acquire: the reader has copied what lies in the slot.
        if (n - read_number.load(memory_order_acquire) >= ring_size) {
            lost.fetch_add(1, memory_order_relaxed);
            return;
        }
    } while (
        !next_number.compare_exchange_weak(n, n + 1, memory_order_relaxed, memory_order_relaxed));
    slot& s = ring[n % ring_size];
    s.event = e;
    s.full.store(n + 1, memory_order_release);
    news.wake();
}

void start_narrator() {
    if (preempt_is_told) return;
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    pthread_t thread;
    const int e = os::pthread_create(&thread, nullptr, narrate, nullptr);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (e != 0) {
        throw std::system_error(
            e, std::generic_category(),
            "vole: cannot create the thread that VOLE_DEBUG=preempttrace=1 needs");
    }
    pthread_detach(thread);
    std::atexit([] { drain_at_exit(); });
    preempt_is_told = true;
}

std::uint64_t narrator_threads() noexcept { return preempt_is_told ? 1 : 0; }

}  // namespace vole::detail
