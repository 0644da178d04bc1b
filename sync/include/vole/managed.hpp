// Objects that say when they are gone: weak handles with an identity, and cleanups that run in goroutines
// of their own. Go's weak and runtime.AddCleanup, with reference counts in place of a collector.
//
//     auto image = vole::make_managed<picture>(name);              // a std::shared_ptr<picture>
//     cache[name] = vole::make_weak(image);                        // does not keep it
//     vole::add_cleanup(image, forget, name);                      // forget(name), some time after its death
//
// An object dies when its last std::shared_ptr goes: at once, in the goroutine or thread that lets it go, where
// its destructor runs. Objects that refer to each other in a circle never die; a weak handle breaks it.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include <vole/detail/callable.hpp>
#include <vole/detail/managed_core.hpp>

namespace vole::inline v0 {

/// A new T(args...). Its memory is given back when it dies, whatever weak handles there are; these keep some
/// hundred bytes. Aliasing works: a std::shared_ptr to a part of it is as good for everything below.
template <class T, class... A>
std::shared_ptr<T> make_managed(A&&... args) {
    return std::shared_ptr<T>(new T(std::forward<A>(args)...), detail::managed_deleter());
}

/// Refers to an object without keeping it. As large as a pointer; null if default-constructed. One handle may
/// be read by several threads at once, as a std::shared_ptr.
///
/// Equal if made from equal pointers to one object, alive or dead: another object at the same address is another
/// object, a pointer to a part of it another pointer. Hashes (std::hash) do not change when the object dies.
template <class T>
class weak {
  public:
    constexpr weak() noexcept = default;
    weak(const weak& o) noexcept : target_(o.target_) {
        if (target_ != nullptr) detail::retain_target(target_);
    }
    weak(weak&& o) noexcept : target_(std::exchange(o.target_, nullptr)) {}
    weak& operator=(weak o) noexcept {
        std::swap(target_, o.target_);
        return *this;
    }
    ~weak() {
        if (target_ != nullptr) detail::release_target(target_);
    }

    /// The pointer that it was made from; null as soon as the last strong reference is gone, before the
    /// destructor begins. Never blocks.
    std::shared_ptr<T> value() const noexcept {
        if (target_ == nullptr) return nullptr;
        std::shared_ptr<void> owner = target_->object.lock();
        if (owner == nullptr && !target_->immortal) return nullptr;
        return std::shared_ptr<T>(std::move(owner), static_cast<T*>(target_->address));
    }

    friend bool operator==(const weak& a, const weak& b) noexcept {
        if (a.target_ == b.target_) return true;
        return a.target_ != nullptr && b.target_ != nullptr && a.target_->immortal &&
               b.target_->immortal && a.target_->address == b.target_->address;
    }

  private:
    template <class U>
    friend weak<U> make_weak(const std::shared_ptr<U>& p);
    friend struct std::hash<weak>;

    explicit weak(detail::weak_target* target) noexcept : target_(target) {}

    detail::weak_target* target_ = nullptr;
};

/// A weak handle to what p points to; a null handle if p is null. An object that has no owner, as
/// std::shared_ptr<T>(std::shared_ptr<T>(), &object), never dies. Throws runtime_error for an object that was
/// not made by make_managed (std::weak_ptr is for those), std::bad_alloc.
template <class T>
weak<T> make_weak(const std::shared_ptr<T>& p) {
    if (p == nullptr) return {};
    void* address = const_cast<void*>(static_cast<const volatile void*>(p.get()));
    if (p.use_count() == 0) return weak<T>(detail::make_immortal_target(address));
    auto* lists = std::get_deleter<detail::managed_deleter>(p);
    if (lists == nullptr) detail::throw_misuse("weak.Make: ptr not in allocated block");
    return weak<T>(detail::make_target(*lists, std::shared_ptr<void>(p, address)));
}

/// A registered cleanup, or none. Copies are handles to the same one.
class cleanup_handle {
  public:
    constexpr cleanup_handle() noexcept = default;
    cleanup_handle(const cleanup_handle& o) noexcept : cleanup_(o.cleanup_) {
        if (cleanup_ != nullptr) cleanup_->refs.fetch_add(1, detail::memory_order_relaxed);
    }
    cleanup_handle(cleanup_handle&& o) noexcept : cleanup_(std::exchange(o.cleanup_, nullptr)) {}
    cleanup_handle& operator=(cleanup_handle o) noexcept {
        std::swap(cleanup_, o.cleanup_);
        return *this;
    }
    ~cleanup_handle() {
        if (cleanup_ != nullptr) detail::release_cleanup(cleanup_);
    }

