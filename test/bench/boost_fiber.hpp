// How both files of Boost's side start a fiber.
#pragma once

#include <boost/fiber/all.hpp>

#include <cstddef>
#include <memory>
#include <utility>

namespace vole_bench {

namespace fibers = boost::fibers;
using fibers::fiber;

/// Boost's own 128 KiB of stack would cost it an mmap for each fiber.
template <class F>
fiber start_fiber(F&& f, std::size_t stack = 16 * 1024) {
    return fiber(fibers::launch::post, std::allocator_arg, fibers::fixedsize_stack(stack),
                 std::forward<F>(f));
}

}  // namespace vole_bench
