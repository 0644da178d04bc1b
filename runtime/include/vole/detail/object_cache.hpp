// Memory for the library's small objects: contexts, timers, channels, coroutines, entries of maps, cleanups.
//
// Each P keeps some blocks of each size class, so that most are taken and given without a lock, without an atomic
// operation, and on small stacks without a change to a larger one, which malloc would need. What one P gives and another
// takes goes through a shared depot in batches. The blocks are malloc's own, one by one: what finds no room in the caches
// is freed, and what they hold is little (object_cache_bytes of read_stats()). Waiters need none of this: they lie on
// the stacks that wait.
//
// Objects above most_cached_bytes, those of threads that have no P, and all of them under AddressSanitizer and
// ThreadSanitizer, which are to see each one's life, are malloc's business alone.
#pragma once

#include <cstddef>
#include <new>

namespace vole::inline v0::detail {

inline constexpr std::size_t most_cached_bytes = 512;

/// Aligned as malloc's. Null: there is no memory. From anywhere but a signal handler; does not block.
void* take_object(std::size_t bytes) noexcept;
/// With the size that it was taken with.
void give_object(void* object, std::size_t bytes) noexcept;

[[noreturn]] void throw_bad_alloc();

/// A base: new and delete of what is derived from it use the caches. It must be deleted as what it is, since
/// the size counts. What is aligned beyond malloc's alignment is left to malloc.
// NOLINTBEGIN(misc-new-delete-overloads): a delete that knows the size is the only one that is wanted.
struct cached_object {
    static void* operator new(std::size_t bytes) {
        void* object = take_object(bytes);
        if (object == nullptr) [[unlikely]]
            throw_bad_alloc();
        return object;
    }
    static void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
        return take_object(bytes);
    }
    static void* operator new(std::size_t bytes, std::align_val_t align) {
        return ::operator new(bytes, align);
    }
    static void* operator new(std::size_t, void* place) noexcept { return place; }
    static void operator delete(void* object, std::size_t bytes) noexcept {
        give_object(object, bytes);
    }
    static void operator delete(void* object, std::size_t, std::align_val_t align) noexcept {
        ::operator delete(object, align);
    }
};
// NOLINTEND(misc-new-delete-overloads)

}  // namespace vole::detail
