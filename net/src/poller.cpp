// The poller that the runtime knows: a back end, and what its events mean.
//
// Stack: as back_end.hpp and runtime/internal/netpoll.hpp say.
#include <vole/sync.hpp>

#include "net/src/back_end.hpp"
#include "net/src/poll_desc.hpp"
#include "runtime/internal/netpoll.hpp"

namespace vole::inline v0::detail {

namespace {

#if defined(__linux__)
constexpr const poll_back_end* systems_own = &epoll_back_end;
#else
constexpr const poll_back_end* systems_own = &kqueue_back_end;
#endif

constinit atomic<const poll_back_end*> back_end{systems_own};
constinit atomic<bool> open{false};

void poll(std::int64_t wait_ns, g_list& runnable) noexcept {
    constexpr int batch = 128;
    io_event events[batch];
    const int n = current_back_end().wait(wait_ns, events, batch);
    descs_made.load(memory_order_acquire);  // see there
    // With a thousand connections each descriptor, and each goroutine, is out of the cache by the time it is ready.
    for (int i = 0; i < n; ++i) prefetch_desc(events[i]);
    for (int i = 0; i < n; ++i) prefetch_waiter(events[i]);
    std::uint32_t ended = 0;
    for (int i = 0; i < n; ++i) ended += on_event(events[i], runnable);
    if (ended != 0) io_waits_end(ended);
}

void wake() noexcept { current_back_end().wake(); }

constinit const poller the_poller{poll, wake};

int open_once() {
    static constinit mutex one_at_a_time;
    const std::lock_guard held(one_at_a_time);
    if (open.load(memory_order_relaxed)) return 0;
    if (const int e = current_back_end().open(); e != 0) return e;
    install_poller(&the_poller);
    // release: who sees it may use what has been opened.
    open.store(true, memory_order_release);
    return 0;
}

}  // namespace

void set_poll_back_end(const poll_back_end* b) noexcept { back_end.store(b, memory_order_release); }

const poll_back_end& current_back_end() noexcept { return *back_end.load(memory_order_acquire); }

int ensure_poller() { return open.load(memory_order_acquire) ? 0 : open_once(); }

}  // namespace vole::detail
