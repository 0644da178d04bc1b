// The parts of the run queue that are not on the path of a switch. See runq.hpp.
#include "runtime/src/sched/runq.hpp"

namespace vole::inline v0::detail {

g_list batch_queue::take(std::uint32_t n) noexcept {
    g_list out;
    G* last = nullptr;  // in the last batch taken: its end is looked for when another joins
    while (first_ != nullptr && out.size < n) {
        G* batch = first_;
        const std::uint32_t room = n - out.size;
        // One more than asked is taken whole: overflow makes batches of 129, a share is 128.
        const bool whole = batch->batch_size <= room + (room > 1 ? 1 : 0);
        if (!whole && out.size != 0) break;
        first_ = batch->next_batch;
        if (first_ == nullptr) last_ = nullptr;
        g_list list{batch, nullptr, batch->batch_size};
        if (!whole) {
            G* end = batch;
            for (std::uint32_t i = 1; i < room; ++i) end = end->link;
            G* rest = end->link;
            end->link = nullptr;
            rest->batch_size = static_cast<std::uint16_t>(batch->batch_size - room);
            rest->next_batch = first_;
            if (first_ == nullptr) last_ = rest;
            first_ = rest;
            list.size = room;
        }
        size_ -= list.size;
        if (out.head == nullptr) {
            out = list;
            last = list.head;
        } else {
            while (last->link != nullptr) last = last->link;  // each goroutine once in all
            last->link = list.head;
            out.size += list.size;
            last = list.head;
        }
    }
    return out;
}

bool run_queue::take_half(g_list& out) noexcept {
    std::uint32_t h = head_.load(memory_order_acquire);
    const std::uint32_t n = (tail_.load(memory_order_relaxed) - h) / 2;
    if (n != capacity / 2) return false;
    G* batch[capacity / 2];
    for (std::uint32_t i = 0; i < n; ++i) {
        batch[i] = ring_[(h + i) % capacity].load(memory_order_relaxed);
    }
    if (!head_.compare_exchange_strong(h, h + n, memory_order_release, memory_order_relaxed)) {
        return false;
    }
    for (G* g : batch) out.push_back(g);
    return true;
}

// The ring may be drained into runnext's place, and back, between two loads: a kick moves the old
// runnext to the tail, so (ring empty, then runnext null) could be seen while there always was one.
// Reading tail again afterwards excludes that: a kick changes it.
bool run_queue::empty() const noexcept {
    for (;;) {
        const std::uint32_t h = head_.load(memory_order_acquire);
        const std::uint32_t t = tail_.load(memory_order_acquire);
        const G* next = next_.peek_in_order();
        if (t == tail_.load(memory_order_acquire)) return h == t && next == nullptr;
    }
}

std::uint32_t run_queue::grab(run_queue& to, std::uint32_t to_tail) noexcept {
    for (;;) {
        std::uint32_t h = head_.load(memory_order_acquire);
        const std::uint32_t t = tail_.load(memory_order_acquire);
        std::uint32_t n = t - h;
        n -= n / 2;
        if (n == 0) return 0;
        if (n > capacity / 2) continue;  // head and tail read at different moments
        for (std::uint32_t i = 0; i < n; ++i) {
            G* g = ring_[(h + i) % capacity].load(memory_order_relaxed);
            to.ring_[(to_tail + i) % capacity].store(g, memory_order_relaxed);
        }
        if (head_.compare_exchange_strong(h, h + n, memory_order_acq_rel, memory_order_relaxed)) {
            return n;
        }
    }
}

G* run_queue::steal_into(run_queue& to, std::uint32_t* count) noexcept {
    const std::uint32_t t = to.tail_.load(memory_order_relaxed);
    std::uint32_t n = grab(to, t);
    *count = n;
    if (n == 0) return nullptr;
    --n;
    G* g = to.ring_[(t + n) % capacity].load(memory_order_relaxed);
    if (n != 0) to.tail_.store(t + n, memory_order_release);  // the thief's ring was empty
    return g;
}

}  // namespace vole::detail
