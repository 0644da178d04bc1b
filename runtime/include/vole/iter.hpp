// Functions that push values, turned into ones to pull from. Semantics are those of Go's iter package.
//
// A *sequence* is any function that calls its argument, `yield`, with one value after the other, and stops when
// that returns false:
//
//     auto count = [](vole::iter::yielder<int> yield) {
//         for (int i = 0; yield(i); ++i) {}
//     };
//     auto numbers = vole::iter::pull(count);
//     int zero = *numbers.next(), one = *numbers.next();
//     for (int i : vole::generator<int>(count)) if (i == 10) break;
//
// It runs on a stack of its own, as the goroutine that asks for the next value: see <vole/coro.hpp> for what that
// means for exceptions, goexit, blocking, threads and the use by several goroutines, which is the same here.
#pragma once

#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <vole/config.hpp>
#include <vole/detail/coroutine.hpp>

namespace vole::inline v0 {

namespace iter {

/// What a sequence gives its values to.
template <class T>
class yielder {
  public:
    static_assert(std::is_object_v<T>,
                  "a sequence gives values: use a pointer or std::reference_wrapper");
    using value_type = T;

    /// Gives it to the consumer and waits until that wants another one. False: it wants none, now and at any later call.
    /// Runtime error "iter.Pull: yield called again before next" when it is not the sequence that calls, on its own stack.
    bool operator()(T value) const { return detail::coroutine_yield(self_, std::addressof(value)); }
    explicit yielder(detail::coroutine* self) noexcept : self_(self) {}

  private:
    detail::coroutine* self_;
};

/// The same, for pairs.
template <class K, class V>
class yielder2 : yielder<std::pair<K, V>> {
  public:
    using value_type = std::pair<K, V>;
    bool operator()(K key, V value) const {
        return yielder<value_type>::operator()({std::move(key), std::move(value)});
    }
    using yielder<value_type>::yielder;
};

/// A sequence to pull from. Move-only. Its destructor stops it; what leaves the sequence then is reported as an
/// uncaught panic is.
template <class T>
class puller {
  public:
    using value_type = T;

    /// Runs the sequence until it gives a value; none: it has ended, or was stopped, and will not give another.
    /// Throws what leaves the sequence, once; runtime_error "iter.Pull: next called again before yield" when the sequence
    /// itself calls it, and for the other kinds of misuse that coro::resume() names.
    std::optional<T> next() {
        if (owner_.done()) return std::nullopt;
        detail::coroutine* c = owner_.get();
        if (!detail::coroutine_resume(c)) return std::nullopt;
        return detail::take_yielded<T>(c);
    }

    /// Makes the sequence's yield return false, and runs it to its end. One that has not begun never will. At the second time,
    /// and after the end: no effect. Throws as next() does.
    void stop() {
        if (!owner_.done()) detail::coroutine_stop(owner_.get());
    }

    explicit puller(detail::coroutine_owner owner) noexcept : owner_(std::move(owner)) {}

