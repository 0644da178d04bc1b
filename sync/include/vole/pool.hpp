// Things that are dear to make and good for more than one use. What all headers of <vole/sync.hpp> have in common is
// said there, but for this one: it allocates room for what it keeps, and its destructor destroys that.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

#include <vole/config.hpp>
#include <vole/detail/callable.hpp>
#include <vole/detail/pool_core.hpp>

namespace vole::inline v0 {

/// Go's sync.Pool. Each P keeps what is put on it, so that a put() and a get() after it touch nothing that another P
/// touches.
///
/// There is no collector that empties it: what is put in stays until it is taken out, until two calls of shrink(), or
/// until the pool is destroyed. Whoever fills pools in bursts calls shrink() now and then: from a ticker, say.
///
/// make, and the destructors of items, run with nothing held and may use the pool.
/// Happens-before: put(x) -> the get() that returns x.
template <class T>
class pool {
  public:
    using item = std::unique_ptr<T>;

    /// get() gives null when there is nothing.
    constexpr pool() noexcept = default;

    /// get() gives make() when there is nothing: a std::unique_ptr<T>, or a T. It may throw, block, and use the pool,
    /// and is called by several goroutines at once. What has no state (a lambda without captures) makes the
    /// pool a constant of the program.
    template <class F>
        requires(!std::is_same_v<std::remove_cvref_t<F>, pool> &&
                 std::is_invocable_v<std::decay_t<F>&>)
    constexpr explicit pool(F&& make) : pool(std::type_identity<std::decay_t<F>>{}, make) {}

    pool(const pool&) = delete;
    pool& operator=(const pool&) = delete;
    /// Nobody else may be using it.
    ~pool() {
        core_.clear(destroy);
        if (drop_ != nullptr) drop_(context_);
    }

    /// An item of those that were put, which one is not said, else make(), else null. Never blocks, but for make.
    /// What make throws leaves get(), and the pool as it was.
    item get() {
        if (void* p = core_.get(); p != nullptr) return item(static_cast<T*>(p));
        return make_ != nullptr ? make_(context_) : nullptr;
    }

    /// Gives an item to whoever gets next. Null: nothing happens. Without memory the item is destroyed.
    void put(item x) noexcept {
        // const: T may be const, too.
        if (x != nullptr && core_.put(const_cast<std::remove_cv_t<T>*>(x.get()))) x.release();
    }

    /// Destroys what was there at the last shrink() and has not been taken since, and marks what is there now. So what
    /// two calls find is not in use. Waits for nobody but for short steps of others.
    void shrink() noexcept { core_.shrink(destroy); }

  private:
    template <class F>
    constexpr pool(std::type_identity<F>, auto& make) {
        if constexpr (std::is_empty_v<F> && std::is_trivially_default_constructible_v<F>) {
            make_ = [](void*) { return call(F{}); };
        } else {
            context_ = new F(std::forward<decltype(make)>(make));
            make_ = [](void* f) { return call(*static_cast<F*>(f)); };
            drop_ = [](void* f) noexcept { delete static_cast<F*>(f); };
        }
    }

    template <class F>
    static item call(F&& f) {
        if constexpr (std::is_convertible_v<std::invoke_result_t<F&>, item>) {
            return f();
        } else {
            return std::unique_ptr<T>(new T(f()));
        }
    }
    static void destroy(void* p) noexcept { item(static_cast<T*>(p)); }

    detail::pool_core core_;
    item (*make_)(void*) = nullptr;
    void* context_ = nullptr;
    void (*drop_)(void*) noexcept = nullptr;
};

}  // namespace vole::inline v0
