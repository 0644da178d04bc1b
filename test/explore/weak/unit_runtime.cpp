// What the sources of all units with locks need of the runtime, beside facade_sync/. Compiled for each set of units, under its
// own name for v0.
#include "runtime/internal/explore.hpp"
#include "runtime/internal/fatal.hpp"
#include "runtime/internal/park.hpp"

#include <new>
#include <stdexcept>

#include <vole/detail/object_cache.hpp>

namespace vole::inline v0::detail {

G* modelled_g() noexcept {
    static G all[16];
    return &all[weak_memory::thread_number()];
}
std::uint32_t choose_below(std::uint32_t n) noexcept { return weak_memory::choose(n); }
std::int64_t explored_time() noexcept {
    static std::int64_t now = 0;
    return now += 2'000'000 * static_cast<std::int64_t>(weak_memory::choose(2));
}
void fatal(const char* text, const char*) noexcept { weak_memory::fail(text); }
message& message::operator<<(const char*) noexcept { return *this; }
void throw_runtime_error(const char* what) { throw std::runtime_error(what); }
void throw_bad_alloc() { throw std::bad_alloc(); }
void* take_object(std::size_t bytes) noexcept { return ::operator new(bytes, std::nothrow); }
void give_object(void* p, std::size_t) noexcept { ::operator delete(p); }

}  // namespace vole::inline v0::detail
