// Channels. Semantics are Go's (language specification, and runtime/chan.go's behaviour): FIFO
// values and FIFO waiters, rendezvous without a buffer, close wakes everybody.
//
// A chan<T> is a cheap shared handle; a default-constructed one is the nil channel. Any number of
// goroutines and ordinary threads may use one channel at once; an operation that waits parks the
// goroutine (or blocks the thread). No lock is held while a constructor or destructor of T runs.
//
// T may be move-only, need not be default-constructible or assignable, may be void. A value that is
// trivially copyable is copied straight from sender to receiver; any other is moved twice, into a
// heap node in the sender and out of it in the receiver. If T's move throws in the sender, the
// channel is unchanged; if it throws in the receiver, the value goes back to the channel's head and
// the sender, if it was parked, counts as having sent.
//
// Destroying the last handle destroys buffered values; it is not a close.
#pragma once

#include <cstddef>
#include <exception>
#include <iterator>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include <vole/detail/chan_core.hpp>
#include <vole/panic.hpp>

namespace vole::inline v0 {

template <class T>
class chan;
template <class T>
class send_chan;
template <class T>
class recv_chan;

/// What try_recv found: a value, a closed and drained channel, or nothing yet.
template <class T>
class recv_result {
  public:
    bool is_value() const noexcept { return value_.has_value(); }
    bool is_closed() const noexcept { return closed_; }
    bool is_empty() const noexcept { return !is_value() && !closed_; }
    explicit operator bool() const noexcept { return is_value(); }

    T& operator*() & noexcept { return *value_; }
    const T& operator*() const& noexcept { return *value_; }
    T&& operator*() && noexcept { return std::move(*value_); }
    T* operator->() noexcept { return &*value_; }
    const T* operator->() const noexcept { return &*value_; }
    /// Throws std::bad_optional_access without a value.
    T& value() & { return value_.value(); }
    T&& value() && { return std::move(value_).value(); }

    /// Nothing, or closed.
    explicit recv_result(bool closed) noexcept : closed_(closed) {}
    /// What `make` gives, a std::optional<T>, constructed in place: a move that throws happens
    /// once, where it can still be undone.
    template <class Make>
        requires(std::is_invocable_r_v<std::optional<T>, Make>)
    explicit recv_result(Make&& make) : value_(make()) {}

  private:
    std::optional<T> value_;
    bool closed_ = false;
};

template <>
class recv_result<void> {
  public:
    bool is_value() const noexcept { return status_ == detail::try_status::done; }
    bool is_closed() const noexcept { return status_ == detail::try_status::closed; }
    bool is_empty() const noexcept { return status_ == detail::try_status::not_ready; }
    explicit operator bool() const noexcept { return is_value(); }

    explicit recv_result(detail::try_status s) noexcept : status_(s) {}

  private:
    detail::try_status status_;
};

namespace detail {

template <class V>
struct box : box_base {
    template <class U>
    explicit box(U&& u) : value(std::forward<U>(u)) {}
    V value;
};

/// How elements of type V travel. V has no cv-qualifiers.
template <class V>
struct element {
    static constexpr bool boxed =
        !(std::is_trivially_copyable_v<V> && std::is_trivially_destructible_v<V>);
    static constexpr bool empty = !boxed && std::is_empty_v<V>;
    static constexpr std::size_t size = boxed ? sizeof(void*) : empty ? 0 : sizeof(V);
    static constexpr std::size_t align = boxed ? alignof(void*) : alignof(V);

    /// Where a receive puts its bytes.
    struct slot {
        alignas(align) std::byte bytes[size == 0 ? 1 : size];
        void* get() noexcept { return bytes; }
    };

    /// Turns received bytes into a value. What V's move throws, the channel gets the value back.
    static std::optional<V> take(chan_core* c, slot& s) {
        if constexpr (!boxed) {
            return std::optional<V>(std::in_place,
                                    std::move(*std::launder(reinterpret_cast<V*>(s.bytes))));
        } else {
            box<V>* b = unpack(s);
            if constexpr (std::is_nothrow_move_constructible_v<V>) {
                std::unique_ptr<box<V>> owner(b);
                return std::optional<V>(std::in_place, std::move(b->value));
            } else {
                struct guard {
                    chan_core* c;
                    box<V>* b;
                    int exceptions = std::uncaught_exceptions();
                    ~guard() {
                        if (std::uncaught_exceptions() == exceptions) {
                            delete b;
                        } else {
                            chan_put_back(c, b);
                        }
                    }
                } g{c, b};
                // Constructed where the caller wants it: no second move that could throw.
                return std::optional<V>(std::in_place, std::move(b->value));
            }
        }
    }

    static void drop(slot& s) noexcept {
        if constexpr (boxed) delete unpack(s);
    }

