// Contexts, but for those with deadlines, which need timers: <vole/context.hpp> has all of it, and says what
// they are for.
//
// A context is a handle on a node. Nodes hold their parents, parents know those children that are to be
// cancelled with them, without holding them: a child that nobody refers to leaves, as one does that has been cancelled.
// There is no goroutine behind a context.
//
// Each node knows the nearest one, itself or above, that can be cancelled, and the nearest with a value: so
// done(), err() and deadline() take one step however long the chain, and value() one for each value.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include <vole/chan.hpp>
#include <vole/detail/atomic.hpp>
#include <vole/detail/callable.hpp>
#include <vole/detail/object_cache.hpp>
#include <vole/detail/panic_text.hpp>
#include <vole/detail/spawn.hpp>

namespace vole::inline v0 {

// <vole/time.hpp>. A time point of it is complete without it, so deadline() need not wait for the floor above.
class clock;

/// Why a context is done: what err() gives. deadline_exceeded equals std::errc::timed_out, canceled
/// std::errc::operation_canceled.
enum class context_errc : unsigned char { canceled = 1, deadline_exceeded = 2 };

/// "context canceled", "context deadline exceeded".
const std::error_category& context_category() noexcept;
inline std::error_code make_error_code(context_errc e) noexcept {
    return {static_cast<int>(e), context_category()};
}

}  // namespace vole

template <>
struct std::is_error_code_enum<vole::context_errc> : std::true_type {};

namespace vole::inline v0 {

namespace detail {

struct context_node;
struct cancel_node;

/// One for each sort of node.
struct context_kind {
    /// Frees it; its claim on the parent is the caller's. May run user code.
    void (*destroy)(context_node*) noexcept;
    /// What to_string() says of it behind its parent.
    void (*describe)(const context_node*, std::string& to);
    /// It is being cancelled: stops what would cancel it. Null: nothing to do.
    void (*canceled)(cancel_node*);
};

struct value_node;

struct context_node : cached_object {
    const context_kind* kind;
    context_node* parent;   // held; null: a root, which lives for ever and is not counted
    cancel_node* canceler;  // the nearest that can be cancelled, or null; held through parent
    value_node* values;     // the nearest with a value, or null; likewise
    atomic<std::uint32_t> refs{1};
};

struct value_node : context_node {
    std::uint64_t hash = 0;  // of the key's name: most that are not the same differ here
    const std::type_info* key = nullptr;
    const void* value = nullptr;  // in the same object
};

template <class Key>
constexpr std::uint64_t hash_name() noexcept {
    std::uint64_t hash = 14695981039346656037U;  // FNV-1a
    for (const char c : std::string_view(__PRETTY_FUNCTION__)) {
        hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
    }
    return hash;
}
template <class Key>
inline constexpr std::uint64_t key_hash = hash_name<Key>();

extern context_node background_context;
extern context_node todo_context;

inline void retain_context(context_node* n) noexcept {
    // relaxed: the new reference comes from one that keeps the node alive.
    if (n->parent != nullptr) n->refs.fetch_add(1, memory_order_relaxed);
}
/// May run user code: destructors of values.
void release_context(context_node* n) noexcept;

[[noreturn]] void throw_nil_context();
[[noreturn]] void throw_nil_parent();

// Of one that is not null.
chan_core* context_done(context_node* n);  // with a reference; null: never done
std::error_code context_err(const context_node* n) noexcept;
std::exception_ptr context_cause(const context_node* n);
std::int64_t context_deadline(const context_node* n) noexcept;  // INT64_MAX: none
std::string context_text(const context_node* n);
std::string type_text(const std::type_info& type);

}  // namespace detail

class context;
class cancel_func;
class cancel_cause_func;

namespace detail {

template <class Key>
struct context_value {
    using type = Key;
};
template <class Key>
    requires requires { typename Key::value_type; }
struct context_value<Key> {
    using type = typename Key::value_type;
};

}  // namespace detail

/// What with_value<Key> holds: Key::value_type if there is such a type, else a Key.
template <class Key>
using context_value_t = typename detail::context_value<Key>::type;

/// A cheap shared handle: copies are the same context. Any number of goroutines and threads may use one at once.
/// A default-constructed one is no context: it can be assigned to and compared; all else throws runtime_error.
class context {
  public:
    context() noexcept = default;

    /// The roots: never done, without values. todo() is for where it is not clear yet which context to use.
    [[nodiscard]] static context background() noexcept {
        return context(&detail::background_context);
    }
    [[nodiscard]] static context todo() noexcept { return context(&detail::todo_context); }

    /// Closed when the context is done; the same channel each time. Nil if that can never be.
    /// It belongs to the bubble that the context was made in. Throws std::bad_alloc.
    [[nodiscard]] recv_chan<void> done() const {
        return recv_chan<void>(chan<void>(detail::context_done(node_or_throw())));
    }

    /// None until it is done, then one of context_errc for ever. Never none once done() was found closed, and
    /// never something before done() is.
    [[nodiscard]] std::error_code err() const { return detail::context_err(node_or_throw()); }

