// select: waits for one of several channel operations and carries it out.
//
//   std::size_t i = vole::select(
//       vole::on_recv(jobs, [&](std::optional<job> j) { ... }),    // nullopt: closed
//       vole::on_send(results, r, [&] { ... }),
//       vole::otherwise([&] { ... }));                             // nothing was ready
//
// Among several ready cases one is chosen at random, each as likely. Nil channels are never ready.
// `otherwise` is taken only if at one moment no case was ready; without it select waits. Callbacks
// may be omitted, may take no argument, and run after all locks are released; what they throw
// leaves select. A value given to on_send is moved from only if its case is taken.
// The result is the position of the case among the arguments.
//
// Semantics: Go's select statement. Cases are meant to be written in the call: they refer to their
// arguments.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include <vole/chan.hpp>

namespace vole::inline v0 {

namespace detail {

struct no_callback {
    void operator()() const noexcept {}
};

/// Calls f with what it takes: the argument, or nothing.
template <class F, class A>
void call_with(F& f, A&& a) {
    if constexpr (std::is_invocable_v<F&, A&&>) {
        f(std::forward<A>(a));
    } else {
        static_assert(std::is_invocable_v<F&>,
                      "the callback of on_recv takes std::optional<T> (bool for chan<void>), or "
                      "nothing");
        f();
    }
}

template <class T, class F>
class recv_case {
  public:
    static constexpr bool is_default = false;
    recv_case(chan_core* c, F f) : c_(c), f_(std::move(f)) {}

    void prepare(select_case& s) noexcept {
        s.c = c_;
        if constexpr (!std::is_void_v<T>) s.elem = slot_.get();
        s.send = false;
    }
    void abandon() noexcept {}
    void fire(const select_case& s) {
        if constexpr (std::is_void_v<T>) {
            call_with(f_, static_cast<bool>(s.ok));
        } else {
            call_with(f_, s.ok ? element<T>::take(c_, slot_) : std::optional<T>());
        }
    }

  private:
    struct nothing {};
    template <class U>
    struct slot_of {
        using type = typename element<U>::slot;
    };
    using slot = typename std::conditional_t<std::is_void_v<T>, std::type_identity<nothing>,
                                             slot_of<T>>::type;
    chan_core* c_;
    F f_;
    [[no_unique_address]] slot slot_;
};

/// Source is `const V&` or `V&&`.
template <class V, class Source, class F>
class send_case {
  public:
    static constexpr bool is_default = false;
    send_case(chan_core* c, Source v, F f) : c_(c), v_(std::forward<Source>(v)), f_(std::move(f)) {}

    void prepare(select_case& s) {
        s.c = c_;
        s.send = true;
        if (c_ == nullptr) return;
        out_.emplace(std::forward<Source>(v_));
        s.elem = const_cast<void*>(out_->bytes());
    }
    void abandon() noexcept { out_.reset(); }
    void fire(const select_case&) {
        out_->sent();
        f_();
    }

  private:
    chan_core* c_;
    Source v_;
    F f_;
    std::optional<outgoing<V>> out_;
};

template <class F>
class send_void_case {
  public:
    static constexpr bool is_default = false;
    send_void_case(chan_core* c, F f) : c_(c), f_(std::move(f)) {}
    void prepare(select_case& s) noexcept {
        s.c = c_;
        s.send = true;
    }
    void abandon() noexcept {}
    void fire(const select_case&) { f_(); }

  private:
    chan_core* c_;
    F f_;
};

template <class F>
class default_case {
  public:
    static constexpr bool is_default = true;
    explicit default_case(F f) : f_(std::move(f)) {}
    void prepare(select_case&) noexcept {}
    void abandon() noexcept {}
    void fire(const select_case&) { f_(); }

