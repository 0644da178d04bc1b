// See sync/internal/sema.hpp. *s is guarded by the bucket's lock; a waiter that is served takes nothing from it.
#include "sync/internal/sema.hpp"

#include "runtime/internal/deep.hpp"
#include "sync/src/wait_table.hpp"

namespace vole::inline v0::detail {

VOLE_FITS_SMALL_STACK;

void sema_acquire(std::uint32_t* s, wait_reason reason) VOLE_NO_TS {
    wait_bucket& b = bucket_of(s);
    b.mu.acquire();
    if (*s != 0) {
        --*s;
        b.mu.release();
        return;
    }
    park_scope self;
    addr_waiter w;
    w.g = self.g();
    w.addr = s;
    b.push_back(&w);
    park_unlock(self.g(), b.mu, reason, &w);
}

void sema_release(std::uint32_t* s) noexcept {
    wait_bucket& b = bucket_of(s);
    addr_waiter* w = nullptr;
    {
        const lock_guard held(b.mu);
        w = b.pop(s);
        if (w == nullptr) ++*s;
    }
    if (w != nullptr) ready(w->g);
}

}  // namespace vole::detail
