// Look-ups of names that several callers wait for at once.
//
// Each look-up under way has a goroutine of its own, so that no caller's context can end it, and is in a table, where those
// who ask for the same find it. It waits for a slot (lookup_slots: a bound for the threads), asks the system, takes itself
// out of the table, and closes a channel, which releases the callers. A caller leaves when that channel is closed or
// when his context is done. When the last one leaves:
//  - before the system has been asked: the look-up is taken back. Nobody finds it any more, and its wait for a slot ends;
//    else names that nobody wants would keep others waiting.
//  - after: it runs on, since getaddrinfo(3) cannot be stopped, and stays in the table: who asks again joins it instead of
//    taking a second thread for a name server that does not answer.
//
// The system is asked inside blocking(), and there on the thread's own stack: nothing says how much the resolver and the
// plug-ins of the name service want; they are written for the 8 MiB that a thread has by default, not for the 256 KiB of
// a goroutine. In that order: the thread comes back to the goroutine's stack before it asks for a P, so that the goroutine
// can wait in a queue for one, and the thread do other work. So the threads are the scheduler's, which come and go as needed.
// Rejected: threads of our own. They would be a second pool beside that one, with a queue, an idle time and an end at
// fork and exit of its own.
//
// Invariants: `callers` and `running` keep a look-up alive; who takes the last of them away frees it. `listed` until it has
// an answer or is taken back. `begun` is only set while somebody waits. `answer` is written before `over` is closed,
// and not after.
//
// A look-up belongs to the bubble of who began it, and only callers of the same bubble join it: its channel and its
// goroutine are the bubble's. Asking the system is not durable, so time stands still there meanwhile.
//
// Locks: `table_mu`, a leaf: what is done under it does not wait (starting a goroutine included). Stack: goroutine, or an
// ordinary thread's; ask() borrows the thread's own.
#include "net/src/os.hpp"
#include "net/src/resolve.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <utility>

#include <sys/resource.h>

#include <vole/detail/bubble_id.hpp>
#include <vole/mutex.hpp>
#include <vole/net/error.hpp>
#include <vole/once.hpp>
#include <vole/runtime.hpp>
#include <vole/select.hpp>

namespace vole::inline v0::detail {

constinit atomic<host_answer (*)(const char*, int)> host_lookup{ask_system};

namespace {

struct lookup_key {
    std::string_view host;
    int family;
    std::uint32_t bubble;

    bool operator==(const lookup_key&) const = default;
};

struct lookup {
    explicit lookup(const lookup_key& k) : host(k.host), family(k.family), bubble(k.bubble) {}

    const std::string host;
    const int family;
    const std::uint32_t bubble;

    const chan<void> over = make_chan<void>();
    // Done when nobody waits for it any more, and it has not begun.
    const std::pair<context, cancel_func> wanted = with_cancel(context::background());
    host_answer answer;

    // Under table_mu.
    lookup* next = nullptr;   // in the table
    std::size_t callers = 1;  // who wait
    bool running = true;      // its goroutine has not ended
    bool listed = false;
    bool begun = false;  // the system has been asked

