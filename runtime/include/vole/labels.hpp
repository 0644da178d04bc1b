// Labels: words about what a goroutine works for, for whoever looks at it from outside. Semantics follow Go's
// runtime/pprof labels.
//
//     vole::with_labels({{"tenant", name}, {"route", "/search"}}, [&] { serve(request); });
//
// They are inherited by the goroutines that are started meanwhile, shown by write_traceback() ("goroutine 7 [chan
// receive]: worker {route: /search, tenant: ann}"), in reports of panics, and by gdb, and keep equal stacks with other labels
// apart in profiles.
// Programs cannot read them back: what a program needs to know travels in arguments and contexts.
#pragma once

#include <initializer_list>
#include <string_view>
#include <type_traits>
#include <utility>

#include <vole/config.hpp>

namespace vole::inline v0 {

namespace detail {
struct label_node;
}

/// An immutable set of labels, ordered by key. Copying it counts a reference. Any thread.
class labels {
  public:
    using pair = std::pair<std::string_view, std::string_view>;

    labels() noexcept = default;
    /// Of two with the same key, the later one counts. Throws std::invalid_argument when a key is empty, a key or value
    /// contains a NUL, or keys and values together take more than 2000 bytes; std::bad_alloc.
    labels(std::initializer_list<pair> pairs) : labels(labels(), pairs) {}

    /// These, and those, which count where a key is in both. Throws as the constructor.
    labels with(std::initializer_list<pair> pairs) const { return labels(*this, pairs); }
    labels with(const labels& others) const;

    bool empty() const noexcept { return node_ == nullptr; }

    labels(const labels& other) noexcept;
    labels(labels&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
    labels& operator=(labels other) noexcept {
        std::swap(node_, other.node_);
        return *this;
    }
    ~labels();

    /// The sets' owner is the caller: for the runtime's own use.
    static labels adopt(detail::label_node* node) noexcept { return labels(node); }
    detail::label_node* node() const noexcept { return node_; }

  private:
    explicit labels(detail::label_node* node) noexcept : node_(node) {}
    labels(const labels& base, std::initializer_list<pair> pairs);
    detail::label_node* node_ = nullptr;
};

/// The calling goroutine has these from now on, instead of those it has; none, if they are empty. Does not block. No effect
/// on ordinary threads. Throws std::bad_alloc; then nothing has changed.
void set_goroutine_labels(const labels& l);

namespace detail {
/// The calling goroutine's.
labels goroutine_labels() noexcept;

class label_scope {
  public:
    explicit label_scope(const labels& more) : before_(goroutine_labels()) {
        set_goroutine_labels(before_.with(more));
    }
    ~label_scope();
    label_scope(const label_scope&) = delete;
    label_scope& operator=(const label_scope&) = delete;

  private:
    labels before_;
};
}  // namespace detail

/// Calls f with these labels beside those that the goroutine has, which are restored after it, however it ends. What f gives
/// and throws is passed on. Throws as labels::with.
template <class F>
auto with_labels(const labels& l, F&& f) -> std::invoke_result_t<F> {
    const detail::label_scope scope(l);
    return std::forward<F>(f)();
}

}  // namespace vole
