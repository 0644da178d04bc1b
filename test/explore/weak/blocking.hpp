// Locks and sleeping in the model of memory (memory.hpp), for what stands in the place of the runtime's own.
#pragma once

#include <cstdint>

namespace weak_memory {

// Whoever takes a lock has seen what those before it did. Known by their addresses.
void lock(const void* which) noexcept;
bool try_lock(const void* which) noexcept;
void unlock(const void* which) noexcept;

/// One sleeper, one wake-up, in either order; who is woken has seen what the other did. A second wake-up before the
/// first is used fails.
void sleep(const void* sleeper) noexcept;
void wake(const void* sleeper) noexcept;

void yield() noexcept;
/// Runs f(arg) in a thread of its own, which has seen what the caller has. join_all() waits for it.
void spawn(void (*f)(void*), void* arg);
/// The calling thread's number in its world, from 0.
std::uint32_t thread_number();
std::uint32_t choose(std::uint32_t n);

/// Compares *cell, then stores, unless somebody has made all threads pass a fence in between: then once more.
bool clear_if(void* cell, std::uint64_t initial, std::uint64_t expected);

/// What a unit calls a fatal error: it fails the schedule.
[[noreturn]] void fail(const char* text);

}  // namespace weak_memory