    /// Why it is done: what was given to the cancel function or to with_deadline_cause, its own or that of the
    /// context above that was done first. Else, a std::system_error that holds err(). Null until it is done.
    [[nodiscard]] std::exception_ptr cause() const {
        return detail::context_cause(node_or_throw());
    }

    /// When it will be done at the latest; none: no deadline.
    [[nodiscard]] std::optional<std::chrono::time_point<clock, std::chrono::nanoseconds>>
    deadline() const {
        const std::int64_t ns = detail::context_deadline(node_or_throw());
        if (ns == INT64_MAX) return std::nullopt;
        return std::chrono::time_point<clock, std::chrono::nanoseconds>(
            std::chrono::nanoseconds(ns));
    }

    /// The nearest value for Key, or null. Lives as long as this context, and its children, do.
    template <class Key>
    [[nodiscard]] const context_value_t<Key>* value() const {
        for (const detail::value_node* v = node_or_throw()->values; v != nullptr;
             v = v->parent->values) {
            // The same key in another shared library has another type_info, which is equal all the same.
            if (v->hash == detail::key_hash<Key> && *v->key == typeid(Key))
                return static_cast<const context_value_t<Key>*>(v->value);
        }
        return nullptr;
    }

    /// For people: how it was made, "context.Background.WithCancel" for instance.
    [[nodiscard]] std::string to_string() const { return detail::context_text(node_or_throw()); }

    /// Whether they are the same.
    friend bool operator==(const context& a, const context& b) noexcept {
        return a.node_ == b.node_;
    }
    explicit operator bool() const noexcept { return node_ != nullptr; }

    context(const context& other) noexcept : node_(other.node_) {
        if (node_ != nullptr) detail::retain_context(node_);
    }
    context(context&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
    context& operator=(context other) noexcept {
        std::swap(node_, other.node_);
        return *this;
    }
    ~context() {
        if (node_ != nullptr) detail::release_context(node_);
    }

    /// Of the library: takes over one reference.
    explicit context(detail::context_node* n) noexcept : node_(n) {}
    detail::context_node* node() const noexcept { return node_; }

  private:
    detail::context_node* node_or_throw() const {
        if (node_ == nullptr) [[unlikely]]
            detail::throw_nil_context();
        return node_;
    }

    detail::context_node* node_ = nullptr;
};

namespace detail {

inline context_node* parent_node(const context& parent) {
    if (!parent) throw_nil_parent();
    return parent.node();
}

void cancel_context(context_node* n, const std::exception_ptr& cause) noexcept;
std::exception_ptr as_exception(std::error_code e);

}  // namespace detail

/// Cancels its context, and all that were derived from it: they are done when the first call returns. Later calls, and
/// calls for one that is done already, change nothing. From anywhere; does not wait for anybody. A cheap shared handle; it
/// keeps the context alive. Happens-before: the call -> done() is found closed.
class cancel_func {
  public:
    cancel_func() noexcept = default;  ///< cancels nothing
    void operator()() const noexcept {
        if (of_) detail::cancel_context(of_.node(), nullptr);
    }

    explicit cancel_func(context of) noexcept : of_(std::move(of)) {}

  private:
    context of_;
};

/// The same, with a cause.
class cancel_cause_func {
  public:
    cancel_cause_func() noexcept = default;
    /// Null, or no error: the cause is that it was cancelled.
    void operator()(const std::exception_ptr& cause = nullptr) const noexcept {
        if (of_) detail::cancel_context(of_.node(), cause);
    }
    void operator()(std::error_code cause) const {
        if (of_) detail::cancel_context(of_.node(), detail::as_exception(cause));
    }

    explicit cancel_cause_func(context of) noexcept : of_(std::move(of)) {}

  private:
    context of_;
};

// All that make contexts throw runtime_error "cannot create context from nil parent", and std::bad_alloc. One
// whose parent is done is done at once, for the same reason.

/// A context that is done when the function is called, or when the parent is.
[[nodiscard]] std::pair<context, cancel_func> with_cancel(const context& parent);
[[nodiscard]] std::pair<context, cancel_cause_func> with_cancel_cause(const context& parent);

/// One with the parent's values that is never done, whatever happens to the parent.
[[nodiscard]] context without_cancel(const context& parent);

namespace detail {

template <class V>
std::string value_text(const V& value) {
    if constexpr (std::is_same_v<V, const char*> || std::is_same_v<V, char*>) {
        if (value == nullptr) return "<nil>";
    }
    return panic_text(value);
}

template <class V>
struct value_holder final : value_node {
    template <class... A>
    explicit value_holder(A&&... a) : value_node{}, v(std::forward<A>(a)...) {
        kind = &kind_of;
        values = this;
        value = std::addressof(v);
    }

