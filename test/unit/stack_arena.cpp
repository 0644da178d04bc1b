// Slots of stacks: what is taken, given back, and when their pages go back to the system.
#include <catch2/catch.hpp>

#include <sys/mman.h>

#include <algorithm>
#include <set>
#include <vector>

#include "runtime/src/stack/arena.hpp"

using namespace vole::detail;

namespace {

constexpr std::size_t slot_bytes = 256 * 1024;
constinit stack_arena slots{slot_bytes, 16 * 1024};

// Slots of these whose last page is in memory.
std::size_t resident(const std::vector<char*>& some) {
    return static_cast<std::size_t>(std::count_if(some.begin(), some.end(), [](char* lo) {
        unsigned char in = 0;
        REQUIRE(mincore(lo + slot_bytes - 4096, 4096, &in) == 0);
        return (in & 1) != 0;
    }));
}

std::vector<char*> take_all(std::uint32_t n) {
    std::vector<char*> taken(n);
    std::uint32_t got = 0;
    while (got < n) {
        const std::uint32_t k = slots.take(taken.data() + got, std::min(n - got, 16u));
        REQUIRE(k != 0);
        got += k;
    }
    return taken;
}

void give_all(const std::vector<char*>& taken) {
    for (std::size_t i = 0; i < taken.size(); i += 16) {
        slots.give(taken.data() + i,
                   static_cast<std::uint32_t>(std::min<std::size_t>(16, taken.size() - i)));
    }
}

}  // namespace

TEST_CASE("STK-70 slots that nobody needs give their pages back, in halves", "[stack]") {
    constexpr std::uint32_t count = 4096;
    REQUIRE(slots.ensure(count));
    auto taken = take_all(count);
    for (char* lo : taken) lo[slot_bytes - 1] = 1;
    REQUIRE(resident(taken) == count);
    CHECK(std::set<char*>(taken.begin(), taken.end()).size() == count);

    // Slots that were in use a moment ago are not touched.
    give_all(taken);
    CHECK(slots.in_use() == 0);
    CHECK(slots.trim());
    CHECK(resident(taken) == count);

    // Now they have been free for a whole interval.
    std::size_t before = count;
    for (int i = 0; i < 20 && slots.trim(); ++i) {
        const std::size_t now = resident(taken);
        CHECK(now < before);
        CHECK(now >= before / 2);
        before = now;
    }
    CHECK(before <= 1024);
    CHECK_FALSE(slots.trim());

    // All of them can be had again, each once, the warm ones first.
    auto again = take_all(count);
    CHECK((std::set<char*>(again.begin(), again.end()) ==
           std::set<char*>(taken.begin(), taken.end())));
    CHECK(resident({again.begin(), again.begin() + 1000}) == 1000);
    CHECK(resident({again.begin() + 2000, again.end()}) == 0);
    give_all(again);
}

TEST_CASE("slots in use since the last look keep their pages", "[stack]") {
    constexpr std::uint32_t count = 4096;
    REQUIRE(slots.ensure(count));
    auto taken = take_all(count);
    for (char* lo : taken) lo[slot_bytes - 1] = 1;
    give_all(taken);
    slots.trim();
    for (int i = 0; i < 5; ++i) {
        auto busy = take_all(count);
        give_all(busy);
        slots.trim();
        CHECK(resident(taken) == count);
    }
}

TEST_CASE("STK-42 a slot that was used deeply loses its deep pages, and only those", "[stack]") {
    REQUIRE(slots.ensure(16));
    auto taken = take_all(16);
    for (char* lo : taken) {
        lo[slot_bytes - 1] = 1;  // as every stack
        lo[32 * 1024] = 1;       // as a deep one
    }
    give_all(taken);
    slots.trim();
    CHECK(resident(taken) == 16);
    for (char* lo : taken) {
        unsigned char in = 0;
        REQUIRE(mincore(lo + 32 * 1024, 4096, &in) == 0);
        CHECK((in & 1) == 0);
    }
}
