// std::atomic, each of whose operations is seen by an exploration of schedules (<vole/explore.hpp>): there, another
// goroutine may come in before it. Elsewhere it costs a load and a branch more.
//
// What is explored is which goroutine goes first, not what the memory orders allow beyond that: every operation is taken as
// sequentially consistent there.
#pragma once

#include <atomic>
#include <type_traits>

#include <vole/config.hpp>
#include <vole/detail/explore_point.hpp>

namespace vole::inline v0 {

/// The same as std::atomic<T>, for goroutines and threads. Waiting and notifying are not among its operations: they
/// would stop the thread.
template <class T>
class atomic {
  public:
    using value_type = T;
    static constexpr bool is_always_lock_free = std::atomic<T>::is_always_lock_free;

    constexpr atomic() noexcept(std::is_nothrow_default_constructible_v<T>) : value_() {}
    constexpr atomic(T desired) noexcept : value_(desired) {}  // NOLINT: as std::atomic
    atomic(const atomic&) = delete;
    atomic& operator=(const atomic&) = delete;

    T operator=(T desired) noexcept {  // NOLINT: as std::atomic
        store(desired);
        return desired;
    }
    operator T() const noexcept { return load(); }  // NOLINT: as std::atomic

    bool is_lock_free() const noexcept { return value_.is_lock_free(); }

    T load(std::memory_order order = std::memory_order_seq_cst) const noexcept {
        detail::explore_point("load", this, detail::touch::reads);
        return value_.load(order);
    }
    void store(T desired, std::memory_order order = std::memory_order_seq_cst) noexcept {
        detail::explore_point("store", this);
        value_.store(desired, order);
    }
    T exchange(T desired, std::memory_order order = std::memory_order_seq_cst) noexcept {
        detail::explore_point("exchange", this);
        return value_.exchange(desired, order);
    }

    bool compare_exchange_strong(T& expected, T desired, std::memory_order success,
                                 std::memory_order failure) noexcept {
        detail::explore_point("compare_exchange", this);
        return value_.compare_exchange_strong(expected, desired, success, failure);
    }
    bool compare_exchange_strong(T& expected, T desired,
                                 std::memory_order order = std::memory_order_seq_cst) noexcept {
        detail::explore_point("compare_exchange", this);
        return value_.compare_exchange_strong(expected, desired, order);
    }
    bool compare_exchange_weak(T& expected, T desired, std::memory_order success,
                               std::memory_order failure) noexcept {
        detail::explore_point("compare_exchange", this);
        return value_.compare_exchange_weak(expected, desired, success, failure);
    }
    bool compare_exchange_weak(T& expected, T desired,
                               std::memory_order order = std::memory_order_seq_cst) noexcept {
        detail::explore_point("compare_exchange", this);
        return value_.compare_exchange_weak(expected, desired, order);
    }

    /// Of integers, and of pointers by a number of elements.
    template <class D>
        requires requires(std::atomic<T>& a, D by) { a.fetch_add(by); }
    T fetch_add(D by, std::memory_order order = std::memory_order_seq_cst) noexcept {
        detail::explore_point("fetch_add", this);
        return value_.fetch_add(by, order);
    }
    template <class D>
        requires requires(std::atomic<T>& a, D by) { a.fetch_sub(by); }
    T fetch_sub(D by, std::memory_order order = std::memory_order_seq_cst) noexcept {
        detail::explore_point("fetch_sub", this);
        return value_.fetch_sub(by, order);
    }
    T fetch_and(T mask, std::memory_order order =
                            std::memory_order_seq_cst) noexcept requires std::is_integral_v<T> {
        detail::explore_point("fetch_and", this);
        return value_.fetch_and(mask, order);
    }
    T fetch_or(T mask, std::memory_order order =
                           std::memory_order_seq_cst) noexcept requires std::is_integral_v<T> {
        detail::explore_point("fetch_or", this);
        return value_.fetch_or(mask, order);
    }
    T fetch_xor(T mask, std::memory_order order =
                            std::memory_order_seq_cst) noexcept requires std::is_integral_v<T> {
        detail::explore_point("fetch_xor", this);
        return value_.fetch_xor(mask, order);
    }

    T operator++() noexcept requires requires(atomic& a) { a.fetch_add(1); }
    { return fetch_add(1) + 1; }
    T operator++(int) noexcept requires requires(atomic& a) { a.fetch_add(1); }
    { return fetch_add(1); }
    T operator--() noexcept requires requires(atomic& a) { a.fetch_sub(1); }
    { return fetch_sub(1) - 1; }
    T operator--(int) noexcept requires requires(atomic& a) { a.fetch_sub(1); }
    { return fetch_sub(1); }

  private:
    std::atomic<T> value_;
};

}  // namespace vole
