// What stays taken of the heap: for what is to leave nothing behind, and of which no constructor or destructor
// tells.
#pragma once

#include <cstddef>
#include <cstdint>
#include <malloc.h>

namespace vole::test {

#if defined(__GLIBC__) && !defined(VOLE_ASAN) && !defined(VOLE_TSAN)
#if __GLIBC_PREREQ(2, 33)
#define VOLE_TEST_SEES_HEAP 1
#endif
#endif

#if defined(VOLE_TEST_SEES_HEAP)
/// How many bytes a call of f leaves behind, on average of n, when as many have gone before. What is left once, and
/// caches that fill up, are next to nothing then; nothing else may go on in the process.
template <class F>
std::int64_t bytes_left_by(F f, int n = 2000) {
    const auto used = [] {
        const struct mallinfo2 all = mallinfo2();
        return static_cast<std::int64_t>(all.uordblks + all.hblkhd);
    };
    for (int i = 0; i < n; ++i) f();
    const std::int64_t before = used();
    for (int i = 0; i < n; ++i) f();
    return (used() - before) / n;
}
#else
/// Not known here.
template <class F>
std::int64_t bytes_left_by(F f, int n = 1) {
    for (int i = 0; i < n; ++i) f();
    return 0;
}
#endif

}  // namespace vole::test
