// What the tests of modelled units have in common: a scenario holds under many schedules, and fails without one kind of order.
#pragma once

#include <catch2/catch.hpp>

#include <vole/explore.hpp>

#include "test/explore/weak/threads.hpp"
#include "test/support/scale.hpp"
#include "test/support/stderr_capture.hpp"

#include <exception>
#include <stdexcept>
#include <string>

namespace weak_memory {

inline vole::synctest::explore_options weak_options(std::uint64_t schedules) {
    vole::synctest::explore_options o;
    o.schedules = schedules;
    o.seed = 11;
    o.shorten = false;
    return o;
}

/// What a scenario demands, by any of its threads.
inline void must(bool holds, const char* what) {
    if (!holds) throw std::logic_error(what);
}

/// f(world) under so many schedules of both random strategies.
template <class F>
void holds(F f, std::uint64_t most = 10'000) {
    const auto schedules = vole::test::stress_scaled<std::uint64_t>(most, most / 20);
    for (const auto how : {vole::synctest::strategy::random_walk, vole::synctest::strategy::pct}) {
        auto o = weak_options(schedules);
        o.how = how;
        CHECK_NOTHROW(vole::synctest::explore(o, [&] {
            world w(without::nothing);
            f(w);
        }));
    }
}

/// What it fails with; "": it does not.
template <class F>
std::string fails(without what, F f, std::uint64_t most = 100'000) {
    const vole::test::stderr_capture told;
    try {
        vole::synctest::explore(weak_options(most), [&] {
            world w(what);
            f(w);
        });
    } catch (const std::exception& e) {
        return e.what();
    }
    return "";
}

}  // namespace weak_memory