    static constexpr context_kind kind_of{
        [](context_node* n) noexcept { delete static_cast<value_holder*>(n); },
        [](const context_node* n, std::string& to) {
            const auto* self = static_cast<const value_holder*>(n);
            to += ".WithValue(" + type_text(*self->key) + ", " + value_text(self->v) + ")";
        },
        nullptr};
    V v;
};

}  // namespace detail

/// The parent, with a value for Key that hides those above it. Other keys, and the end, are the parent's. Keys are
/// types: make your own, so that nobody else can use the same.
///
///     struct user { std::string name; };                     // the key is the value's type
///     struct trace_id { using value_type = std::uint64_t; };  // or names it
///     auto inner = vole::with_value<user>(ctx, "gopher");
///     inner.value<user>()->name;
template <class Key, class... A>
    requires(std::constructible_from<context_value_t<Key>, A...> ||
             requires(A && ... a) { context_value_t<Key>{std::forward<A>(a)...}; })
[[nodiscard]] context with_value(const context& parent, A&&... value) {
    using V = context_value_t<Key>;
    detail::context_node* above = detail::parent_node(parent);
    detail::value_holder<V>* n = nullptr;
    if constexpr (std::constructible_from<V, A...>) {
        n = new detail::value_holder<V>(std::forward<A>(value)...);
    } else {
        n = new detail::value_holder<V>(V{std::forward<A>(value)...});
    }
    n->hash = detail::key_hash<Key>;
    n->key = &typeid(Key);
    n->canceler = above->canceler;
    n->parent = above;
    detail::retain_context(above);
    return context(n);
}

// ---- after_func -------------------------------------------------------------------------------

namespace detail {

/// What is to be told of a cancellation, in the list of the node that may be cancelled, under that node's lock.
struct context_child {
    enum class type : std::uint8_t { context, func, waiter };

    enum class place : std::uint8_t {
        outside,
        in_list,
        in_walk  // taken out by somebody who is about to cancel it: it must not be freed
    };

    explicit constexpr context_child(type t) noexcept : what(t) {}
    context_child* prev = nullptr;
    context_child* next = nullptr;
    atomic<place> where{
        place::outside};  // changed under the list's lock, but for the end of a walk
    type what;
};

/// A function that waits for a context. Who sets `over` first, the end of the context or stop(), owns the
/// registration: the reference that comes with it, the context, and whether f is called or destroyed.
struct context_func : context_child, cached_object {
    struct functions {
        void (*call)(context_func*);
        void (*end)(context_func*) noexcept;      // destroys f
        void (*destroy)(context_func*) noexcept;  // frees the memory
    };
    explicit context_func(const functions& f) noexcept : context_child(type::func), of(f) {}

    const functions& of;
    context_node* ctx = nullptr;    // held
    atomic<std::uint32_t> refs{1};  // the handles, and the registration
    atomic<bool> over{false};
};

void start_context_func(context_func* f, const context& ctx);
bool stop_context_func(context_func* f) noexcept;
void release_context_func(context_func* f) noexcept;

template <class F>
struct context_func_of final : context_func {
    template <class G>
    explicit context_func_of(G&& g)
        : context_func(functions_of), f(std::in_place, std::forward<G>(g)) {}

    static constexpr functions functions_of{
        [](context_func* c) { std::invoke(*static_cast<context_func_of*>(c)->f); },
        [](context_func* c) noexcept { static_cast<context_func_of*>(c)->f.reset(); },
        [](context_func* c) noexcept { delete static_cast<context_func_of*>(c); }};
    std::optional<F> f;
};

}  // namespace detail

/// Takes back an after_func(). A cheap shared handle; dropping it takes nothing back.
class stop_func {
  public:
    stop_func() noexcept = default;  ///< stops nothing

    /// True: this call has prevented f from being called, and destroyed it. False: f has been started, or
    /// stopped before. Does not wait for f to end.
    bool operator()() const noexcept { return f_ != nullptr && detail::stop_context_func(f_); }
    bool stop() const noexcept { return (*this)(); }

    stop_func(const stop_func& other) noexcept : f_(other.f_) {
        if (f_ != nullptr) f_->refs.fetch_add(1, detail::memory_order_relaxed);
    }
    stop_func(stop_func&& other) noexcept : f_(std::exchange(other.f_, nullptr)) {}
    stop_func& operator=(stop_func other) noexcept {
        std::swap(f_, other.f_);
        return *this;
    }
    ~stop_func() {
        if (f_ != nullptr) detail::release_context_func(f_);
    }

    /// Of the library: takes over one reference.
    explicit stop_func(detail::context_func* f) noexcept : f_(f) {}

  private:
    detail::context_func* f_ = nullptr;
};

/// Calls f(), once, in a goroutine of its own, when ctx is done; at once if it is. Until then, or until
/// stop(), f and ctx are kept alive. When the call that cancelled ctx has returned, the goroutine exists; it is not waited for.
/// An exception that leaves f is that goroutine's uncaught panic. Throws runtime_error for a null f or ctx, and
/// std::bad_alloc.
template <class F>
    requires(std::is_invocable_v<std::decay_t<F>&>)
stop_func after_func(const context& ctx, F&& f) {
    if (!ctx) detail::throw_nil_context();
    if (detail::is_nil_callable(f)) detail::throw_nil_func();
    auto* registered = new detail::context_func_of<std::decay_t<F>>(std::forward<F>(f));
    stop_func handle(registered);
    detail::start_context_func(registered, ctx);
    return handle;
}

}  // namespace vole
