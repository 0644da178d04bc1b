// What the example Redis server reads. However the bytes come in pieces, the commands and the error must be the same.
#include "test/fuzz/target.hpp"

#include "test/examples/resp/parser.hpp"

#include <memory>

using vole::fuzz::must_hold;
using vole::fuzz::pieces;

namespace {

/// All commands and what ended them, as text.
std::string transcript(std::string_view left, pieces p, const resp::limits& most) {
    std::string text;
    resp::parser parser;
    std::string unread;
    std::size_t not_before = 0;  // so many bytes a command must have, by what it asked for
    for (;;) {
        // In memory of exactly that size, which is another each time.
        const std::unique_ptr<char[]> here(new char[unread.size()]);
        std::copy_n(unread.data(), unread.size(), here.get());
        const auto got = parser.parse({here.get(), unread.size()}, most);
        if (!got.error.empty()) {
            must_hold(got.size == 0, "an error is no command");
            return text + "error " + got.error;
        }
        if (got.size != 0) {
            must_hold(got.size <= unread.size(), "a command is within what has come");
            must_hold(got.size >= not_before, "what is asked for is needed");
            must_hold(parser.arguments().size() <= std::max(most.arguments, most.line),
                      "arguments are within the limit");
            for (const std::string_view a : parser.arguments())
                text += std::to_string(a.size()) + ":" + std::string(a) + " ";
            text += "\n";
            unread.erase(0, got.size);
            not_before = 0;
            continue;
        }
        must_hold(got.wanted > 0, "who has no command wants more");
        not_before = std::max(not_before, unread.size() + got.wanted);
        if (left.empty()) return text + "end";
        const std::size_t n = p.next(left.size());
        unread += left.substr(0, n);
        left.remove_prefix(n);
    }
}

void check_integer(std::string_view text) {
    const auto n = resp::read_integer(text);
    if (n) must_hold(std::to_string(*n) == text, "a number is written as it was read");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = vole::fuzz::text_of(data, size);
    check_integer(text);
    // The usual limits, and such as are reached.
    for (const resp::limits& most : {resp::limits{}, resp::limits{20, 4, 60, 30}}) {
        const std::string whole = transcript(text, {pieces::how::whole, 0}, most);
        must_hold(transcript(text, {pieces::how::bytes, 0}, most) == whole,
                  "byte by byte, the same commands");
        for (std::uint64_t seed = size; seed < size + 2; ++seed)
            must_hold(transcript(text, {pieces::how::odd, seed}, most) == whole,
                      "in pieces, the same commands");
    }
    return 0;
}