    static box<V>* unpack(slot& s) noexcept {
        box_base* base = nullptr;
        __builtin_memcpy(&base, s.bytes, sizeof(base));
        return static_cast<box<V>*>(base);
    }
};

/// A value on its way into a channel. If it does not get in, it goes back where it came from.
template <class V>
class outgoing {
  public:
    using E = element<V>;

    explicit outgoing(const V& v) : source_(nullptr) {
        if constexpr (E::boxed) {
            box_ = new box<V>(v);
        } else {
            box_ = &v;
        }
    }
    explicit outgoing(V&& v) : source_(&v) {
        if constexpr (E::boxed) {
            box_ = new box<V>(std::move(v));
        } else {
            box_ = &v;
        }
    }
    outgoing(const outgoing&) = delete;
    outgoing& operator=(const outgoing&) = delete;
    ~outgoing() {
        if constexpr (E::boxed) {
            if (box_ == nullptr) return;
            if (source_ != nullptr) give_back();
            delete box_;
        }
    }

    const void* bytes() noexcept {
        if constexpr (E::boxed) {
            base_ = box_;
            return &base_;
        } else {
            return box_;
        }
    }
    void sent() noexcept {
        if constexpr (E::boxed) box_ = nullptr;
    }

  private:
    void give_back() noexcept {
        if constexpr (std::is_nothrow_move_assignable_v<V>) {
            *source_ = std::move(box_->value);
        } else if constexpr (std::is_nothrow_move_constructible_v<V>) {
            std::destroy_at(source_);
            std::construct_at(source_, std::move(box_->value));
        }
        // A move that may throw is not risked here: then the argument stays moved from.
    }

    std::conditional_t<E::boxed, box<V>*, const V*> box_;
    V* source_;
    box_base* base_ = nullptr;
};

/// The shared handle under all views of a channel.
template <class T>
class chan_ref {
    static_assert(!std::is_reference_v<T>, "vole::chan<T&>: send a pointer or a reference_wrapper");

  public:
    using value_type = std::remove_cv_t<T>;

    constexpr chan_ref() noexcept = default;
    explicit chan_ref(chan_core* c) noexcept : core_(c) {}
    chan_ref(const chan_ref& other) noexcept : core_(other.core_) {
        // relaxed: the new reference comes from one that keeps the channel alive.
        if (core_ != nullptr) core_->refs.fetch_add(1, memory_order_relaxed);
    }
    chan_ref(chan_ref&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
    chan_ref& operator=(chan_ref other) noexcept {
        std::swap(core_, other.core_);
        return *this;
    }
    ~chan_ref() {
        // acq_rel: whoever destroys the channel sees what all the others did to it.
        if (core_ != nullptr && core_->refs.fetch_sub(1, memory_order_acq_rel) == 1) destroy();
    }

    /// Values in the buffer now.
    std::size_t len() const noexcept { return chan_len(core_); }
    std::size_t cap() const noexcept { return chan_cap(core_); }

    /// Equal when made by one make_chan, whatever the view; two nil channels are equal.
    friend bool operator==(const chan_ref& a, const chan_ref& b) noexcept {
        return a.core_ == b.core_;
    }
    explicit operator bool() const noexcept { return core_ != nullptr; }

    chan_core* core() const noexcept { return core_; }

  private:
    void destroy() noexcept {
        if constexpr (!std::is_void_v<T>) {
            using E = element<value_type>;
            if constexpr (E::boxed) {
                typename E::slot s;
                while (chan_take_left(core_, s.get())) E::drop(s);
            }
        }
        chan_free(core_);
    }

    chan_core* core_ = nullptr;
};

template <class Self, class T>
struct send_ops {
    using V = std::remove_cv_t<T>;

    /// Sends; waits for a receiver or for room in the buffer. Throws runtime_error "send on closed
    /// channel" (v is untouched if the channel was closed before); waits for ever on nil.
    void send(const V& v) const requires(std::is_copy_constructible_v<V>) { put(v); }
    void send(V&& v) const { put(std::move(v)); }

    /// Sends if that needs no waiting. v is untouched unless it was sent. Throws as send does.
    bool try_send(const V& v) const requires(std::is_copy_constructible_v<V>) { return offer(v); }
    bool try_send(V&& v) const { return offer(std::move(v)); }

    /// No more values will be sent. Throws runtime_error "close of closed channel" or "close of nil
    /// channel". Does not wait.
    void close() const { chan_close(handle()); }

  private:
    chan_core* handle() const noexcept { return static_cast<const Self*>(this)->core(); }

