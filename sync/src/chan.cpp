// Channel operations. channel.hpp has the state and its invariants, waiter.hpp the queues.
// Behaviour: Go's channels; the numbers in tests are those of the specification.
#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>

#include <vole/panic.hpp>

#include <vole/detail/explore_point.hpp>

#include "runtime/internal/bubble.hpp"
#include "runtime/internal/deep.hpp"
#include "runtime/internal/fatal.hpp"
#include "sync/src/channel.hpp"

namespace vole::inline v0::detail {

VOLE_FITS_SMALL_STACK;

void throw_send_on_closed() { throw_runtime_error("send on closed channel"); }

namespace {

void do_nothing(G*, void*) noexcept {}

[[noreturn]] void wait_for_ever(wait_reason reason) {
    for (;;) {
        park_scope self;
        park(self.g(), do_nothing, nullptr, reason);
    }
}

constexpr std::size_t header_bytes(std::size_t align) noexcept {
    return (sizeof(channel) + align - 1) / align * align;
}

}  // namespace

void check_bubble(const channel* c, const char* operation) noexcept {
    if (current_bubble_id() == c->bubble) return;
    message text;
    text << operation << " synctest channel from outside bubble";
    fatal(text.c_str());
}

// ---- life -------------------------------------------------------------------------------------

chan_core* chan_make(std::size_t elem_size, std::size_t elem_align, std::size_t capacity) {
    const std::size_t align = elem_align < alignof(channel) ? alignof(channel) : elem_align;
    constexpr auto most = static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max());
    const std::size_t header = header_bytes(align);
    if (capacity > most || (elem_size != 0 && capacity > (most - header - align) / elem_size)) {
        throw_runtime_error("makechan: size out of range");
    }
    const std::size_t bytes = header + capacity * elem_size;
    void* memory = nullptr;
    if (align <= __STDCPP_DEFAULT_NEW_ALIGNMENT__) {
        memory = take_object(bytes);
    } else {
        deep([&] { memory = ::operator new (bytes, std::align_val_t{align}, std::nothrow); });
    }
    if (memory == nullptr) throw_bad_alloc();
    auto* c = ::new (memory) channel;
    c->elem_size = static_cast<std::uint32_t>(elem_size);
    c->capacity = capacity;
    c->align = align;
    c->buffer = static_cast<std::byte*>(memory) + header;
    c->bubble = current_bubble_id();
    c->special = c->bubble != 0;
    return c;
}

void chan_free(chan_core* core) noexcept {
    channel* c = as_channel(core);
    const std::size_t align = c->align;
    if (c->source != nullptr) c->source->ops->gone(c->source);
    const std::size_t bytes = header_bytes(align) + c->capacity * c->elem_size;
    c->~channel();
    if (align <= __STDCPP_DEFAULT_NEW_ALIGNMENT__) {
        give_object(c, bytes);
    } else {
        deep([c, align] { ::operator delete (static_cast<void*>(c), std::align_val_t{align}); });
    }
}

bool chan_take_left(chan_core* core, void* out) noexcept VOLE_NO_TS {
    channel* c = as_channel(core);
    if (box_base* box = c->returned.load(memory_order_acquire); box != nullptr) {
        c->returned.store(box->next, memory_order_relaxed);
        std::memcpy(out, &box, sizeof(box));
        return true;
    }
    if (c->count.load(memory_order_acquire) == 0) return false;
    c->pop(out);
    return true;
}

std::size_t chan_len(const chan_core* core) noexcept {
    explore_point("len", core, touch::reads);
    if (core == nullptr) return 0;
    const channel* c = as_channel(core);
    if (c->source != nullptr) return 0;
    return c->count.load(memory_order_acquire) +
           (c->returned.load(memory_order_relaxed) != nullptr ? 1 : 0);
}

std::size_t chan_cap(const chan_core* core) noexcept {
    if (core == nullptr || as_channel(core)->source != nullptr) return 0;
    return as_channel(core)->capacity;
}

void chan_check_open(const chan_core* core) {
    if (core != nullptr && as_channel(core)->closed.load(memory_order_acquire)) {
        throw_send_on_closed();
    }
}

