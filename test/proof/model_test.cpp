// The model itself, on programs small enough for their outcomes to be written
// down by hand. It is what everything else here is measured by, so it is tested
// without the runtime; only the last case holds the two side by side.
#include <catch2/catch.hpp>

#include "test/proof/csp_generator.hpp"
#include "test/proof/csp_model.hpp"
#include "test/proof/csp_run.hpp"

#include "test/support/wait.hpp"

#include <initializer_list>
#include <set>
#include <string>
#include <utility>
#include <vector>

using namespace vole::proof;

namespace {

constexpr std::uint8_t a = 0, b = 1;
constexpr std::uint8_t any_value = 0;

operation plain(op_kind kind, std::uint8_t channel, std::uint8_t value = any_value) {
    operation op;
    op.kind = kind;
    op.channel = channel;
    op.value = value;
    return op;
}
operation send(std::uint8_t c, std::uint8_t v) { return plain(op_kind::send, c, v); }
operation recv(std::uint8_t c) { return plain(op_kind::recv, c); }
operation close(std::uint8_t c) { return plain(op_kind::close, c); }
operation range(std::uint8_t c) { return plain(op_kind::range, c); }

select_arm to(std::uint8_t c, std::uint8_t v) { return {true, c, v}; }
select_arm from(std::uint8_t c) { return {false, c, any_value}; }

operation select(std::initializer_list<select_arm> arms, bool has_default = false) {
    operation op;
    op.kind = op_kind::select;
    op.has_default = has_default;
    for (const select_arm& arm : arms) op.arm[op.arms++] = arm;
    return op;
}

using texts = std::set<std::string>;

/// What its processes may do, "p0: sent; p1: got 1"; with or without the
/// inspector's line.
texts outcomes(const program& p, bool with_inspection = false) {
    texts all;
    const possibilities may = explore(p, 100'000);
    REQUIRE(may.complete);
    for (const std::string& key : may.outcomes) {
        std::string text = key_to_text(key);
        if (!with_inspection) text.resize(text.find("inspection:"));
        std::string line;
        for (const char c : text) line += c == '\n' ? std::string("; ") : std::string(1, c);
        all.insert(line);
    }
    return all;
}

}  // namespace

TEST_CASE("model: values pass in their order", "[proof][model]") {
    CHECK(outcomes({{0}, {{send(a, 1)}, {recv(a)}}}) == texts{"p0: sent; p1: got 1; "});
    for (std::uint8_t capacity = 0; capacity <= 2; ++capacity) {
        CHECK(outcomes({{capacity}, {{send(a, 1), send(a, 2)}, {recv(a), recv(a)}}}) ==
              texts{"p0: sent, sent; p1: got 1, got 2; "});
    }
}

TEST_CASE("model: who waits for ever is found by the inspector", "[proof][model]") {
    CHECK(outcomes({{0}, {{recv(a)}}}, true) ==
          texts{"p0: | got 200; inspection: len 0, not ready, sent, not ready, "
                "closed it; "});
    // In the order in which they came, behind what the buffer holds.
    CHECK(outcomes({{1}, {{send(a, 1), send(a, 2)}, {send(a, 3)}}}, true) ==
          texts{"p0: sent | sent; p1: | sent; "
                "inspection: len 1, got 1, got 2, got 3, not ready, sent, not "
                "ready, closed it; ",
                "p0: sent | sent; p1: | sent; "
                "inspection: len 1, got 1, got 3, got 2, not ready, sent, not "
                "ready, closed it; ",
                "p0: | sent; p1: sent; "
                "inspection: len 1, got 3, got 1, not ready, sent, not ready, "
                "closed it; "});
}

TEST_CASE("model: close", "[proof][model]") {
    // With room in the buffer, it depends on who is first; without, the sender
    // panics either way.
    CHECK(outcomes({{1}, {{send(a, 1)}, {close(a)}}}) ==
          texts{"p0: sent; p1: closed it; ", "p0: panic: send on closed channel; p1: closed it; "});
    CHECK(outcomes({{0}, {{send(a, 1)}, {close(a)}}}) ==
          texts{"p0: panic: send on closed channel; p1: closed it; "});
    CHECK(outcomes({{1}, {{send(a, 1), close(a)}, {range(a)}}}) ==
          texts{"p0: sent, closed it; p1: got 1, found it closed; "});
    CHECK(outcomes({{0}, {{recv(a)}, {recv(a)}, {close(a), close(a), close(nil_channel)}}}) ==
          texts{"p0: found it closed; p1: found it closed; p2: closed it, panic: "
                "close of closed "
                "channel, panic: close of nil channel; "});
}

TEST_CASE("model: select", "[proof][model]") {
    CHECK(outcomes({{0, 0}, {{send(a, 1)}, {send(b, 2)}, {select({from(a), from(b)})}}}) ==
          texts{"p0: sent; p1: | sent; p2: got 1 by case 1; ",
                "p0: | sent; p1: sent; p2: got 2 by case 2; "});
    CHECK(outcomes({{0}, {{select({from(a)}, true)}, {send(a, 1)}}}) ==
          texts{"p0: default; p1: | sent; ", "p0: got 1 by case 1; p1: sent; "});
    // One channel twice: either case.
    CHECK(outcomes({{0}, {{select({from(a), from(a)})}, {send(a, 1)}}}) ==
          texts{"p0: got 1 by case 1; p1: sent; ", "p0: got 1 by case 2; p1: sent; "});
    // It does not talk to itself, but to the inspector.
    CHECK(outcomes({{0}, {{select({to(a, 1), from(a)})}}}) == texts{"p0: | sent by case 1; "});
    CHECK(outcomes({{0}, {{select({from(nil_channel)}, true)}}}) == texts{"p0: default; "});
    CHECK(
        outcomes({{0, 1}, {{close(a), select({to(a, 1), to(b, 2)})}}}) ==
        texts{"p0: closed it, panic: send on closed channel; ", "p0: closed it, sent by case 2; "});
}

TEST_CASE("model: a select that was won waits nowhere else", "[proof][model]") {
    const program p{{0, 0},
                    {{select({from(a), from(b)})}, {send(a, 1), plain(op_kind::try_send, b, 2)}}};
    CHECK(outcomes(p) == texts{"p0: got 1 by case 1; p1: sent, not ready; "});
}

TEST_CASE("model: a pause tells who came first", "[proof][model]") {
    const operation pause = plain(op_kind::pause, a);
    CHECK(outcomes({{0}, {{pause, recv(a)}, {recv(a)}, {send(a, 1)}}}) ==
          texts{"p0: paused | got 200; p1: got 1; p2: sent; "});
    CHECK(outcomes({{0}, {{pause, recv(a)}, {recv(a)}}}) ==
          texts{"p0: paused | got 201; p1: | got 200; "});
}

TEST_CASE("model: too many states are too many", "[proof][model]") {
    const program p{{1}, {{send(a, 1)}, {recv(a)}}};
    CHECK(explore(p, 100).complete);
    CHECK_FALSE(explore(p, 1).complete);
}

TEST_CASE("generator: a seed is a program, and another one another", "[proof]") {
    std::set<std::string> different;
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        const std::string text = to_text(make_program(seed));
        CHECK(text == to_text(make_program(seed)));
        different.insert(text);
    }
    CHECK(different.size() >= 195);
}