    template <class U>
    void put(U&& v) const {
        if constexpr (element<V>::boxed) {
            chan_check_open(handle());
            outgoing<V> out(std::forward<U>(v));
            chan_send(handle(), out.bytes());
            out.sent();
        } else {
            chan_send(handle(), &v);
        }
    }
    template <class U>
    bool offer(U&& v) const {
        if constexpr (element<V>::boxed) {
            chan_check_open(handle());
            if (chan_send_would_block(handle())) return false;
            outgoing<V> out(std::forward<U>(v));
            if (chan_try_send(handle(), out.bytes()) != try_status::done) return false;
            out.sent();
            return true;
        } else {
            return chan_try_send(handle(), &v) == try_status::done;
        }
    }
};

template <class Self>
struct send_ops<Self, void> {
    void send() const { chan_send(handle(), nullptr); }
    bool try_send() const { return chan_try_send(handle(), nullptr) == try_status::done; }
    void close() const { chan_close(handle()); }

  private:
    chan_core* handle() const noexcept { return static_cast<const Self*>(this)->core(); }
};

template <class Self, class T>
struct recv_ops {
    using V = std::remove_cv_t<T>;

    /// Receives; waits for a value or for close. nullopt: closed and drained.
    std::optional<V> recv() const {
        typename element<V>::slot s;
        if (!chan_recv(handle(), s.get())) return std::nullopt;
        return element<V>::take(handle(), s);
    }

    /// Receives if that needs no waiting.
    recv_result<V> try_recv() const {
        typename element<V>::slot s;
        const try_status status = chan_try_recv(handle(), s.get());
        if (status == try_status::done) {
            return recv_result<V>([&] { return element<V>::take(handle(), s); });
        }
        return recv_result<V>(status == try_status::closed);
    }

    /// Receives until the channel is closed and drained; holds one value at a time.
    class iterator {
      public:
        using iterator_concept = std::input_iterator_tag;
        using value_type = V;
        using difference_type = std::ptrdiff_t;

        iterator() = default;
        explicit iterator(const recv_ops* c) : c_(c), value_(c->recv()) {}
        V& operator*() const noexcept { return *value_; }
        iterator& operator++() {
            // In place, since V need not be assignable, and a move that throws must happen only
            // where the channel gets the value back. Then the iterator is at the end.
            value_.reset();
            try {
                ::new (static_cast<void*>(&value_)) std::optional<V>(c_->recv());
            } catch (...) {
                ::new (static_cast<void*>(&value_)) std::optional<V>();
                throw;
            }
            return *this;
        }
        void operator++(int) { ++*this; }
        friend bool operator==(const iterator& i, std::default_sentinel_t) noexcept {
            return !i.value_.has_value();
        }

      private:
        const recv_ops* c_ = nullptr;
        mutable std::optional<V> value_;
    };
    iterator begin() const { return iterator(this); }
    std::default_sentinel_t end() const noexcept { return {}; }

  private:
    chan_core* handle() const noexcept { return static_cast<const Self*>(this)->core(); }
};

template <class Self>
struct recv_ops<Self, void> {
    /// False: closed and drained.
    bool recv() const { return chan_recv(handle(), nullptr); }
    recv_result<void> try_recv() const {
        return recv_result<void>(chan_try_recv(handle(), nullptr));
    }

  private:
    chan_core* handle() const noexcept { return static_cast<const Self*>(this)->core(); }
};

}  // namespace detail

/// The sending end of a channel.
template <class T>
class send_chan : public detail::chan_ref<T>, public detail::send_ops<send_chan<T>, T> {
  public:
    constexpr send_chan() noexcept = default;
    send_chan(chan<T> c) noexcept;  // NOLINT(google-explicit-constructor): as in Go
};

/// The receiving end of a channel. Cannot be closed.
template <class T>
class recv_chan : public detail::chan_ref<T>, public detail::recv_ops<recv_chan<T>, T> {
  public:
    constexpr recv_chan() noexcept = default;
    recv_chan(chan<T> c) noexcept;  // NOLINT(google-explicit-constructor): as in Go
};

template <class T>
class chan : public detail::chan_ref<T>,
             public detail::send_ops<chan<T>, T>,
             public detail::recv_ops<chan<T>, T> {
  public:
    constexpr chan() noexcept = default;
    explicit chan(detail::chan_core* c) noexcept : detail::chan_ref<T>(c) {}
};

template <class T>
send_chan<T>::send_chan(chan<T> c) noexcept
    : detail::chan_ref<T>(static_cast<detail::chan_ref<T>&&>(c)) {}
template <class T>
recv_chan<T>::recv_chan(chan<T> c) noexcept
    : detail::chan_ref<T>(static_cast<detail::chan_ref<T>&&>(c)) {}

/// A new channel that holds up to `capacity` values. Throws runtime_error "makechan: size out of
/// range" for one that cannot exist, std::bad_alloc for one there is no memory for.
template <class T>
chan<T> make_chan(std::size_t capacity = 0) {
    using V = std::remove_cv_t<T>;
    if constexpr (std::is_void_v<V>) {
        return chan<T>(detail::chan_make(0, 1, capacity));
    } else {
        using E = detail::element<V>;
        return chan<T>(detail::chan_make(E::size, E::align, capacity));
    }
}

}  // namespace vole
