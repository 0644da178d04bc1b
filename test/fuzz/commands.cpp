// The example Redis server behind its parser: whatever the commands are, each has one reply, and it is well-formed.
#include "test/fuzz/target.hpp"

#include "test/examples/resp/commands.hpp"
#include "test/examples/resp/parser.hpp"
#include "test/examples/resp/store.hpp"

#include <chrono>

using vole::fuzz::must_hold;

namespace {

constexpr std::string_view line_end = "\r\n";

/// Takes a line off; its end must be there.
std::string_view take_line(std::string_view& text) {
    const std::size_t end = text.find(line_end);
    must_hold(end != text.npos, "a reply's line ends in CRLF");
    const std::string_view line = text.substr(0, end);
    must_hold(line.find_first_of(line_end) == line.npos, "a line has no line end in it");
    text.remove_prefix(end + line_end.size());
    return line;
}

/// Takes one reply off, as a client reads it.
void take_reply(std::string_view& text) {
    const std::string_view line = take_line(text);
    must_hold(!line.empty(), "a reply has a type");
    if (line[0] == '+' || line[0] == '-') return;
    const auto n = resp::read_integer(line.substr(1));
    must_hold(n.has_value(), "a number is a number");
    if (line[0] == ':') return;
    must_hold(*n >= -1, "a size is one, or none");
    if (line[0] == '$' && *n >= 0) {
        const auto size = static_cast<std::size_t>(*n);
        must_hold(text.size() >= size + line_end.size(), "a string is as long as it says");
        must_hold(text.substr(size, line_end.size()) == line_end, "a string ends in CRLF");
        text.remove_prefix(size + line_end.size());
    } else if (line[0] == '*') {
        for (long long i = 0; i < *n; ++i) take_reply(text);
    } else {
        must_hold(line[0] == '$', "a reply has a type that there is");
    }
}

}  // namespace

/// The commands, as a client sends them; the store is empty before the first.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view unread = vole::fuzz::text_of(data, size);
    vole::net::conn nobody;
    serving::output out(nobody, std::chrono::seconds(1));
    resp::store store;
    resp::parser parser;
    std::size_t commands = 0;
    for (;;) {
        const auto got = parser.parse(unread, resp::limits{});
        if (got.size == 0) break;
        const auto arguments = parser.arguments();
        const bool goes_on = resp::execute(arguments, store, out);
        std::string_view reply = out.text();
        must_hold(reply.empty() == arguments.empty(),
                  "a command is answered, an empty line is not");
        if (!reply.empty()) take_reply(reply);
        must_hold(reply.empty(), "a command has one reply");
        out.text().clear();
        must_hold(store.size() <= ++commands, "a command makes one key at most");
        if (!goes_on) break;
        unread.remove_prefix(got.size);
    }
    store.sweep();
    return 0;
}
