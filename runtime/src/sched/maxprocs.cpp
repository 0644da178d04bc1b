// How many Ps: what was asked for, the environment, the cgroup's quota, the CPUs (SCHED-1..12).
//
// `explicit_` is set by options::max_procs, VOLE_MAXPROCS and gomaxprocs(n): while it is, automatic
// updates leave the number alone. An update computes outside and applies with the world stopped,
// after checking under update_lock_ that nobody has set the number meanwhile (SCHED-10).
//
// Stack: goroutine or ordinary thread for the public functions; a short-lived thread for automatic
// updates (sysmon must not wait for the world to stop: it is what makes it stop).
#include <pthread.h>

#include <cstdlib>
#include <stdexcept>

#include <vole/runtime.hpp>

#include "runtime/internal/os.hpp"
#include "runtime/src/os/cgroup.hpp"
#include "runtime/src/os/settings.hpp"
#include "runtime/src/sched/sched.hpp"

namespace vole::inline v0::detail {

namespace {

constinit atomic<bool> explicit_count{false};
constinit atomic<std::uint32_t> change_count{0};  // counts gomaxprocs(n) calls
constinit atomic<int> cpus_at_start{0};
constinit atomic<bool> updating{false};
constinit cpu_quota quota;
constinit atomic<bool> quota_open{false};

std::uint32_t default_now() noexcept {
    const double q = debug_settings().container_maxprocs && quota_open.load(memory_order_acquire)
                         ? quota.read()
                         : no_cpu_quota;
    const int n = default_procs(q, affinity_count());
    return static_cast<std::uint32_t>(n < 1 ? 1 : n > max_procs_limit ? max_procs_limit : n);
}

void set_procs(std::uint32_t n, bool only_if_automatic, std::uint32_t seen_changes) noexcept {
    stop_the_world();
    const bool stale =
        only_if_automatic && (explicit_count.load(memory_order_acquire) ||
                              change_count.load(memory_order_acquire) != seen_changes);
    start_the_world(stale ? sched.procs.load(memory_order_relaxed) : n);
}

void* update_thread(void*) {
    const std::uint32_t changes = change_count.load(memory_order_acquire);
    const std::uint32_t n = default_now();
    if (n != sched.procs.load(memory_order_relaxed) && !explicit_count.load(memory_order_acquire)) {
        set_procs(n, true, changes);
        sched.maxprocs_updates.fetch_add(1, memory_order_relaxed);
    }
    updating.store(false, memory_order_release);
    return nullptr;
}

}  // namespace

std::uint32_t initial_procs(int asked) noexcept {
    if (!quota_open.load(memory_order_relaxed)) {
        quota.open();
        quota_open.store(true, memory_order_release);
    }
    num_cpu();
    if (asked <= 0) asked = parse_maxprocs(std::getenv("VOLE_MAXPROCS"));
    if (asked > 0) {
        explicit_count.store(true, memory_order_relaxed);
        return static_cast<std::uint32_t>(asked);
    }
    return default_now();
}

void update_maxprocs() noexcept {
    if (!debug_settings().update_maxprocs || explicit_count.load(memory_order_relaxed)) return;
    if (default_now() == sched.procs.load(memory_order_relaxed)) return;
    if (updating.exchange(true, memory_order_acq_rel)) return;
    pthread_t thread;
    if (os::pthread_create(&thread, nullptr, update_thread, nullptr) == 0) {
        pthread_detach(thread);
    } else {
        updating.store(false, memory_order_relaxed);  // the next second tries again
    }
}

}  // namespace vole::detail

namespace vole::inline v0 {

using namespace detail;

int num_cpu() {
    int n = cpus_at_start.load(memory_order_relaxed);
    if (n == 0) {
        n = affinity_count();
        int none = 0;
        if (!cpus_at_start.compare_exchange_strong(none, n, memory_order_relaxed)) n = none;
    }
    return n;
}

int gomaxprocs(int n) {
    if (n > max_procs_limit) {
        throw std::invalid_argument("vole::gomaxprocs: n is " + std::to_string(n) +
                                    ", more than the limit of 4096 Ps");
    }
    ensure_runtime();
    if (n < 1) return static_cast<int>(sched.procs.load(memory_order_acquire));
    blocking_scope without_p;
    explicit_count.store(true, memory_order_release);
    change_count.fetch_add(1, memory_order_acq_rel);
    const auto wanted = static_cast<std::uint32_t>(n);
    if (const std::uint32_t now = sched.procs.load(memory_order_acquire); now == wanted) return n;
    stop_the_world();
    const std::uint32_t old = sched.procs.load(memory_order_relaxed);
    start_the_world(wanted);
    return static_cast<int>(old);
}

void set_default_gomaxprocs() {
    ensure_runtime();
    blocking_scope without_p;
    const std::uint32_t changes = change_count.fetch_add(1, memory_order_acq_rel) + 1;
    explicit_count.store(false, memory_order_release);
    const std::uint32_t n = default_now();
    if (n != sched.procs.load(memory_order_acquire)) set_procs(n, true, changes);
}

}  // namespace vole
