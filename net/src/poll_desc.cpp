// See poll_desc.hpp.
#include "net/src/poll_desc.hpp"

#include <cerrno>
#include <new>

#include "net/src/back_end.hpp"
#include "runtime/internal/deep.hpp"
#include "runtime/internal/netpoll.hpp"
#include "runtime/internal/park.hpp"
#include "runtime/internal/timers.hpp"
#include "time/internal/alarm.hpp"

namespace vole::inline v0::detail {

VOLE_FITS_SMALL_STACK;

// ---- waiting ----------------------------------------------------------------------------------

namespace {

enum : std::uintptr_t { nobody = 0, ready_now = 1 };  // above: a G

constexpr std::size_t index_of(io_dir d) noexcept { return static_cast<std::size_t>(d); }

io_status status_of(std::uint32_t info, io_dir dir) noexcept {
    if ((info & poll_desc::closing) != 0) return io_status::closed;
    if ((info & poll_desc::expired[index_of(dir)]) != 0) return io_status::timeout;
    if (dir == io_dir::read && (info & poll_desc::scan_error) != 0) return io_status::not_pollable;
    return io_status::ready;
}

// Takes who waits out. Null: nobody is parked there; then `otherwise` is left behind. The caller ends the wait that
// was counted.
G* take_waiter(atomic<std::uintptr_t>& w, std::uintptr_t otherwise) noexcept {
    std::uintptr_t seen = w.load(memory_order_seq_cst);
    for (;;) {
        const std::uintptr_t next = seen > ready_now ? nobody : otherwise;
        if (seen == ready_now || seen == next) return nullptr;
        // seq_cst: see the head of poll_desc.hpp; and what became ready happened before the waiter goes on.
        if (w.compare_exchange_weak(seen, next, memory_order_seq_cst, memory_order_seq_cst)) {
            return seen > ready_now ? reinterpret_cast<G*>(seen) : nullptr;
        }
    }
}

void wake_waiter(atomic<std::uintptr_t>& w) noexcept {
    G* g = take_waiter(w, nobody);
    if (g == nullptr) return;
    io_waits_end(1);
    ready(g);
}

struct waiting {
    poll_desc* d;
    io_dir dir;
    bool leaving;
};

void commit_wait(G* g, void* p) noexcept {
    const waiting wait = *static_cast<const waiting*>(p);  // it lies on g's stack
    atomic<std::uintptr_t>& w = wait.d->waiter[index_of(wait.dir)];
    io_wait_begins();
    std::uintptr_t expected = nobody;
    // seq_cst: publishes g, parked as it is, to whoever takes it, before the look at info.
    if (!w.compare_exchange_strong(expected, reinterpret_cast<std::uintptr_t>(g),
                                   memory_order_seq_cst, memory_order_relaxed)) {
        io_waits_end(1);
        ready(g);
        return;
    }
    if (status_of(wait.d->info.load(memory_order_seq_cst), wait.dir) != io_status::ready)
        [[unlikely]] {
        wake_waiter(w);
        return;
    }
    watch_io(wait.leaving);
}

}  // namespace

io_status prepare(poll_desc* d, io_dir dir) noexcept {
    atomic<std::uintptr_t>& w = d->waiter[index_of(dir)];
    // Mostly it is `nobody`, and a look is all. seq_cst: in memory before the system call looks at the descriptor.
    if (w.load(memory_order_relaxed) != nobody) w.store(nobody, memory_order_seq_cst);
    return status_of(d->info.load(memory_order_acquire), dir);
}

io_status wait_ready(poll_desc* d, io_dir dir) {
    atomic<std::uintptr_t>& w = d->waiter[index_of(dir)];
    std::uintptr_t seen = w.load(memory_order_relaxed);
    if (seen > ready_now) throw_runtime_error("runtime: double wait");
    // acquire: what made it ready happened before.
    if (seen == ready_now &&
        w.compare_exchange_strong(seen, nobody, memory_order_acquire, memory_order_relaxed)) {
        return status_of(d->info.load(memory_order_acquire), dir);
    }
    park_scope self;
    waiting wait{d, dir, nothing_else_to_run()};
    park(self.g(), commit_wait, &wait, wait_reason::io);
    return status_of(d->info.load(memory_order_acquire), dir);
}

void evict(poll_desc* d) noexcept {
    d->info.fetch_or(poll_desc::closing, memory_order_seq_cst);
    for (auto& w : d->waiter) wake_waiter(w);
}

// ---- events -----------------------------------------------------------------------------------

namespace {
constexpr unsigned address_bits = 48;
constexpr std::uint64_t address_mask = (std::uint64_t{1} << address_bits) - 1;

std::uint64_t tag_of(std::uint32_t info) noexcept { return info >> poll_desc::tag_shift; }
}  // namespace

constinit atomic<std::uint32_t> descs_made{0};

std::uint64_t token_of(const poll_desc* d) noexcept {
    return tag_of(d->info.load(memory_order_relaxed)) << address_bits |
           reinterpret_cast<std::uintptr_t>(d);
}

namespace {
poll_desc* desc_of(const io_event& e) noexcept {
    return reinterpret_cast<poll_desc*>(e.token & address_mask);
}
}  // namespace

void prefetch_desc(const io_event& e) noexcept { __builtin_prefetch(desc_of(e)); }

void prefetch_waiter(const io_event& e) noexcept {
    const auto& w =
        desc_of(e)->waiter[index_of((e.ready & dir_read) != 0 ? io_dir::read : io_dir::write)];
    // Whatever it is: a prefetch of an address that is none does nothing.
    const std::uintptr_t g = w.load(memory_order_relaxed);
    __builtin_prefetch(reinterpret_cast<const void*>(g), 1);
    __builtin_prefetch(reinterpret_cast<const void*>(g + 64), 1);
}

std::uint32_t on_event(const io_event& e, g_list& runnable) noexcept {
    poll_desc* d = desc_of(e);
    std::uint32_t info = d->info.load(memory_order_acquire);
    const std::uint32_t add =
        (e.error ? poll_desc::scan_error : 0) | (e.uncertain ? poll_desc::uncertain : 0);
    do {
        if (tag_of(info) != e.token >> address_bits) return 0;
        // release: whoever sees `ready` sees this.
    } while ((info & add) != add &&
             !d->info.compare_exchange_weak(info, info | add, memory_order_acq_rel,
                                            memory_order_acquire));
    std::uint32_t ended = 0;
    for (const io_dir dir : {io_dir::read, io_dir::write}) {
        if ((e.ready & mask_of(dir)) == 0) continue;
        G* g = take_waiter(d->waiter[index_of(dir)], ready_now);
        if (g == nullptr) continue;
        ++ended;
        __builtin_prefetch(g->sched.sp);
        make_runnable(g, runnable);
    }
    return ended;
}

// ---- deadlines --------------------------------------------------------------------------------

struct io_alarm : alarm {
    io_alarm(poll_desc* of_desc, io_dir of_dir) noexcept
        : alarm(functions_of), d(of_desc), dir(of_dir) {}
    static const functions functions_of;
    poll_desc* d;
    io_dir dir;
};

namespace {

// Under d's lock: the direction's deadline has passed. See the head of poll_desc.hpp for the order.
void expire_direction(poll_desc* d, io_dir dir) noexcept VOLE_REQUIRES(d->mu) {
    d->deadline[index_of(dir)] = poll_desc::passed;
    d->info.fetch_or(poll_desc::expired[index_of(dir)], memory_order_seq_cst);
}

G* on_time(timer_core* t) noexcept {
    const auto* a = static_cast<const io_alarm*>(t);
    poll_desc* d = a->d;
    const std::size_t i = index_of(a->dir);
    {
        const lock_guard held(d->mu);
        // The descriptor may be another one by now, or have a later deadline, for which the alarm is set anew.
        if (d->alarm_of[i] != a || d->deadline[i] <= 0 || d->deadline[i] > timer_now()) {
            return nullptr;
        }
        expire_direction(d, a->dir);
    }
    G* g = take_waiter(d->waiter[i], nobody);
    if (g != nullptr) io_waits_end(1);
    return g;
}

}  // namespace

constinit const timer_core::functions io_alarm::functions_of{
    nullptr, nullptr, [](timer_core* t) noexcept { delete static_cast<io_alarm*>(t); }, on_time};

namespace {

// Its alarm; made if there is none. Not under the lock: it allocates.
io_alarm* alarm_for(poll_desc* d, io_dir dir) {
    const std::size_t i = index_of(dir);
    {
        const lock_guard held(d->mu);
        if (d->alarm_of[i] != nullptr) return d->alarm_of[i];
    }
    auto* fresh = new io_alarm(d, dir);
    io_alarm* used = nullptr;
    {
        const lock_guard held(d->mu);
        if (d->alarm_of[i] == nullptr) d->alarm_of[i] = fresh;
        used = d->alarm_of[i];
    }
    if (used != fresh) release_timer(fresh);
    return used;
}

// One direction's alarm follows its deadline. Who changes the deadline meanwhile does the same after us; or we see it.
void follow(poll_desc* d, io_alarm* a, std::uint32_t setting, std::int64_t when) {
    const std::size_t i = index_of(a->dir);
    for (;;) {
        if (when > 0) {
            set_alarm(a, when);
        } else {
            stop_alarm(a);
        }
        const lock_guard held(d->mu);
        if (d->settings[i] == setting) return;
        setting = d->settings[i];
        when = d->deadline[i];
    }
}

void set_deadline(poll_desc* d, io_dir dir, std::int64_t when) {
    const std::size_t i = index_of(dir);
    io_alarm* a = when > 0 ? alarm_for(d, dir) : nullptr;
    std::uint32_t setting = 0;
    {
        const lock_guard held(d->mu);
        if (a == nullptr) a = d->alarm_of[i];
        setting = ++d->settings[i];
        d->deadline[i] = when;
        if (when < 0) {
            expire_direction(d, dir);
        } else {
            // Who waits is not told: it goes on to wait, until then.
            d->info.fetch_and(~poll_desc::expired[i], memory_order_seq_cst);
        }
    }
    if (when < 0) wake_waiter(d->waiter[i]);
    if (a != nullptr) follow(d, a, setting, when);
}

}  // namespace

void set_deadlines(poll_desc* d, unsigned directions, std::int64_t when) {
    if (when > 0 && has_come(when)) when = poll_desc::passed;
    for (const io_dir dir : {io_dir::read, io_dir::write}) {
        if ((directions & mask_of(dir)) != 0) set_deadline(d, dir, when);
    }
}

// ---- life -------------------------------------------------------------------------------------

namespace {

constinit lock free_mu{lock_rank::gslab};
constinit poll_desc* free_list VOLE_GUARDED_BY(free_mu) = nullptr;

poll_desc* take_free() noexcept {
    const lock_guard held(free_mu);
    poll_desc* d = free_list;
    if (d != nullptr) free_list = d->next_free;
    return d;
}

void give_free(poll_desc* d) noexcept {
    const lock_guard held(free_mu);
    d->next_free = free_list;
    free_list = d;
}

}  // namespace

int open_poll_desc(int fd, poll_desc** out) {
    if (const int e = ensure_poller(); e != 0) return e;
    poll_desc* d = take_free();
    // Never given back: an event may name it at any time.
    if (d == nullptr) deep([&] { d = new (std::nothrow) poll_desc; });
    if (d == nullptr) return ENOMEM;
    descs_made.fetch_add(1, memory_order_release);  // see descs_made
    if (const int e = current_back_end().add(fd, token_of(d)); e != 0) {
        give_free(d);
        return e;
    }
    *out = d;
    return 0;
}

void close_poll_desc(poll_desc* d, int fd) noexcept {
    current_back_end().remove(fd);
    io_alarm* alarms[2];
    {
        const lock_guard held(d->mu);
        for (std::size_t i = 0; i < 2; ++i) {
            alarms[i] = std::exchange(d->alarm_of[i], nullptr);
            d->deadline[i] = poll_desc::none;
            ++d->settings[i];
        }
    }
    for (io_alarm* a : alarms) {
        if (a == nullptr) continue;
        stop_alarm(a);
        release_timer(a);
    }
    // A new tag, and no flags. Events on their way find another tag from now on.
    const std::uint64_t tag = tag_of(d->info.load(memory_order_relaxed)) + 1;
    d->info.store(static_cast<std::uint32_t>(tag << poll_desc::tag_shift), memory_order_release);
    for (auto& w : d->waiter) w.store(nobody, memory_order_relaxed);
    give_free(d);
}

}  // namespace vole::detail
