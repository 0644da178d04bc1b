// See permanent.hpp.
#include "runtime/src/os/permanent.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <cstdint>

#include "runtime/internal/lock.hpp"
#include "runtime/internal/os.hpp"

namespace vole::inline v0::detail {

namespace {
constexpr std::size_t chunk_bytes = 256 * 1024;
constinit lock chunk_lock{lock_rank::gslab};
char* chunk_at VOLE_GUARDED_BY(chunk_lock) = nullptr;
char* chunk_end VOLE_GUARDED_BY(chunk_lock) = nullptr;

char* map(std::size_t bytes) noexcept {
    const int saved = errno;
    void* p = os::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    errno = saved;
    return p == MAP_FAILED ? nullptr : static_cast<char*>(p);
}
}  // namespace

void* permanent_alloc(std::size_t bytes, std::size_t align) noexcept {
    if (bytes > chunk_bytes / 4) return map(bytes);
    lock_guard held(chunk_lock);
    auto at = (reinterpret_cast<std::uintptr_t>(chunk_at) + align - 1) & ~(align - 1);
    if (chunk_at == nullptr || at + bytes > reinterpret_cast<std::uintptr_t>(chunk_end)) {
        char* fresh = map(chunk_bytes);
        if (fresh == nullptr) return nullptr;
        chunk_at = fresh;
        chunk_end = fresh + chunk_bytes;
        at = reinterpret_cast<std::uintptr_t>(fresh);  // page-aligned
    }
    chunk_at = reinterpret_cast<char*>(at + bytes);
    return reinterpret_cast<void*>(at);
}

}  // namespace vole::detail