bool chan_send_would_block(const chan_core* core) noexcept {
    if (core == nullptr) return true;
    const channel* c = as_channel(core);
    return !c->closed.load(memory_order_acquire) && c->send_blocked();
}

// ---- send -------------------------------------------------------------------------------------

namespace {

[[gnu::noinline]] void send_parked(channel* c, const void* elem) VOLE_RELEASE(c->mu) {
    park_scope self;
    waiter w;
    w.g = self.g();
    w.elem = const_cast<void*>(elem);
    w.c = c;
    w.is_sender = true;
    c->senders.push(&w);
    park_unlock(self.g(), c->mu, c->waiting(wait_reason::chan_send), &w);
    if (!w.success) throw_send_on_closed();
}

[[gnu::noinline]] bool recv_parked(channel* c, void* out) VOLE_RELEASE(c->mu) {
    park_scope self;
    waiter w;
    w.g = self.g();
    w.elem = out;
    w.c = c;
    c->receivers.push(&w);
    park_unlock(self.g(), c->mu, c->waiting(wait_reason::chan_recv), &w);
    return w.success;
}

// From a source. What comes between the look and begin_wait is there at the second look.
[[gnu::noinline]] bool recv_from_source(channel* c, void* out) VOLE_NO_TS {
    c->source->ops->poll(c->source);
    for (int look = 0; look < 2; ++look) {
        c->mu.acquire();
        G* wake = nullptr;
        if (c->recv_now(out, &wake)) {
            c->mu.release();
            if (look == 1) c->source->ops->end_wait(c->source);
            return true;
        }
        if (look == 1) break;
        c->mu.release();
        c->source->ops->begin_wait(c->source);
    }
    const bool got = recv_parked(c, out);
    c->source->ops->end_wait(c->source);
    return got;
}

}  // namespace

void chan_send(chan_core* core, const void* elem) {
    explore_point("send", core);
    const runtime_entry entry;
    if (core == nullptr) wait_for_ever(durable(wait_reason::chan_send_nil));
    channel* c = as_channel(core);
    check_inside(c, "send on");
    c->mu.acquire();
    if (c->closed.load(memory_order_relaxed)) [[unlikely]] {
        c->mu.release();
        throw_send_on_closed();
    }
    G* wake = nullptr;
    if (c->send_now(elem, &wake)) {
        c->mu.release();
        if (wake != nullptr) ready(wake);
        return;
    }
    send_parked(c, elem);
}

try_status chan_try_send(chan_core* core, const void* elem) {
    explore_point("try_send", core);
    const runtime_entry entry;
    if (core == nullptr) return try_status::not_ready;
    channel* c = as_channel(core);
    check_inside(c, "send on");
    // Closed first, then full: a channel that was open and is full now was both at the first load
    // or in between; one that is closed meanwhile is not reported as not ready wrongly.
    if (!c->closed.load(memory_order_acquire) && c->send_blocked()) return try_status::not_ready;
    c->mu.acquire();
    if (c->closed.load(memory_order_relaxed)) {
        c->mu.release();
        throw_send_on_closed();
    }
    G* wake = nullptr;
    const bool sent = c->send_now(elem, &wake);
    c->mu.release();
    if (wake != nullptr) ready(wake);
    return sent ? try_status::done : try_status::not_ready;
}

// ---- receive ----------------------------------------------------------------------------------

bool chan_recv(chan_core* core, void* out) {
    explore_point("receive", core);
    const runtime_entry entry;
    if (core == nullptr) wait_for_ever(durable(wait_reason::chan_recv_nil));
    channel* c = as_channel(core);
    if (c->special) [[unlikely]] {
        check_inside(c, "receive on");
        if (c->source != nullptr) return recv_from_source(c, out);
    }
    c->mu.acquire();
    G* wake = nullptr;
    if (c->recv_now(out, &wake)) {
        c->mu.release();
        if (wake != nullptr) ready(wake);
        return true;
    }
    if (c->closed.load(memory_order_relaxed)) {
        c->mu.release();
        return false;
    }
    return recv_parked(c, out);
}

