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
#if defined(VOLE_STACK_DENSE) || defined(VOLE_STACK_COPYING) || defined(VOLE_BUILDING)
    static stack_policy dense(std::size_t initial = 2 * 1024);
#else
    [[gnu::error(
        "vole: stack_policy::dense is for code that is built for it: use dependency('vole-dense'), "
        "`pkg-config --cflags --libs vole-dense`, or `tools/vole run --stack "
        "dense`")]] static stack_policy
    dense(std::size_t initial = 2 * 1024);
#endif

    /// One contiguous stack that moves to twice the size when it is used up. Only for relocatable
    /// code: nothing outside the stack may hold an address of it (the README has the list of what
    /// survives). Built like dense, but by dependency('vole-copying') and so on. `initial` as there.
#if defined(VOLE_STACK_COPYING) || defined(VOLE_BUILDING)
    static stack_policy copying(std::size_t initial = 2 * 1024);
#else
    [[gnu::error(
        "vole: stack_policy::copying is for code that is built for it: use "
        "dependency('vole-copying'), `pkg-config --cflags --libs vole-copying`, or `tools/vole run "
        "--stack copying`")]] static stack_policy
    copying(std::size_t initial = 2 * 1024);
#endif

    constexpr stack_policy() noexcept = default;
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr kind which() const noexcept { return kind_; }

  private:
    constexpr stack_policy(kind k, std::size_t size) noexcept : size_(size), kind_(k) {}
    std::size_t size_ = 256 * 1024;
    kind kind_ = kind::reserved;
};

namespace detail {
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