    [[nodiscard]] lookup_key key() const noexcept { return {host, family, bubble}; }
    [[nodiscard]] bool unused() const noexcept { return callers == 0 && !running; }
};

// Lists of look-ups by the hash of their names. A fixed table: there are about as many as there are threads for them.
constinit mutex table_mu;
constinit std::array<lookup*, 256> table{};
constinit std::size_t alive = 0;

// The limit is known at run time only, and what is made at run time belongs to the bubble of who makes it: so there are
// as many as there may ever be, and the first caller takes those that are too many for good.
constexpr std::int64_t most_lookups = 500;
constinit weighted_semaphore slots(most_lookups);
constinit once slots_limited;

lookup** list_of(std::string_view host) noexcept {
    return &table[std::hash<std::string_view>{}(host) % table.size()];
}

// The next ones are called with table_mu held.

lookup* find(const lookup_key& key) noexcept {
    lookup* one = *list_of(key.host);
    while (one != nullptr && one->key() != key) one = one->next;
    return one;
}

void take_off(lookup* one) noexcept {
    if (!one->listed) return;
    lookup** at = list_of(one->host);
    while (*at != one) at = &(*at)->next;
    *at = one->next;
    one->listed = false;
}

/// True: the caller is to free it, after the lock.
bool drop_if_unused(const lookup* one) noexcept {
    if (!one->unused()) return false;
    --alive;
    return true;
}

// The look-up's own side.

/// False: nobody waits for it.
bool begin(lookup* one) {
    const std::lock_guard hold(table_mu);
    one->begun = one->callers != 0;
    return one->begun;
}

void remove_duplicates(std::vector<net::endpoint>& all) {
    auto end = all.begin();
    for (auto& one : all) {
        if (std::find(all.begin(), end, one) != end) continue;
        if (&*end != &one) *end = std::move(one);
        ++end;
    }
    all.erase(end, all.end());
}

host_answer ask(const lookup* one) {
    try {
        host_answer answer = blocking([one] {
            return on_system_stack([one] {
                // acquire: pairs with who set it.
                return host_lookup.load(memory_order_acquire)(one->host.c_str(), one->family);
            });
        });
        remove_duplicates(answer.addresses);
        if (!answer.error && answer.addresses.empty()) answer.error = net::errc::no_such_host;
        return answer;
    } catch (const std::bad_alloc&) {
        return {{}, std::make_error_code(std::errc::not_enough_memory)};
    }
}

void land(lookup* one) {
    const chan<void> over = one->over;  // a caller may free it as soon as `running` is false
    bool mine = false;
    {
        const std::lock_guard hold(table_mu);
        take_off(one);
        one->running = false;
        mine = drop_if_unused(one);
    }
    over.close();
    if (mine) delete one;
}

void run_lookup(lookup* one) {
    std::error_code unwanted;
    weighted_semaphore& threads = lookup_slots();
    threads.acquire(one->wanted.first, 1, unwanted);
    if (!unwanted) {
        if (begin(one)) one->answer = ask(one);
        threads.release();
    }
    land(one);
}

// The callers' side.

lookup* join_or_start(const lookup_key& key) {
    const std::lock_guard hold(table_mu);
    if (lookup* found = find(key)) {
        ++found->callers;
        return found;
    }
    auto one = std::make_unique<lookup>(key);
    go(go_options{.name = "vole::net look-up"}, [it = one.get()] { run_lookup(it); });
    // Nothing throws from here on; the goroutine does not come to an end without the lock.
    ++alive;
    lookup** list = list_of(key.host);
    one->next = std::exchange(*list, one.get());
    one->listed = true;
    return one.release();
}

void leave(lookup* one) {
    cancel_func take_back;
    bool mine = false;
    {
        const std::lock_guard hold(table_mu);
        --one->callers;
        if (one->callers == 0 && one->running && !one->begun) {
            take_off(one);
            take_back = one->wanted.second;
        }
        mine = drop_if_unused(one);
    }
    take_back();
    if (mine) delete one;
}

}  // namespace

weighted_semaphore& lookup_slots() {
    slots_limited.call([] { slots.try_acquire(most_lookups - lookup_limit()); });
    return slots;
}

std::int64_t lookup_limit() noexcept {
    // Each takes a descriptor or two; most of them are the program's.
    rlimit files{};
    if (os::getrlimit(RLIMIT_NOFILE, &files) != 0) return most_lookups;
    return static_cast<std::int64_t>(std::clamp<rlim_t>(files.rlim_cur / 4, 1, most_lookups));
}

std::error_code ended_by(std::error_code context_error) noexcept {
    return context_error == context_errc::deadline_exceeded ? net::errc::timeout
                                                            : net::errc::canceled;
}

host_answer look_up_shared(std::string_view host, int family, const context& ctx) {
    const auto ended = ctx.done();
    if (const auto e = ctx.err()) return {{}, ended_by(e)};

    struct share {
        lookup* one;
        ~share() { leave(one); }
    };
    try {
        const share joined{join_or_start({host, family, current_bubble_id()})};
        if (select(on_recv(joined.one->over), on_recv(ended)) == 0) return joined.one->answer;
        return {{}, ended_by(ctx.err())};
    } catch (const std::system_error& e) {  // there was no thread to start the runtime with
        return {{}, e.code()};
    }
}

std::size_t lookups_alive() noexcept {
    const std::lock_guard hold(table_mu);
    return alive;
}

std::size_t lookup_callers(std::string_view host, int family) {
    const std::lock_guard hold(table_mu);
    const lookup* one = find({host, family, current_bubble_id()});
    return one != nullptr ? one->callers : 0;
}

}  // namespace vole::detail