  private:
    F f_;
};

template <class C>
concept receivable = requires(const C& c) {
    typename C::value_type;
    c.core();
    c.try_recv();
};
template <class C>
concept sendable = requires(const C& c) {
    typename C::value_type;
    c.core();
    c.close();
};

}  // namespace detail

/// Receive from c, then f(std::optional<T>), f(bool) for chan<void>, or f().
template <detail::receivable C, class F = detail::no_callback>
auto on_recv(const C& c, F f = {}) {
    return detail::recv_case<typename C::value_type, F>(c.core(), std::move(f));
}

/// Send v to c, then f().
template <detail::sendable C, class U, class F = detail::no_callback>
    requires(!std::is_void_v<typename C::value_type> &&
             std::is_constructible_v<typename C::value_type, U>)
auto on_send(const C& c, U&& v, F f = {}) {
    using V = typename C::value_type;
    if constexpr (std::is_same_v<std::remove_cvref_t<U>, V>) {
        using source = std::conditional_t<std::is_same_v<U&&, V&&>, V&&, const V&>;
        return detail::send_case<V, source, F>(c.core(), std::forward<U>(v), std::move(f));
    } else {
        // Converted in the caller, before anything else.
        return detail::send_case<V, V, F>(c.core(), V(std::forward<U>(v)), std::move(f));
    }
}

/// Send on a chan<void>, then f().
template <detail::sendable C, class F = detail::no_callback>
    requires(std::is_void_v<typename C::value_type>)
auto on_send(const C& c, F f = {}) { return detail::send_void_case<F>(c.core(), std::move(f)); }

/// The case for "none of the others is ready now".
template <class F = detail::no_callback>
auto otherwise(F f = {}) {
    return detail::default_case<F>(std::move(f));
}

/// See the head of this file. Without cases it waits for ever.
template <class... Cases>
std::size_t select(Cases&&... cases) {
    constexpr std::size_t n = sizeof...(Cases);
    constexpr std::size_t defaults =
        (std::size_t{0} + ... + std::size_t{std::remove_cvref_t<Cases>::is_default});
    static_assert(defaults <= 1, "select: more than one otherwise");
    // One slot more than needed, so that select() without cases has arrays too.
    std::array<detail::select_case, n + 1> ops{};
    std::array<detail::select_waiter, n + 1> waiters;
    std::array<std::uint32_t, n + 1> poll;
    std::array<std::uint32_t, n + 1> order;

    std::size_t i = 0;
    std::size_t default_at = 0;
    ((std::remove_cvref_t<Cases>::is_default ? void(default_at = i) : cases.prepare(ops[i]), ++i),
     ...);
    std::size_t taken = detail::chan_select(ops.data(), n, defaults == 1, waiters.data(),
                                            poll.data(), order.data());
    if (taken == detail::select_default) taken = default_at;
    // Values that were not sent are back with their owners before any callback runs.
    i = 0;
    ((i++ == taken ? void() : cases.abandon()), ...);
    i = 0;
    ((i++ == taken ? cases.fire(ops[taken]) : void()), ...);
    return taken;
}

/// select for a number of cases that is known only at run time. Add cases, then call select(), as
/// often as wanted: receive cases stay; a send case whose value was sent is never ready again.
/// Not for use by two goroutines at once.
class selector {
  public:
    selector() = default;
    selector(selector&&) = default;
    selector& operator=(selector&&) = default;

    /// Each gives the index of the new case. f as for on_recv and on_send.
    template <detail::receivable C, class F = detail::no_callback>
    std::size_t recv(const C& c, F f = {}) {
        return add(std::make_shared<recv_entry<C, F>>(c, std::move(f)));
    }
    template <detail::sendable C, class U, class F = detail::no_callback>
        requires(!std::is_void_v<typename C::value_type>)
    std::size_t send(const C& c, U&& v, F f = {}) {
        return add(std::make_shared<send_entry<C, F>>(c, std::forward<U>(v), std::move(f)));
    }
    template <detail::sendable C, class F = detail::no_callback>
        requires(std::is_void_v<typename C::value_type>)
    std::size_t send(const C& c, F f = {}) {
        return add(std::make_shared<send_void_entry<C, F>>(c, std::move(f)));
    }
    /// Throws runtime_error "reflect.Select: multiple default cases" for a second one.
    template <class F = detail::no_callback>
    std::size_t otherwise(F f = {}) {
        if (default_at_ != detail::select_default) {
            throw runtime_error("reflect.Select: multiple default cases");
        }
        default_at_ = add(std::make_shared<default_entry<F>>(std::move(f)));
        return default_at_;
    }

