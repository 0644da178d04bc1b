// What the runtime asks of the kernel and of malloc, each by its own name: os::mmap(...) is mmap(...), and can be made
// to fail (may_fail.hpp). The libraries call nothing of this directly. Stack: as the function says.
#pragma once

#include <cstdlib>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/internal/may_fail.hpp"

namespace vole::inline v0::detail::os {

inline constexpr auto mmap = as_fallible<fallible::mmap>(::mmap);
inline constexpr auto munmap = as_fallible<fallible::munmap>(::munmap);
inline constexpr auto mprotect = as_fallible<fallible::mprotect>(::mprotect);
inline constexpr auto madvise = as_fallible<fallible::madvise>(::madvise);
inline constexpr auto mincore = as_fallible<fallible::mincore>(::mincore);
inline constexpr auto malloc = as_fallible<fallible::malloc>(::malloc);
inline constexpr auto calloc = as_fallible<fallible::malloc>(::calloc);
inline constexpr auto aligned_alloc = as_fallible<fallible::malloc>(::aligned_alloc);

inline constexpr auto pthread_create = as_fallible<fallible::pthread_create>(::pthread_create);
inline constexpr auto sched_getaffinity =
    as_fallible<fallible::sched_getaffinity>(::sched_getaffinity);
inline constexpr auto getrlimit = as_fallible<fallible::getrlimit>(::getrlimit);
inline constexpr auto sigaction = as_fallible<fallible::sigaction>(::sigaction);
inline constexpr auto sigaltstack = as_fallible<fallible::sigaltstack>(::sigaltstack);

inline constexpr auto open = as_fallible<fallible::open>(::open);
inline constexpr auto read = as_fallible<fallible::read>(::read);
inline constexpr auto pread = as_fallible<fallible::read>(::pread);
inline constexpr auto write = as_fallible<fallible::write>(::write);
inline constexpr auto close = as_fallible<fallible::close>(::close);
inline constexpr auto fcntl = as_fallible<fallible::fcntl>(::fcntl);
inline constexpr auto fstat = as_fallible<fallible::fstat>(::fstat);
inline constexpr auto unlink = as_fallible<fallible::unlink>(::unlink);

}  // namespace vole::inline v0::detail::os