  private:
    detail::coroutine_owner owner_;
};

}  // namespace iter

namespace detail {

template <class F, class Yielder>
coroutine_owner make_pulled(F&& f) {
    return coroutine_owner::make<body_of<std::decay_t<F>, Yielder>>(coroutine_kind::pull,
                                                                    std::forward<F>(f));
}

// The type of a function's only argument, by its signature.
template <class A, class R>
std::remove_cvref_t<A> argument_of(R (*)(A));
template <class A, class R, class C>
std::remove_cvref_t<A> argument_of(R (C::*)(A));
template <class A, class R, class C>
std::remove_cvref_t<A> argument_of(R (C::*)(A) const);
template <class A, class R, class C>
std::remove_cvref_t<A> argument_of(R (C::*)(A) noexcept);
template <class A, class R, class C>
std::remove_cvref_t<A> argument_of(R (C::*)(A) const noexcept);

template <class F>
auto yielder_of(int) -> decltype(argument_of(&F::operator()));
template <class F>
auto yielder_of(long) -> decltype(argument_of(std::declval<F>()));
template <class F>
using yielded = typename decltype(yielder_of<std::decay_t<F>>(0))::value_type;

}  // namespace detail

namespace iter {

/// A sequence of T to pull from. It is moved to its stack; nothing of it runs before the first next(). Does not block. Throws
/// std::bad_alloc, or what moving it throws.
template <class T, class Seq>
    requires(std::is_invocable_v<std::decay_t<Seq>&, yielder<T>&>)
puller<T> pull(Seq&& seq) {
    return puller<T>(detail::make_pulled<Seq, yielder<T>>(std::forward<Seq>(seq)));
}
/// The same; T is that of the yielder<T> that seq is declared with.
template <class Seq>
auto pull(Seq&& seq) -> puller<detail::yielded<Seq>> {
    return pull<detail::yielded<Seq>>(std::forward<Seq>(seq));
}

/// A sequence of pairs, each given by yield(key, value).
template <class K, class V, class Seq>
    requires(std::is_invocable_v<std::decay_t<Seq>&, yielder2<K, V>&>)
puller<std::pair<K, V>> pull2(Seq&& seq) {
    return puller<std::pair<K, V>>(
        detail::make_pulled<Seq, yielder2<K, V>>(std::forward<Seq>(seq)));
}
template <class Seq>
auto pull2(Seq&& seq) -> puller<detail::yielded<Seq>> {
    using pair = detail::yielded<Seq>;
    return pull2<typename pair::first_type, typename pair::second_type>(std::forward<Seq>(seq));
}

}  // namespace iter

/// A sequence as an input range: `for (T& v : generator<T>(seq))`. begin() starts it. The destructor, which is what leaving
/// such a loop calls, stops it: its yield returns false, and a sequence that goes on nevertheless gets a runtime_error, "range
/// function continued iteration after function for loop body returned false". Move-only, but not while iterated.
template <class T>
class generator {
    // As a sequence's, but it does not take another call for false again and again.
    class range_yielder {
      public:
        bool operator()(T value) const {
            if (self_->told) detail::throw_continued_range();
            if (detail::coroutine_yield(self_, std::addressof(value))) return true;
            self_->told = true;
            return false;
        }
        explicit range_yielder(detail::coroutine* self) noexcept : self_(self) {}
        // NOLINTNEXTLINE(google-explicit-constructor): sequences are declared with the one or the other.
        operator iter::yielder<T>() const noexcept { return iter::yielder<T>(self_); }

      private:
        detail::coroutine* self_;
    };

  public:
    class iterator {
      public:
        using value_type = T;
        using difference_type = std::ptrdiff_t;

        /// In the sequence's own frame: it may be changed or moved from. Until the next ++.
        T& operator*() const noexcept { return *static_cast<T*>(self_->value); }
        T* operator->() const noexcept { return static_cast<T*>(self_->value); }
        iterator& operator++() {
            if (!self_->done && detail::coroutine_resume(self_)) detail::end_turn(self_);
            return *this;
        }
        void operator++(int) { ++*this; }
        friend bool operator==(const iterator& i, std::default_sentinel_t) noexcept {
            return i.self_ == nullptr || i.self_->done;
        }
        explicit iterator(detail::coroutine* self) noexcept : self_(self) {}

      private:
        detail::coroutine* self_;
    };

    template <class Seq>
        requires(!std::is_same_v<std::decay_t<Seq>, generator> &&
                 std::is_invocable_v<std::decay_t<Seq>&, range_yielder&>)
    explicit generator(Seq&& seq)
        : owner_(detail::make_pulled<Seq, range_yielder>(std::forward<Seq>(seq))) {}

    /// Runs the sequence to its first value. At the second time: where it is. Throws as iter::puller::next().
    iterator begin() {
        detail::coroutine* c = owner_.get();
        if (c != nullptr && !c->started && !c->done && detail::coroutine_resume(c)) {
            detail::end_turn(c);
        }
        return iterator(c);
    }
    std::default_sentinel_t end() const noexcept { return std::default_sentinel; }

  private:
    detail::coroutine_owner owner_;
};

}  // namespace vole
