// Recordings of what the scheduler did, as tools/vole check-trace reads them: any file may be given to it.
#include "test/fuzz/target.hpp"

#include "tools/trace/checking.hpp"
#include "tools/trace/reading.hpp"

#include <span>

using vole::fuzz::must_hold;
namespace trace = vole::trace;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
    trace::recording read;
    const std::string why = trace::read(bytes, read);
    const trace::result r = trace::check(bytes);
    must_hold(r.unreadable == why, "what cannot be read is not checked");
    must_hold(!to_text(r).empty(), "there is something to say");
    if (!why.empty()) {
        must_hold(r.findings.empty() && r.checked == 0, "nothing is found in what cannot be read");
        return 0;
    }
    must_hold(r.checked == read.events.size(), "each event is checked");
    must_hold(r.checked <= size, "no more events than bytes");
    must_hold(r.findings.size() <= trace::most_findings, "not too much is told");
    must_hold(std::ranges::is_sorted(read.events, {}, &trace::event::number),
              "events come by their numbers");
    for (const trace::finding& f : r.findings) {
        must_hold(!f.rule.empty() && !f.text.empty(), "a finding says what is wrong");
    }
    must_hold(to_text(trace::check(bytes)) == to_text(r), "the same bytes, the same result");
    return 0;
}
