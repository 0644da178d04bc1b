// See memory.hpp.
#include "test/explore/weak/memory.hpp"

#include "test/explore/weak/blocking.hpp"

#include <vole/explore.hpp>
#include <vole/vole.hpp>

#include "runtime/internal/explore.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <vector>

namespace weak_memory {

namespace {

using vole::detail::explore_point;
using vole::detail::touch;

// For each location a time: the index of one of its messages.
class view {
  public:
    std::uint32_t at(std::size_t location) const {
        return location < times_.size() ? times_[location] : 0;
    }
    void set(std::size_t location, std::uint32_t time) {
        if (times_.size() <= location) times_.resize(location + 1, 0);
        times_[location] = std::max(times_[location], time);
    }
    void join(const view& other) {
        for (std::size_t i = 0; i < other.times_.size(); ++i) set(i, other.times_[i]);
    }

  private:
    std::vector<std::uint32_t> times_;
};

struct message {
    word value;
    view seen;  // what an acquire load of it takes over
};

struct location {
    std::size_t number;
    std::vector<message> messages;
};

struct thread_views {
    std::uint32_t number = 0;
    view now;
    view at_fence;    // at its last release fence
    view on_acquire;  // what its next acquire fence takes over
    const location* stale_at = nullptr;
    int stale_times = 0;
};

struct lock_state {
    vole::mutex mu;
    view seen;
};
struct sleeper_state {
    vole::chan<void> note = vole::make_chan<void>(1);
    bool woken = false;
    view seen;
};

struct state {
    explicit state(without w) : left_out(w) {}
    std::map<const void*, lock_state> locks;
    std::map<const void*, sleeper_state> sleepers;
    std::uint64_t fences = 0;  // fence_all()
    without left_out;
    std::map<const void*, location> locations;
    std::size_t cells = 0;
    std::map<std::uint64_t, thread_views> threads;  // by goroutine
    std::vector<view> for_children;
    vole::wait_group spawned;
    view sequential;
    view behind_fence_all;
    bool failed = false;
};

state* current = nullptr;

state& here() {
    if (current == nullptr) throw std::logic_error("modelled memory outside of a world");
    return *current;
}
// What comes after a failure is not worth looking at, and units cannot throw: nobody goes on, which the explorer reports.
void stop_if_failed() {
    if (here().failed) vole::chan<void>().recv();
}
thread_views& me() {
    stop_if_failed();
    auto& all = here().threads;
    const auto [at, fresh] = all.try_emplace(vole::goroutine_id());
    if (fresh) at->second.number = static_cast<std::uint32_t>(all.size() - 1);
    return at->second;
}

location& at(const void* cell, word initial) {
    auto& all = here().locations;
    const auto found = all.find(cell);
    if (found != all.end()) return found->second;
    location& fresh = all[cell];
    fresh.number = here().cells++;
    fresh.messages.push_back({initial, {}});
    return fresh;
}

bool is_release(order o) {
    return here().left_out != without::release &&
           (o == order::release || o == order::acq_rel || o == order::seq_cst);
}
bool is_acquire(order o) {
    return here().left_out != without::acquire && (o == order::acquire || o == order::consume ||
                                                   o == order::acq_rel || o == order::seq_cst);
}
// Of an operation. One that does not release or acquire is not in order either.
bool is_sequential(order o) {
    return o == order::seq_cst && is_release(o) && is_acquire(o) &&
           here().left_out != without::sequential;
}

void pass_fence(thread_views& t) {
    view& all = here().sequential;
    t.now.join(t.on_acquire);
    t.now.join(all);
    all.join(t.now);
    t.at_fence = t.now;
}

void read(thread_views& t, location& l, std::uint32_t time, order o) {
    t.now.set(l.number, time);
    const view& seen = l.messages[time].seen;
    if (is_acquire(o)) t.now.join(seen);
    t.on_acquire.join(seen);
}

// `also`: what the message carries besides, of the one that a read-modify-write has read.
void write(thread_views& t, location& l, word value, order o, const view* also) {
    const auto time = static_cast<std::uint32_t>(l.messages.size());
    t.now.set(l.number, time);
    message m{value, is_release(o) ? t.now : t.at_fence};
    m.seen.set(l.number, time);
    if (also != nullptr) m.seen.join(*also);
    l.messages.push_back(std::move(m));
}

// The newest message is option 0.
std::uint32_t choose_time(thread_views& t, const location& l) {
    const auto newest = static_cast<std::uint32_t>(l.messages.size() - 1);
    const std::uint32_t options = std::min<std::uint32_t>(newest - t.now.at(l.number), 2) + 1;
    if (t.stale_at != &l) t.stale_times = 0;
    t.stale_at = &l;
    if (options == 1 || t.stale_times >= 2) return newest;
    const std::uint32_t back = vole::detail::choose_below(options);
    if (back != 0) ++t.stale_times;
    return newest - back;
}

// A whole read-modify-write: it reads the newest.
word modify(void* cell, word initial, order o, word (*f)(word, word), word by) {
    explore_point("modify", cell);
    location& l = at(cell, initial);
    thread_views& t = me();
    if (is_sequential(o)) pass_fence(t);
    const auto newest = static_cast<std::uint32_t>(l.messages.size() - 1);
    const message before = l.messages[newest];
    read(t, l, newest, o);
    write(t, l, f(before.value, by), o, &before.seen);
    if (is_sequential(o)) pass_fence(t);
    return before.value;
}

}  // namespace

world::world(without what) {
    current =
        new state(what);  // one that is still there is a deadlocked schedule's, and stays with it
}
world::~world() { delete std::exchange(current, nullptr); }

void spawn(void (*f)(void*), void* arg) {
    const word seen = world::view_for_child();
    here().spawned.go([=] {
        world::begin_child(seen);
        f(arg);
    });
}

void world::join_all() {
    here().spawned.wait();
    thread_views& t = me();
    for (const auto& [cell, l] : here().locations) {
        t.now.set(l.number, static_cast<std::uint32_t>(l.messages.size() - 1));
    }
}

word world::view_for_child() {
    here().for_children.push_back(me().now);
    return here().for_children.size() - 1;
}
void world::begin_child(word from) {
    thread_views& t = me();
    t.now.join(here().for_children[from]);
    t.now.join(here().behind_fence_all);
}

void begin_cell(const void* cell) noexcept {
    if (current != nullptr) current->locations.erase(cell);
}

word load(const void* cell, word initial, order o) {
    explore_point("load", cell, touch::reads);
    location& l = at(cell, initial);
    thread_views& t = me();
    if (is_sequential(o)) pass_fence(t);
    const std::uint32_t time = choose_time(t, l);
    read(t, l, time, o);
    return l.messages[time].value;
}

void store(void* cell, word initial, word value, order o) {
    explore_point("store", cell);
    location& l = at(cell, initial);
    thread_views& t = me();
    if (is_sequential(o)) pass_fence(t);
    write(t, l, value, o, nullptr);
    if (is_sequential(o)) pass_fence(t);
}

word exchange(void* cell, word initial, word value, order o) {
    return modify(
        cell, initial, o, [](word, word by) { return by; }, value);
}

word update(void* cell, word initial, word (*f)(word, word), word by, order o) {
    return modify(cell, initial, o, f, by);
}

// One that fails is a load, and may be of a stale value.
bool compare_exchange(void* cell, word initial, word& expected, word desired, order success,
                      order failure) {
    explore_point("compare_exchange", cell);
    location& l = at(cell, initial);
    thread_views& t = me();
    if (is_sequential(success)) pass_fence(t);
    const auto newest = static_cast<std::uint32_t>(l.messages.size() - 1);
    const message before = l.messages[newest];
    if (before.value != expected) {
        const std::uint32_t time = choose_time(t, l);
        if (l.messages[time].value != expected) {
            read(t, l, time, failure);
            expected = l.messages[time].value;
            return false;
        }
        read(t, l, newest, failure);  // the stale one would have been as expected: it is not taken
        expected = before.value;
        return false;
    }
    read(t, l, newest, success);
    write(t, l, desired, success, &before.seen);
    if (is_sequential(success)) pass_fence(t);
    return true;
}

void fence(order o) {
    thread_views& t = me();
    if (o == order::seq_cst) {
        vole::detail::explore_here(vole::detail::operation::on_everything("fence"));
        if (here().left_out != without::sequential) pass_fence(t);
        return;
    }
    if (is_acquire(o)) t.now.join(t.on_acquire);
    if (is_release(o)) t.at_fence = t.now;
}

void fence_all() {
    vole::detail::explore_here(vole::detail::operation::on_everything("membarrier"));
    if (here().left_out == without::fence_all) return;
    for (int round = 0; round < 2; ++round) {  // in any order: all see all
        for (auto& [id, t] : here().threads) pass_fence(t);
    }
    ++here().fences;
    here().behind_fence_all = here().sequential;  // threads that have yet to run for the first time
}

// ---- blocking ---------------------------------------------------------------------------------

void lock(const void* which) noexcept {
    lock_state& l = here().locks[which];
    l.mu.lock();
    me().now.join(l.seen);
}
bool try_lock(const void* which) noexcept {
    lock_state& l = here().locks[which];
    if (!l.mu.try_lock()) return false;
    me().now.join(l.seen);
    return true;
}
void unlock(const void* which) noexcept {
    lock_state& l = here().locks[which];
    l.seen.join(me().now);
    l.mu.unlock();
}

void sleep(const void* sleeper) noexcept {
    sleeper_state& s = here().sleepers[sleeper];
    s.note.recv();
    s.woken = false;
    me().now.join(s.seen);
}
void wake(const void* sleeper) noexcept {
    sleeper_state& s = here().sleepers[sleeper];
    if (std::exchange(s.woken, true)) fail("readied twice");
    s.seen.join(me().now);
    s.note.send();
}

void yield() noexcept {
    vole::gosched();
    stop_if_failed();
}
std::uint32_t choose(std::uint32_t n) { return vole::detail::choose_below(n); }
std::uint32_t thread_number() { return me().number; }

bool clear_if(void* cell, word initial, word expected) {
    for (;;) {
        const std::uint64_t fences = here().fences;
        if (load(cell, initial, order::relaxed) != expected) return false;
        explore_point("store", cell);
        if (here().fences != fences) continue;  // the fence has sent it back to the start
        write(me(), at(cell, initial), 0, order::release, nullptr);
        return true;
    }
}

void fail(const char* text) {
    std::fprintf(stderr, "modelled unit: %s\n", text);
    here().failed = true;
    stop_if_failed();
    std::abort();  // not reached
}

// ---- plain memory -----------------------------------------------------------------------------

word plain::race_checked(bool writes, word value) const {
    location& l = at(this, 0);
    thread_views& t = me();
    const auto newest = static_cast<std::uint32_t>(l.messages.size() - 1);
    if (t.now.at(l.number) != newest) throw std::logic_error("a data race");
    if (!writes) return l.messages[newest].value;
    weak_memory::write(t, l, value, order::relaxed, nullptr);
    return value;
}
void plain::write(word value) { race_checked(true, value); }
word plain::read() const { return race_checked(false, 0); }

}  // namespace weak_memory
