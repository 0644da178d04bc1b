// What people read of contexts: errors, and how one was made (CTX-29).
//
// Stack: goroutine, or an ordinary thread's.
#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <vector>

#include <vole/detail/context_base.hpp>

#include "runtime/internal/never_destroyed.hpp"

namespace vole::inline v0 {

using namespace detail;

// ---- errors -----------------------------------------------------------------------------------

namespace {

class category final : public std::error_category {
  public:
    const char* name() const noexcept override { return "context"; }
    std::string message(int e) const override {
        return e == static_cast<int>(context_errc::canceled) ? "context canceled"
               : e == static_cast<int>(context_errc::deadline_exceeded)
                   ? "context deadline exceeded"
                   : "unknown context error";
    }
    std::error_condition default_error_condition(int e) const noexcept override {
        if (e == static_cast<int>(context_errc::canceled)) return std::errc::operation_canceled;
        if (e == static_cast<int>(context_errc::deadline_exceeded)) return std::errc::timed_out;
        return {e, *this};
    }
};

}  // namespace

const std::error_category& context_category() noexcept {
    return detail::never_destroyed<category>();
}

// ---- how one was made -------------------------------------------------------------------------

std::string detail::type_text(const std::type_info& type) {
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> plain{
        abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), std::free};
    return plain != nullptr ? plain.get() : type.name();
}

std::string detail::context_text(const context_node* node) {
    std::vector<const context_node*> chain;
    for (; node != nullptr; node = node->parent) chain.push_back(node);
    std::string text;
    for (; !chain.empty(); chain.pop_back()) chain.back()->kind->describe(chain.back(), text);
    return text;
}

namespace {
constinit const context_kind background_kind{
    nullptr, [](const context_node*, std::string& to) { to += "context.Background"; }, nullptr};
constinit const context_kind todo_kind{
    nullptr, [](const context_node*, std::string& to) { to += "context.TODO"; }, nullptr};
}  // namespace

constinit context_node detail::background_context{{}, &background_kind, nullptr, nullptr, nullptr};
constinit context_node detail::todo_context{{}, &todo_kind, nullptr, nullptr, nullptr};

}  // namespace vole
