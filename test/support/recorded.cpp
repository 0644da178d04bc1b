// See recorded.hpp.
#include "test/support/recorded.hpp"

namespace vole::test {

recorded::recorded(std::uint64_t events_each, const char* crash_file)
    : on_(detail::start_recording(events_each, crash_file)) {}

recorded::~recorded() {
    if (on_) detail::stop_recording();
}

trace::result recorded::finish() {
    trace::result none;
    none.unreadable = "nothing was recorded";
    if (!on_) return none;
    on_ = false;
    detail::stop_recording();
    const bool emitted = detail::emit_recording(
        0,
        [](void* to, const void* data, std::size_t n) {
            auto& bytes = *static_cast<std::vector<std::byte>*>(to);
            const auto* first = static_cast<const std::byte*>(data);
            bytes.insert(bytes.end(), first, first + n);
            return true;
        },
        &bytes_);
    return emitted ? trace::check(bytes_) : none;
}

}  // namespace vole::test
