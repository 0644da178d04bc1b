// Panics as C++ exceptions: panic, defer, recovering, recover, and the handler of what nobody caught.
// Semantics follow Go's panic, defer and recover; where C++ makes them differ, the comment says so.
//
//     int parse(std::string_view text) {
//         return vole::recovering<int>([&](int& result) {
//             vole::defer d{[&] {
//                 if (auto p = vole::recover()) result = -1;
//             }};
//             result = parse_or_panic(text);
//         });
//     }
//
// Everything here may be used in goroutines and on ordinary threads.
#pragma once

#include <any>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include <vole/config.hpp>
#include <vole/detail/callable.hpp>
#include <vole/detail/panic_text.hpp>

namespace vole::inline v0 {

/// A panic: what Go's panic(v) is here. Any goroutine may throw it, or any other exception.
class panic_error : public std::exception {
  public:
    panic_error(std::any value, std::string text)
        : value_(std::move(value)), text_(std::move(text)) {}

    /// The value that was panicked with; the text for the runtime's own panics.
    const std::any& value() const noexcept { return value_; }
    /// The value as text.
    const char* what() const noexcept override { return text_.c_str(); }

  private:
    std::any value_;
    std::string text_;
};

/// Misuse that Go answers with a run-time panic: send on a closed channel, close of a nil channel,
/// a negative wait_group counter, ... The object concerned stays usable unless its page says not.
class runtime_error : public panic_error {
  public:
    explicit runtime_error(const std::string& text) : panic_error(text, text) {}
};

/// What panic(nullptr) and panic of an empty std::any throw.
class panic_nil_error : public runtime_error {
  public:
    panic_nil_error();
};

/// A fault of an instruction, thrown there by code that was built for it: with -fnon-call-exceptions and
/// VOLE_FAULTS defined, as the dependency vole-faults and `vole run --faults` do. A null pointer's
/// memory (below address 4096), an integer division by zero (amd64; arm64 has none), memory mapped from a
/// file that has become shorter. On goroutines only, and only where the compiler's tables allow an
/// exception to leave; elsewhere such a fault is a fatal error with a traceback, as are all others.
class fault_error : public runtime_error {
  public:
    fault_error(const std::string& text, int signal, std::uintptr_t address, std::string detail)
        : runtime_error(text), signal_(signal), address_(address), detail_(std::move(detail)) {}
    int signal() const noexcept { return signal_; }
    /// That could not be accessed; of the instruction for SIGFPE.
    std::uintptr_t address() const noexcept { return address_; }
    /// "[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x...]"
    const std::string& detail() const noexcept { return detail_; }

  private:
    int signal_;
    std::uintptr_t address_;
    std::string detail_;
};

namespace detail {
/// Of the program or library that holds the address. False: no more than 64 can be known.
bool throw_faults_of(const void* anchor) noexcept;
#if defined(VOLE_FAULTS)
[[gnu::visibility("hidden")]] inline void fault_anchor() noexcept {}
[[gnu::visibility("hidden")]] inline const bool faults_are_thrown =
    throw_faults_of(reinterpret_cast<const void*>(&fault_anchor));
#endif
struct panic_record;
/// What a catch (const T&) would get, T being of that type; null: it would not be entered.
const void* find_thrown(const panic_record* r, const std::type_info& type) noexcept;
}

/// One panic: what recover() gives, and what the panic handler is told. A cheap, shared handle.
class panic_value {
  public:
    /// What was given to panic(); the text for the runtime's own panics; empty for other exceptions.
    const std::any& value() const noexcept;
    /// As it is printed: the text of the value, or "TYPE: what()" for an exception that is no panic_error.
    const char* what() const noexcept;
    /// The exception itself. Rethrowing it, or panic() of this object, is the same panic again.
    std::exception_ptr exception() const noexcept;
    /// The value or the exception, if it is a T; else null. Lives as long as this object.
    template <class T>
    const T* get() const;
    /// Of the goroutine that panicked; 0 and "": an ordinary thread, a goroutine without a name.
    std::uint64_t goroutine() const noexcept;
    const std::string& name() const noexcept;
    /// Where it was thrown: program counters, innermost first, the throw's own functions among them.
    std::span<const std::uintptr_t> stack() const noexcept;
    /// What the default handler writes to stderr: the panic, those that it replaced, the goroutine and its
    /// frames as they were when it was thrown.
    std::string report() const;

    panic_value(const panic_value& other) noexcept;
    panic_value& operator=(const panic_value& other) noexcept;
    ~panic_value();
    /// Of the library: takes over one reference.
    explicit panic_value(detail::panic_record* record) noexcept : record_(record) {}