try_status chan_try_recv(chan_core* core, void* out) noexcept {
    explore_point("try_receive", core);
    const runtime_entry entry;
    if (core == nullptr) return try_status::not_ready;
    channel* c = as_channel(core);
    if (c->special) [[unlikely]] {
        check_inside(c, "receive on");
        if (c->source != nullptr) c->source->ops->poll(c->source);
    }
    if (c->recv_blocked()) {
        // Empty, then closed, then empty again: a closed channel does not become open, so one that
        // was not closed at the second load was open, and empty, at the first.
        if (!c->closed.load(memory_order_acquire)) return try_status::not_ready;
        if (c->recv_blocked()) return try_status::closed;
    }
    c->mu.acquire();
    G* wake = nullptr;
    const bool got = c->recv_now(out, &wake);
    const bool closed = c->closed.load(memory_order_relaxed);
    c->mu.release();
    if (wake != nullptr) ready(wake);
    if (got) return try_status::done;
    return closed ? try_status::closed : try_status::not_ready;
}

// ---- a stack that moves -----------------------------------------------------------------------

namespace {

bool move_waiter(const parked_waiter* self, stack_move& mv) noexcept VOLE_NO_TS {
    const auto* w = static_cast<const waiter*>(self);
    channel* c = w->c;
    if (!c->mu.try_acquire()) return false;
    const bool waits = w->queued;
    if (waits) {
        mv.copy(mv);
        (w->is_sender ? c->senders : c->receivers).follow(w, mv);
    }
    c->mu.release();
    return waits;
}

}  // namespace

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"  // both compilers define it for derived structs
constinit const waiter_kind channel_waiter{.move = move_waiter, .object = offsetof(waiter, c)};
#pragma GCC diagnostic pop

// ---- close ------------------------------------------------------------------------------------

void chan_close(chan_core* core) {
    explore_point("close", core);
    const runtime_entry entry;
    if (core == nullptr) throw_runtime_error("close of nil channel");
    channel* c = as_channel(core);
    check_inside(c, "close of");
    c->mu.acquire();
    if (c->closed.load(memory_order_relaxed)) {
        c->mu.release();
        throw_runtime_error("close of closed channel");
    }
    c->closed.store(true, memory_order_release);
    // All of them are taken out first: no lock is held while others begin to run.
    waiter* all = nullptr;
    waiter** last = &all;
    const auto take = [&last](waiter_queue& q) {
        while (waiter* w = q.pop()) {
            w->next = nullptr;
            *last = w;
            last = &w->next;
        }
    };
    take(c->receivers);
    take(c->senders);
    c->mu.release();
    while (all != nullptr) {
        waiter* w = all;
        all = w->next;
        ready(finish(w, false), false);
    }
}

// ---- sources ----------------------------------------------------------------------------------

chan_core* chan_make_for(chan_source* source, std::size_t elem_size,
                         std::size_t elem_align) noexcept {
    try {
        channel* c = as_channel(chan_make(elem_size, elem_align, 1));
        c->source = source;
        c->special = true;
        return c;
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}

void chan_offer(chan_core* core, const void* elem, G** wake) noexcept {
    channel* c = as_channel(core);
    const lock_guard held(c->mu);
    c->send_now(elem, wake);
}

bool chan_withdraw(chan_core* core) noexcept {
    channel* c = as_channel(core);
    const lock_guard held(c->mu);
    if (c->count.load(memory_order_relaxed) == 0) return false;
    c->recv_at = c->send_at = 0;
    c->count.store(0, memory_order_release);
    return true;
}

// ---- boxes that come back ---------------------------------------------------------------------

void chan_put_back(chan_core* core, box_base* box) noexcept {
    const runtime_pin pin;
    channel* c = as_channel(core);
    c->mu.acquire();
    // A receiver that parked meanwhile is owed the value now.
    if (waiter* w = c->receivers.pop(); w != nullptr) {
        std::memcpy(w->elem, &box, sizeof(box));
        G* g = finish(w, true);
        c->mu.release();
        ready(g);
        return;
    }
    box->next = c->returned.load(memory_order_relaxed);
    c->returned.store(box, memory_order_relaxed);
    c->mu.release();
}

}  // namespace vole::detail