TEST_CASE("a run has the outcome that the model says, where there is but one", "[proof]") {
    const program p{{1, 0},
                    {{send(a, 1), send(a, 2), close(a)},
                     {range(a), select({to(b, 3)})},
                     {recv(b), select({from(b), from(nil_channel)})}}};
    const possibilities may = explore(p, 100'000);
    REQUIRE(may.outcomes.size() == 1);
    for (const int procs : {1, 2}) {
        for (std::uint64_t seed = 0; seed < 8; ++seed) {
            const std::string key = vole::test::run_on(procs, [&] {
                return run(p, {seed, seed % 2 == 1}).key();
            });
            CHECK(key_to_text(key) == key_to_text(*may.outcomes.begin()));
        }
    }
}

TEST_CASE("an outcome that is not the program's is noticed", "[proof]") {
    // Each runs in the place of the other, as if a channel had mixed up, lost or doubled something.
    const std::vector<program> likes{
        {{1}, {{send(a, 1), send(a, 2)}, {recv(a), recv(a)}}},
        {{1}, {{send(a, 2), send(a, 1)}, {recv(a), recv(a)}}},
        {{1}, {{send(a, 1), send(a, 1)}, {recv(a), recv(a)}}},
        {{1}, {{send(a, 1)}, {recv(a), recv(a)}}},
        {{1}, {{send(a, 1), send(a, 2)}, {recv(a)}}},
        {{0}, {{send(a, 1), send(a, 2), close(a)}, {range(a)}}},
    };
    for (std::size_t real = 0; real < likes.size(); ++real) {
        const std::string key =
            vole::test::run_on(2, [&] { return run(likes[real], {real}).key(); });
        for (std::size_t other = 0; other < likes.size(); ++other) {
            CAPTURE(real, other);
            CHECK(explore(likes[other], 1000).outcomes.contains(key) == (real == other));
        }
    }
}