  private:
    detail::panic_record* record_;
};

namespace detail {
[[noreturn]] void throw_panic(std::any value, std::string text);
[[noreturn]] void throw_nil_panic();
/// In a handler: to_string() has thrown that.
[[noreturn]] void throw_unprintable(std::any value);
}  // namespace detail

/// Throws panic_error with this value. Its text is what is printed if nobody recovers: strings and
/// what() of exceptions as they are, arithmetic values as Go prints them, enumerations as TYPE(number),
/// t.to_string() if there is one, else (TYPE) and the address. If to_string() throws, printing the panic is
/// a fatal error; until then it is one like others.
/// Null pointers to characters, nullptr and an empty std::any: panic_nil_error (with VOLE_DEBUG=panicnil=1,
/// too: there is no panic without a value here).
template <class T>
    requires(std::is_copy_constructible_v<T>)
[[noreturn]] void panic(T value) {
    if constexpr (std::is_same_v<T, std::nullptr_t>) {
        detail::throw_nil_panic();
    } else if constexpr (std::is_same_v<T, panic_value>) {
        std::rethrow_exception(value.exception());
    } else if constexpr (std::is_same_v<T, std::exception_ptr>) {
        if (value == nullptr) detail::throw_nil_panic();
        std::rethrow_exception(std::move(value));
    } else {
        if (detail::is_nil_panic(value)) detail::throw_nil_panic();
        std::string text;
        try {
            text = detail::panic_text(value);
        } catch (...) {
            detail::throw_unprintable(std::any(std::move(value)));
        }
        detail::throw_panic(std::any(std::move(value)), std::move(text));
    }
}

namespace detail {

/// A deferred call. `uncaught`: std::uncaught_exceptions() when it was deferred.
struct deferred_call {
    void (*fn)(void*);
    void* arg;
    int uncaught;
};
void run_deferred(const deferred_call& call);

[[noreturn]] void throw_nil_deferred();

template <class F>
void call_deferred(F& f) {
    if (is_nil_callable(f)) throw_nil_deferred();
    std::invoke(f);
}

}  // namespace detail

/// Calls f when the scope is left: by its end, by return, by a panic or any other exception, by goexit().
/// Several run in the opposite order. Runs before the locals declared above it are gone, in the goroutine
/// or thread that leaves the scope; may block.
///
/// Exceptions that leave f: at an ordinary end of the scope, as thrown there. While an exception or goexit
/// is on its way to a recovering() frame, they replace what it was (the new panic is current, the old one is
/// printed before it). Elsewhere during unwinding: a fatal error, "panic during unwinding".
template <class F>
class [[nodiscard]] defer {
  public:
    explicit defer(F f) : f_(std::move(f)) {}
    ~defer() noexcept(false) {
        detail::run_deferred(
            {[](void* p) { detail::call_deferred(*static_cast<F*>(p)); }, &f_, uncaught_});
    }
    defer(const defer&) = delete;
    defer& operator=(const defer&) = delete;

  private:
    F f_;
    int uncaught_ = std::uncaught_exceptions();
};

/// Any number of deferred calls, added at any time; the last added runs first. Else as defer. add() may
/// be called by a deferred call of the same list: what it adds runs next.
class defer_list {
  public:
    defer_list() = default;
    ~defer_list() noexcept(false);
    defer_list(const defer_list&) = delete;
    defer_list& operator=(const defer_list&) = delete;

    void add(std::function<void()> f) { calls_.push_back(std::move(f)); }
    std::size_t size() const noexcept { return calls_.size(); }

  private:
    friend struct rest_of_list;
    void run_last();

    std::vector<std::function<void()>> calls_;
    int uncaught_ = std::uncaught_exceptions();
};

/// In a deferred call that a panic runs, inside recovering(): the panic, which thereby ends there: the
/// other deferred calls of that frame run with no panic pending, and recovering() returns. Everywhere
/// else nothing: without a panic, a second time, during goexit, inside a recovering() of the deferred call's
/// own, outside of any. Any exception that passes the frame counts as a panic.
std::optional<panic_value> recover();

namespace detail {
/// Where recover() would give a panic: its exception, which goes on its way. Else null.
std::exception_ptr passing_exception() noexcept;
void run_recovering(void (*fn)(void*), void* arg);
}

/// Calls f, and is the frame that recover() returns from. Three forms:
///   recovering(f)      f returns R: gives f's result; after recover(), R()
///   recovering(f)      f returns nothing
///   recovering<R>(f)   f(R& result): gives result, whatever f and its deferred calls have set, from R() on
/// A panic that nobody recovers leaves it, as the exception that it is.
template <class R = void, class F>
auto recovering(F&& f) {
    if constexpr (!std::is_void_v<R>) {
        static_assert(std::is_invocable_v<F, R&>, "recovering<R>(f): f takes an R&, the result");
        struct frame {
            F& f;
            R result;
        } fr{f, R()};
        detail::run_recovering(
            [](void* p) {
                auto* at = static_cast<frame*>(p);
                std::invoke(std::forward<F>(at->f), at->result);
            },
            &fr);
        return R(std::move(fr.result));
    } else if constexpr (std::is_void_v<std::invoke_result_t<F>>) {
        struct frame {
            F& f;
        } fr{f};
        detail::run_recovering(
            [](void* p) { std::invoke(std::forward<F>(static_cast<frame*>(p)->f)); }, &fr);
    } else {
        using result_type = std::decay_t<std::invoke_result_t<F>>;
        static_assert(std::is_default_constructible_v<result_type>,
                      "recovering(f): what it returns after recover() is R(); use "
                      "recovering<std::optional<R>>");
        return recovering<result_type>(
            [&f](result_type& result) { result = std::invoke(std::forward<F>(f)); });
    }
}

/// What is called for an exception that no frame of a goroutine is going to catch: where it was thrown, on
/// that goroutine, before its stack is unwound. Then destructors and deferred calls run and the goroutine
/// ends; the others go on. An exception that leaves the handler is a fatal error.
/// Not for the main goroutine, whose exception leaves run(). One handler at a time for the process; an
/// empty one is the default, which writes report() to stderr in one piece. Gives the previous one. May be
/// called at any time, from any thread.
using panic_handler = std::function<void(const panic_value&)>;
panic_handler set_panic_handler(panic_handler handler);

// ---- implementation ---------------------------------------------------------------------------

template <class T>
const T* panic_value::get() const {
    if (const T* v = std::any_cast<T>(&value()); v != nullptr) return v;
    return static_cast<const T*>(detail::find_thrown(record_, typeid(T)));
}

}  // namespace vole
