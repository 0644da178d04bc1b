// TSan's fibers, and whose they are; empty in other builds. Lock: its own, a leaf. Stack: any.
//
// To TSan a goroutine that gets the fiber of one that has ended is that one going on: it sees no races between the two, and
// calls both by the second one's name. So a fiber rests until as many as `resting` have ended after it.
//
// TSan says where a fiber was made, which is in the scheduler, and long before most of its goroutines. Where these were
// created is in the fiber's name; what TSan calls after each report (__tsan_on_report) makes a line of it as in tracebacks:
//
//   Goroutine 7 is thread T9 above.
//   created by poll(connection&) in goroutine 1
//           net.cpp:77
//
// The function is weak: a program may have its own.
#include "runtime/src/sched/sanitizer.hpp"

#if defined(VOLE_TSAN)

#include <sanitizer/common_interface_defs.h>

#include <cinttypes>
#include <cstdio>
#include <cstring>

#include "runtime/internal/fatal.hpp"
#include "runtime/src/trace/frames_text.hpp"

namespace vole::inline v0::detail {

namespace {
constexpr unsigned most_kept = 4096;  // TSan itself ends at about 8,000
constexpr unsigned resting = 64;
constinit lock pool_lock{lock_rank::gslab};
void* pool[most_kept] VOLE_GUARDED_BY(pool_lock);  // a ring, first in, first out
unsigned first VOLE_GUARDED_BY(pool_lock) = 0;
unsigned pooled VOLE_GUARDED_BY(pool_lock) = 0;
}  // namespace

void* take_fiber(const G* g) noexcept {
    void* fiber = nullptr;
    {
        lock_guard held(pool_lock);
        if (pooled > resting) {
            fiber = pool[first];
            first = (first + 1) % most_kept;
            --pooled;
        }
    }
    if (fiber == nullptr) fiber = __tsan_create_fiber(0);
    message name;
    if (g != nullptr) {  // else a thread's coroutine
        name << "goroutine " << g->id << " of " << g->parent_id << " at ";
        name.hex(reinterpret_cast<std::uintptr_t>(g->created_at));
    }
    __tsan_set_fiber_name(fiber, name.c_str());
    return fiber;
}

void give_fiber(void* fiber) noexcept {
    {
        lock_guard held(pool_lock);
        if (pooled != most_kept) {
            pool[(first + pooled) % most_kept] = fiber;
            ++pooled;
            return;
        }
    }
    __tsan_destroy_fiber(fiber);
}

namespace {
// "FUNCTION\n\tFILE:LINE\n". A template's instance begins with what it returns, or is named without its namespace.
VOLE_NO_TSAN bool is_ours(const char* frame) noexcept {
    constexpr const char* prefix = "vole::v0::";
    const char* name = frame;
    int depth = 0;  // of < >
    for (const char* c = frame; *c != '\n' && *c != '\0' && *c != '('; ++c) {
        depth += *c == '<' ? 1 : *c == '>' ? -1 : 0;
        if (*c == ' ' && depth == 0) name = c + 1;
    }
    return std::strncmp(name, prefix, std::strlen(prefix)) == 0 ||
           std::strstr(frame, "/include/vole/") != nullptr;
}

// The innermost function at `at` that is not the library's. By TSan's own means, which allocate nothing that it watches:
// the race may have been found in a free().
VOLE_NO_TSAN void print_creator(text_out& out, std::uintptr_t at, std::uint64_t creator) noexcept {
    char frames[4096] = {};  // each with a zero behind it
    __sanitizer_symbolize_pc(reinterpret_cast<void*>(at - 1), "%f\n\t%s:%l\n", frames,
                             sizeof(frames) - 1);
    const char* f = frames;
    while (*f != '\0' && is_ours(f)) f += std::strlen(f) + 1;
    char* place = std::strchr(const_cast<char*>(f), '\n');
    if (place == nullptr) return;
    *place = '\0';
    out << "created by " << f;
    if (creator != 0) out << " in goroutine " << creator;
    out << "\n" << place + 1;
}
}  // namespace

}  // namespace vole::inline v0::detail

extern "C" {
// Not in the header: for debuggers and tests of TSan's own.
int __tsan_get_report_data(void* report, const char** description, int* count, int* stacks,
                           int* operations, int* locations, int* mutexes, int* threads,
                           int* unique_tids, void** sleep, unsigned long sleep_size);
int __tsan_get_report_thread(void* report, unsigned long i, int* id, unsigned long* os_id,
                             int* running, const char** name, int* parent, void** trace,
                             unsigned long trace_size);

// On the stack of who has found the race, with locks of TSan held: nothing here may be instrumented.
__attribute__((weak, visibility("default"), no_sanitize("thread"))) void
__tsan_on_report(void* report) {
    using namespace vole::detail;
    const char* description = nullptr;
    int count = 0;
    int stacks = 0;
    int operations = 0;
    int locations = 0;
    int mutexes = 0;
    int threads = 0;
    int unique_tids = 0;
    void* sleep[1] = {};
    __tsan_get_report_data(report, &description, &count, &stacks, &operations, &locations, &mutexes,
                           &threads, &unique_tids, sleep, 1);
    for (int i = 0; i < threads; ++i) {
        int id = 0;
        unsigned long os_id = 0;
        int running = 0;
        const char* name = nullptr;
        int parent = 0;
        void* trace[1] = {};
        __tsan_get_report_thread(report, static_cast<unsigned long>(i), &id, &os_id, &running,
                                 &name, &parent, trace, 1);
        std::uint64_t goroutine = 0;
        std::uint64_t creator = 0;
        std::uintptr_t at = 0;
        if (name == nullptr ||
            std::sscanf(name, "goroutine %" SCNu64 " of %" SCNu64 " at %" SCNxPTR, &goroutine,
                        &creator, &at) != 3) {
            continue;
        }
        fd_text to(2, false);
        to.out << "Goroutine " << goroutine << " is thread T" << static_cast<std::uint64_t>(id)
               << " above.\n";
        print_creator(to.out, at, creator);
        to.out << "\n";
    }
}
}

#endif
