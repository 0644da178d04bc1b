// vole_debug_layout: where vole-gdb.py finds what it reads, so that it needs no debug information and
// cannot misread a Vole that it was not made for.
//
// Invariants: the script has the same lists of names, in this order. `version` is raised when something
// is added, or means something else than before; what merely lies elsewhere changes nothing.
#include "runtime/src/trace/gdb/layout.hpp"

#include <cstddef>
#include <iterator>

#include "runtime/internal/bubble.hpp"
#include "runtime/internal/labels.hpp"
#include "runtime/src/sched/sched.hpp"

extern "C" __attribute__((visibility("hidden"))) const char vole_gdb_script;

namespace vole::inline v0::detail {

// A friend of what has private members.
struct debug_offsets {
    static constexpr std::uint32_t head = offsetof(run_queue, head_);
    static constexpr std::uint32_t tail = offsetof(run_queue, tail_);
    static constexpr std::uint32_t next = offsetof(run_queue, next_);
};

namespace {
constinit const debug_texts p_texts{{"idle", "running", "syscall", "stopped", "dead"}};
}

}  // namespace vole::detail

using namespace vole::detail;

struct vole_debug_layout_v1 {
    std::uint32_t magic = 0x656c6f76;  // "vole"
    std::uint32_t version = 3;
    std::uint32_t bytes = sizeof(vole_debug_layout_v1);

    std::uint32_t texts = debug_texts::count;
    std::uint32_t status_runnable = static_cast<std::uint32_t>(g_status::runnable);
    std::uint32_t status_running = static_cast<std::uint32_t>(g_status::running);
    std::uint32_t status_syscall = static_cast<std::uint32_t>(g_status::syscall);
    std::uint32_t status_waiting = static_cast<std::uint32_t>(g_status::waiting);
    std::uint32_t status_dead = static_cast<std::uint32_t>(g_status::dead);
    std::uint32_t status_idle = static_cast<std::uint32_t>(g_status::idle);

    std::uint32_t slab_next = offsetof(g_slab, next);
    std::uint32_t slab_gs = offsetof(g_slab, gs);
    std::uint32_t slab_count = g_slab::count;

    std::uint32_t g_bytes = sizeof(G);
    std::uint32_t g_sp = offsetof(G, sched) + offsetof(vole::arch::gobuf, sp);
    std::uint32_t g_m = offsetof(G, m);
    std::uint32_t g_stack = offsetof(G, stack);
    std::uint32_t g_status = offsetof(G, status);  // one byte, as the next
    std::uint32_t g_reason = offsetof(G, reason);
    std::uint32_t g_lock_count = offsetof(G, lock_count);  // two
    std::uint32_t g_id = offsetof(G, id);
    std::uint32_t g_closure = offsetof(G, closure);
    std::uint32_t g_created_at = offsetof(G, created_at);
    std::uint32_t g_parent_id = offsetof(G, parent_id);
    std::uint32_t g_tags = offsetof(G, tags);
    std::uint32_t g_parked = offsetof(G, parked);

    std::uint32_t tags_bubble = offsetof(struct g_tags, bubble_id);  // four bytes
    std::uint32_t tags_name = offsetof(struct g_tags, name);
    std::uint32_t tags_labels = offsetof(struct g_tags, labels);

    std::uint32_t labels_room = offsetof(label_node, room);  // two, as the next
    std::uint32_t labels_used = offsetof(label_node, bytes);
    std::uint32_t labels_text = sizeof(label_node);

    std::uint32_t closure_invoke = offsetof(closure_type, invoke);

    std::uint32_t parked_kind = offsetof(parked_waiter, kind);
    std::uint32_t kind_object = offsetof(waiter_kind, object);
    std::uint32_t kind_count = offsetof(waiter_kind, count);
    std::uint32_t kind_stride = offsetof(waiter_kind, stride);

    std::uint32_t segment_prev = offsetof(stack_segment, prev);
    std::uint32_t segment_lo = offsetof(stack_segment, lo);
    std::uint32_t segment_bytes = offsetof(stack_segment, bytes);

    std::uint32_t m_bytes = sizeof(M);
    std::uint32_t m_curg = offsetof(M, curg);
    std::uint32_t m_p = offsetof(M, p);
    std::uint32_t m_commit = offsetof(M, commit);
    std::uint32_t m_commit_g = offsetof(M, commit_g);
    std::uint32_t m_spinning = offsetof(M, spinning);
    std::uint32_t m_blocking_depth = offsetof(M, blocking_depth);
    std::uint32_t m_attention = offsetof(M, attention);
    std::uint32_t m_detached = attend_detached;  // in attention
    std::uint32_t m_locked_g = offsetof(M, locked_g);
    std::uint32_t m_all = offsetof(M, all);
    std::uint32_t m_id = offsetof(M, id);
    std::uint32_t m_tid = offsetof(M, tid);
    std::uint32_t m_depth = offsetof(M, depth);
    std::uint32_t m_frozen_context = offsetof(M, frozen_context);

    std::uint32_t p_bytes = sizeof(P);
    std::uint32_t p_status = offsetof(P, status);
    std::uint32_t p_m = offsetof(P, m);
    std::uint32_t p_id = offsetof(P, id);
    std::uint32_t p_head = offsetof(P, runq) + debug_offsets::head;
    std::uint32_t p_tail = offsetof(P, runq) + debug_offsets::tail;
    std::uint32_t p_next = offsetof(P, runq) + debug_offsets::next;

    std::uint32_t frame_bytes = vole::arch::this_port::frame_bytes;
    std::uint32_t registers = std::size(vole::arch::this_port::saved_registers);
    std::uint32_t register_bytes = sizeof(vole::arch::saved_register);
    std::uint32_t register_offset = offsetof(vole::arch::saved_register, offset);

    const void* saved_registers = vole::arch::this_port::saved_registers;
    const void* stack_pointer = vole::arch::this_port::stack_pointer;
    const void* status_texts = &::status_texts;
    const void* reason_texts = &::reason_texts;
    const void* p_texts = &::p_texts;
    const void* g_slabs = &::g_slabs;
    const void* all_ms = &sched.all_ms;
    const void* all_ps = &sched.all_ps;
    const void* procs = &sched.procs;
    const void* stopping = &sched.stopping;
    const void* stop_wait = &sched.stop_wait;
    const void* global_size = &sched.global_size;
    const void* frozen_size = &sched.frozen.size;
    const void* script = &vole_gdb_script;  // linked with us
};

extern "C" __attribute__((
    used, visibility("hidden"))) constinit const vole_debug_layout_v1 vole_debug_layout{};
