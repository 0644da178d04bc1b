// Stacks: where a goroutine's comes from, how it grows, and room for deep calls.
// runtime/src/stack/README.md tells what each policy costs and how growth works.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>

#include <vole/config.hpp>

namespace vole::inline v0 {

class stack_policy;

namespace detail {
void set_default_stack(const stack_policy& policy) noexcept;
stack_policy default_stack() noexcept;

#if defined(VOLE_STACK_DENSE) || defined(VOLE_STACK_COPYING)
void not_instrumented() noexcept;
// Never called. Its first instruction shows how this file was compiled and linked: lld has rewritten
// it, because it is of an instrumented function that calls one that is not. Each file has its own,
// since one file may be built for growing stacks and the next one not.
[[gnu::noinline, maybe_unused]] static void growth_probe() noexcept {
    not_instrumented();
    asm volatile("");  // no tail call: that would have no prologue to rewrite
}
#define VOLE_DETAIL_DENSE reinterpret_cast<const void*>(&::vole::detail::growth_probe)
#elif defined(VOLE_BUILDING)
#define VOLE_DETAIL_DENSE nullptr
#endif
#if defined(VOLE_STACK_COPYING) || defined(VOLE_BUILDING)
#define VOLE_DETAIL_COPYING VOLE_DETAIL_DENSE
#endif
}  // namespace detail

/// Where a goroutine's stack comes from and how large it may grow.
class stack_policy {
  public:
    enum class kind : std::uint8_t { reserved, dense, copying };

    /// A slot of `max` bytes of address space; pages arrive on first touch, the lowest 16 KiB are
    /// a guard. Running into the guard is a fatal error that names the goroutine and the remedy.
    /// Code built for growing stacks (vole_dense_dep) links segments at the slot's end instead, up
    /// to 1 GiB in all. `max` is rounded up to whole pages; at least 32 KiB and at most 1 GiB, else
    /// std::invalid_argument.
    static stack_policy reserved(std::size_t max = 256 * 1024);

    /// `initial` bytes without a guard, 2 KiB if you like; instrumented code links segments when
    /// they are used up, and borrows one for calls of code that is not instrumented. A million
    /// goroutines fit in 2.4 KiB each. Every file of the program must be built for it:
    /// dependency('vole-dense') in Meson, `pkg-config vole-dense`, `tools/vole run --stack dense`.
    /// Signal handlers of the program need SA_ONSTACK. `initial` is rounded up to a power of two;
    /// at least 2 KiB and at most 1 MiB, else std::invalid_argument; on an architecture or in a
    /// build without it, std::invalid_argument that says so.
#ifdef VOLE_DETAIL_DENSE
    static stack_policy dense(std::size_t initial = 2 * 1024) {
        return growing(kind::dense, initial, VOLE_DETAIL_DENSE);
    }
#else
    template <class File = void>
    static stack_policy dense(std::size_t = 2 * 1024) {
        static_assert(!std::is_void_v<File>,
                      "vole: stack_policy::dense is for code that is built for it: use "
                      "dependency('vole-dense'), `pkg-config --cflags --libs vole-dense`, or "
                      "`tools/vole run --stack dense`");
        return {};
    }
#endif

    /// One contiguous stack that moves to twice the size when it is used up. Only for relocatable
    /// code: nothing outside the stack may hold an address of it (the README has the list of what
    /// survives). Built like dense, but by dependency('vole-copying') and so on. `initial` as there.
#ifdef VOLE_DETAIL_COPYING
    static stack_policy copying(std::size_t initial = 2 * 1024) {
        return growing(kind::copying, initial, VOLE_DETAIL_COPYING);
    }
#else
    template <class File = void>
    static stack_policy copying(std::size_t = 2 * 1024) {
        static_assert(!std::is_void_v<File>,
                      "vole: stack_policy::copying is for code that is built for it: use "
                      "dependency('vole-copying'), `pkg-config --cflags --libs vole-copying`, or "
                      "`tools/vole run --stack copying`");
        return {};
    }
#endif

    /// What a goroutine gets that no policy was given for: reserved(), unless a file of the program
    /// was compiled with -DVOLE_STACK_DEFAULT_DENSE or -DVOLE_STACK_DEFAULT_COPYING (`tools/vole run
    /// --stack` does that). Those hold for the whole program, from the file's initialisation on.
    /// The main goroutine of run() follows the first only: what goroutines share mostly lies on its
    /// stack, so it must not move.
    constexpr stack_policy() noexcept = default;
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr kind which() const noexcept { return kind_; }
    /// Whether nobody has chosen it.
    constexpr bool is_default() const noexcept { return default_; }

  private:
    friend stack_policy detail::default_stack() noexcept;
    constexpr stack_policy(kind k, std::size_t size) noexcept
        : size_(size), kind_(k), default_(false) {}
    // `probe`: the asking file's detail::growth_probe; null vouches for the file.
    static stack_policy growing(kind k, std::size_t initial, const void* probe);
    std::size_t size_ = 256 * 1024;
    kind kind_ = kind::reserved;
    bool default_ = true;
};

namespace detail {
#if defined(VOLE_STACK_DEFAULT_COPYING)
[[maybe_unused]] static const bool default_stack_is_set =
    (set_default_stack(stack_policy::copying()), true);
#elif defined(VOLE_STACK_DEFAULT_DENSE)
[[maybe_unused]] static const bool default_stack_is_set =
    (set_default_stack(stack_policy::dense()), true);
#endif

/// Calls fn(arg) with at least `bytes` of stack below it.
void call_with_room(std::size_t bytes, void (*fn)(void*), void* arg);
}  // namespace detail

namespace stack {

/// Calls f with at least `bytes` of stack: where it stands if there are so many left, else on a
/// segment that is linked for the call. For recursive code in any build, on any architecture; no
/// instrumentation is needed. A goroutine's stacks together stay below 1 GiB: beyond is a fatal
/// error, as is the lack of memory. Result and exceptions are f's. f may block. On an ordinary
/// thread: just calls f. Costs a comparison, or some nanoseconds with a segment.
/// Throws std::invalid_argument for bytes above 512 MiB.
template <class F>
auto ensure(std::size_t bytes, F&& f) -> std::invoke_result_t<F> {
    using R = std::invoke_result_t<F>;
    if constexpr (std::is_void_v<R>) {
        struct frame {
            F& f;
        } fr{f};
        detail::call_with_room(
            bytes, [](void* p) { std::forward<F>(static_cast<frame*>(p)->f)(); }, &fr);
    } else {
        using stored = std::conditional_t<std::is_reference_v<R>, std::remove_reference_t<R>*, R>;
        struct frame {
            F& f;
            std::optional<stored> result;
        } fr{f, std::nullopt};
        detail::call_with_room(
            bytes,
            [](void* p) {
                auto* fp = static_cast<frame*>(p);
                if constexpr (std::is_reference_v<R>) {
                    fp->result.emplace(&std::forward<F>(fp->f)());
                } else {
                    fp->result.emplace(std::forward<F>(fp->f)());
                }
            },
            &fr);
        if constexpr (std::is_reference_v<R>) {
            return static_cast<R>(**fr.result);
        } else {
            return std::move(*fr.result);
        }
    }
}

/// Bytes of stack the calling goroutine uses now, all segments together; 0 on an ordinary thread.
std::size_t in_use();
/// Bytes of address space its stack has now, all segments together; 0 on an ordinary thread.
std::size_t size();

}  // namespace stack

}  // namespace vole
