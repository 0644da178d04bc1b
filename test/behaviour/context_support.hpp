// What the tests of contexts share.
#pragma once

#include <catch2/catch.hpp>

#include <vole/context.hpp>
#include <vole/panic.hpp>
#include <vole/select.hpp>
#include <vole/sync.hpp>

#include "test/behaviour/sched_support.hpp"
#include "test/support/context_probe.hpp"
#include "test/support/findings.hpp"

#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/internal/entry.hpp"

namespace vole::test {

using namespace std::chrono_literals;

inline constexpr auto canceled = context_errc::canceled;
inline constexpr auto too_late = context_errc::deadline_exceeded;

inline bool is_closed(const recv_chan<void>& c) { return c.try_recv().is_closed(); }

/// Done for this reason, in every way that can be asked for.
inline bool ended(const context& ctx, std::error_code why) {
    return ctx.err() == why && is_closed(ctx.done()) && ctx.cause() != nullptr;
}
inline bool alive(const context& ctx) {
    return !ctx.err() && ctx.cause() == nullptr &&
           (!ctx.done() || ctx.done().try_recv().is_empty());
}

/// The text of what a cause holds.
inline std::string text_of(const std::exception_ptr& cause) {
    if (cause == nullptr) return "none";
    try {
        std::rethrow_exception(cause);
    } catch (const std::exception& e) {
        return e.what();
    }
}

inline std::exception_ptr error(const char* text) {
    return std::make_exception_ptr(std::runtime_error(text));
}

}  // namespace vole::test