    /// As vole::select; the index of the case taken.
    std::size_t select() {
        const std::size_t n = entries_.size();
        ops_.assign(n, {});
        waiters_.resize(n);
        order_.resize(2 * n);
        for (std::size_t i = 0; i < n; ++i) entries_[i]->prepare(ops_[i]);
        std::size_t taken =
            detail::chan_select(ops_.data(), n, default_at_ != detail::select_default,
                                waiters_.data(), order_.data(), order_.data() + n);
        if (taken == detail::select_default) taken = default_at_;
        // Held by value: f may clear this selector.
        std::shared_ptr<entry> chosen = entries_[taken];
        const detail::select_case op = ops_[taken];
        chosen->fire(op);
        return taken;
    }

    std::size_t size() const noexcept { return entries_.size(); }
    void clear() noexcept {
        entries_.clear();
        default_at_ = detail::select_default;
    }

  private:
    struct entry {
        virtual ~entry() = default;
        virtual void prepare(detail::select_case& s) = 0;
        virtual void fire(const detail::select_case& s) = 0;
    };
    template <class C, class F>
    struct recv_entry final : entry {
        recv_entry(const C& c, F f) : handle(c), op(c.core(), std::move(f)) {}
        void prepare(detail::select_case& s) override { op.prepare(s); }
        void fire(const detail::select_case& s) override { op.fire(s); }
        C handle;
        detail::recv_case<typename C::value_type, F> op;
    };
    template <class C, class F>
    struct send_entry final : entry {
        using V = typename C::value_type;
        template <class U>
        send_entry(const C& c, U&& v, F callback)
            : handle(c), value(std::forward<U>(v)), f(std::move(callback)) {}
        void prepare(detail::select_case& s) override {
            s.c = sent ? nullptr : handle.core();
            s.send = true;
            if (sent) return;
            if (!out) out = std::make_unique<detail::outgoing<V>>(std::move(value));
            s.elem = const_cast<void*>(out->bytes());
        }
        void fire(const detail::select_case&) override {
            sent = true;
            out->sent();
            f();
        }
        C handle;
        V value;
        std::unique_ptr<detail::outgoing<V>> out;
        F f;
        bool sent = false;
    };
    template <class C, class F>
    struct send_void_entry final : entry {
        send_void_entry(const C& c, F f) : handle(c), op(c.core(), std::move(f)) {}
        void prepare(detail::select_case& s) override {
            op.prepare(s);
            if (sent) s.c = nullptr;
        }
        void fire(const detail::select_case& s) override {
            sent = true;
            op.fire(s);
        }
        C handle;
        detail::send_void_case<F> op;
        bool sent = false;
    };
    template <class F>
    struct default_entry final : entry {
        explicit default_entry(F f) : op(std::move(f)) {}
        void prepare(detail::select_case&) override {}
        void fire(const detail::select_case& s) override { op.fire(s); }
        detail::default_case<F> op;
    };

    std::size_t add(std::shared_ptr<entry> e) {
        entries_.push_back(std::move(e));
        return entries_.size() - 1;
    }

    std::vector<std::shared_ptr<entry>> entries_;
    std::vector<detail::select_case> ops_;
    std::vector<detail::select_waiter> waiters_;
    std::vector<std::uint32_t> order_;
    std::size_t default_at_ = detail::select_default;
};

}  // namespace vole