    /// When it returns, the cleanup has begun before, or never will, and then its function and argument
    /// have been destroyed, here. Does not wait for one that runs. Stops no other; a second time, nothing.
    void stop() noexcept {
        if (cleanup_ == nullptr) return;
        if (cleanup_->leave_armed(detail::cleanup::stage::stopped)) cleanup_->ops->drop(cleanup_);
    }

  private:
    template <class T, class F, class A>
        requires(std::is_invocable_v<std::decay_t<F>, std::decay_t<A>>)
    friend cleanup_handle add_cleanup(std::shared_ptr<T> p, F&& f, A&& arg);

    explicit cleanup_handle(detail::cleanup* c) noexcept : cleanup_(c) {}

    detail::cleanup* cleanup_ = nullptr;
};

namespace detail {

template <class F, class A>
struct cleanup_call : cleanup {
    template <class G, class B>
    cleanup_call(G&& g, B&& b)
        : cleanup(&table), call{F(std::forward<G>(g)), A(std::forward<B>(b))} {}
    ~cleanup_call() {}  // the call is gone before

    static constexpr operations table{
        [](cleanup* self) {
            auto& [f, arg] = static_cast<cleanup_call*>(self)->call;
            std::invoke(std::move(f), std::move(arg));
        },
        [](cleanup* self) noexcept { std::destroy_at(&static_cast<cleanup_call*>(self)->call); },
        [](cleanup* self) noexcept { delete static_cast<cleanup_call*>(self); }};

    struct bound {
        F f;
        A arg;
    };
    union {
        bound call;
    };
};

/// Whether arg is the object, or keeps it.
template <class T, class A>
bool is_object(const std::shared_ptr<T>& p, const A& arg) noexcept {
    if constexpr (requires { p.owner_before(arg), arg.owner_before(p), arg.get(); }) {
        return !p.owner_before(arg) && !arg.owner_before(p);
    } else if constexpr (std::is_convertible_v<const A&, const volatile void*>) {
        return static_cast<const volatile void*>(p.get()) == static_cast<const volatile void*>(arg);
    } else {
        return false;
    }
}

}  // namespace detail

/// Calls f(arg) once, in a goroutine of the library, some time after p's object has died: after its
/// destructor, when all weak handles are null. Several cleanups of an object all run, in no order, beside each
/// other and everything else; outside of any bubble; they may block. An exception that leaves one is reported
/// as that of any goroutine. f and arg are destroyed right after the run. Not waited for when the process ends.
///
/// What f captures and arg must not keep the object, or it never dies. Throws runtime_error when that is to be
/// seen ("runtime.AddCleanup: ptr is equal to arg, cleanup will never run"), "runtime.AddCleanup: ptr is nil",
/// "runtime.AddCleanup: ptr not in allocated block" for an object that was not made by make_managed,
/// "runtime.AddCleanup: f is nil"; std::bad_alloc, and what copies of f and arg throw.
/// Happens-before: the end of the destructor -> f begins.
template <class T, class F, class A>
    requires(std::is_invocable_v<std::decay_t<F>, std::decay_t<A>>)
cleanup_handle add_cleanup(std::shared_ptr<T> p, F&& f, A&& arg) {
    if (p == nullptr) detail::throw_misuse("runtime.AddCleanup: ptr is nil");
    auto* lists = std::get_deleter<detail::managed_deleter>(p);
    if (lists == nullptr) {
        detail::throw_misuse("runtime.AddCleanup: ptr not in allocated block");
    }
    if (detail::is_object<T, std::decay_t<A>>(p, arg)) {
        detail::throw_misuse("runtime.AddCleanup: ptr is equal to arg, cleanup will never run");
    }
    if (detail::is_nil_callable(f)) detail::throw_misuse("runtime.AddCleanup: f is nil");
    using call = detail::cleanup_call<std::decay_t<F>, std::decay_t<A>>;
    auto* c = new call(std::forward<F>(f), std::forward<A>(arg));
    detail::register_cleanup(*lists, c);
    return cleanup_handle(c);
}

/// Waits for a moment at which no cleanup is queued or runs. Those that a cleanup causes count, too. Not in a
/// cleanup: it would wait for itself. One that never ends is waited for for ever. Throws std::bad_alloc if
/// there is no memory for a goroutine to run them.
/// Happens-before: the end of each cleanup -> return.
void drain_cleanups();

/// The object does not die before this call, however little p is used after the last look at it.
template <class T>
void keep_alive(const std::shared_ptr<T>& p) noexcept {
    asm volatile("" : : "g"(&p) : "memory");
}

}  // namespace vole

template <class T>
struct std::hash<vole::weak<T>> {
    std::size_t operator()(const vole::weak<T>& w) const noexcept {
        return std::hash<const void*>()(w.target_ != nullptr ? w.target_->address : nullptr);
    }
};
