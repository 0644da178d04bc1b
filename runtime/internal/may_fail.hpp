// One table of what the runtime asks of the kernel and of malloc, by which any of it can be made to fail.
//
// What may fail is called by its name in namespace os (os.hpp; sockets in net/src/os.hpp), or, where it has none, by
// may_fail<fallible::row>(function, arguments...). That is the call and nothing else until somebody plans a fault; from
// then on calls are counted, and the planned ones are not made but fail as the kernel's would: with errno, and the
// value by which that function says so. Reading a clock, waking a futex, masking signals and the like have no row:
// those do not fail. What containers of the standard library allocate has none either: a program replaces operator new.
//
// Short transfers are rows of their own: a stream's read or write that is made, of one byte.
//
// Locks: none. Stack: any, a signal handler's too.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include <vole/detail/atomic.hpp>

namespace vole::inline v0::detail {

// Name, and the error if a plan names none.
#define VOLE_FALLIBLE(X)                                                                           \
    X(mmap, ENOMEM)                                                                                \
    X(munmap, ENOMEM)                                                                              \
    X(mprotect, ENOMEM)                                                                            \
    X(madvise, ENOMEM)                                                                             \
    X(mincore, EAGAIN)                                                                             \
    X(malloc, ENOMEM)                                                                              \
    X(pthread_create, EAGAIN)                                                                      \
    X(futex_wait, EINTR)                                                                           \
    X(membarrier, ENOSYS)                                                                          \
    X(sigaction, EINVAL)                                                                           \
    X(sigaltstack, ENOMEM)                                                                         \
    X(timer_create, EAGAIN)                                                                        \
    X(timer_settime, EINVAL)                                                                       \
    X(tgkill, EAGAIN)                                                                              \
    X(sched_getaffinity, EPERM)                                                                    \
    X(getrlimit, EPERM)                                                                            \
    X(open, EMFILE)                                                                                \
    X(getdents, EIO)                                                                               \
    X(read, EINTR)                                                                                 \
    X(write, EINTR)                                                                                \
    X(short_read, EIO)                                                                             \
    X(short_write, EIO)                                                                            \
    X(writev, EINTR)                                                                               \
    X(send, EINTR)                                                                                 \
    X(recv, EINTR)                                                                                 \
    X(sendfile, EINVAL)                                                                            \
    X(splice, EINVAL)                                                                              \
    X(accept, EMFILE)                                                                              \
    X(connect, ENETUNREACH)                                                                        \
    X(socket, EMFILE)                                                                              \
    X(bind, EADDRINUSE)                                                                            \
    X(listen, EADDRINUSE)                                                                          \
    X(shutdown, ENOTCONN)                                                                          \
    X(setsockopt, ENOBUFS)                                                                         \
    X(getsockopt, ENOBUFS)                                                                         \
    X(getsockname, ENOBUFS)                                                                        \
    X(getpeername, ENOBUFS)                                                                        \
    X(fcntl, EMFILE)                                                                               \
    X(pipe, EMFILE)                                                                                \
    X(fstat, EIO)                                                                                  \
    X(close, EINTR)                                                                                \
    X(unlink, EACCES)                                                                              \
    X(poll_create, EMFILE)                                                                         \
    X(poll_wake_create, EMFILE)                                                                    \
    X(poll_add, ENOSPC)                                                                            \
    X(poll_wait, EINTR)                                                                            \
    X(poll_look, EINTR)                                                                            \
    X(getaddrinfo, -10 /* EAI_MEMORY */)

enum class fallible : std::uint8_t {
#define VOLE_CALL_NAME(name, error) name,
    VOLE_FALLIBLE(VOLE_CALL_NAME)
#undef VOLE_CALL_NAME
};
inline constexpr std::size_t fallible_count = static_cast<std::size_t>(fallible::getaddrinfo) + 1;

/// Which calls of a row fail. Those from the first-th on, counted from the plan, `count` of them; and of the others
/// one in `one_in` (0: none) by chance, the same ones for the same seed.
struct fault_plan {
    std::uint32_t first = 0;  // 0: none
    std::uint32_t count = 1;
    std::uint32_t one_in = 0;
    std::uint32_t seed = 1;
    int error = 0;  // 0: the row's own
};
struct call_counts {
    std::uint32_t made, failed;
};

/// From now on; what was counted of this row is forgotten. An empty plan only counts.
void plan_fault(fallible c, const fault_plan& plan) noexcept;
/// Nothing fails, nothing is counted.
void plan_no_faults() noexcept;
[[nodiscard]] call_counts counts_of(fallible c) noexcept;
[[nodiscard]] const char* name_of(fallible c) noexcept;
/// Of each row, joined by '+': "mmap@3" (the third), "mmap@3x2" (two from the third on), "mmap%100" (one in a hundred),
/// "mmap%100/7" (by chance as well, others), each with ":12" for an error by its number. False: not understood.
[[nodiscard]] bool are_faults(std::string_view text) noexcept;
/// What are_faults() understands.
void plan_faults(std::string_view text) noexcept;

extern constinit atomic<bool> faults_planned;
/// 0: the call is to be made; else the error, which errno has too.
int fault_of(fallible c) noexcept;

/// The same, for whoever makes the call himself.
inline int fault(fallible c) noexcept {
    // relaxed: who plans faults makes sure himself that a call comes later.
    return faults_planned.load(memory_order_relaxed) ? fault_of(c) : 0;
}

/// How much of n bytes a stream's transfer is to try.
inline std::size_t perhaps_short(fallible c, std::size_t n) noexcept {
    const bool cut = n > 1 && fault(c) != 0;
    return cut ? 1 : n;
}

/// What a function of type R() returns when its row says that it fails with e.
template <fallible Row, class R>
R failure(int e) noexcept {
    if constexpr (std::is_pointer_v<R>) {
        // mmap's MAP_FAILED; null is what malloc returns.
        return Row == fallible::mmap ? reinterpret_cast<R>(std::intptr_t{-1}) : R{};
    } else if constexpr (Row == fallible::pthread_create || Row == fallible::getaddrinfo) {
        return R{e};
    } else {
        return R{-1};
    }
}

/// make(), or its failure.
template <fallible Row, class Call>
auto make_or_fail(Call make) noexcept {
    if (const int e = fault(Row); e != 0) [[unlikely]] {
        // A close that fails has closed: Linux lets go of the number first.
        if constexpr (Row == fallible::close) make();
        return failure<Row, decltype(make())>(e);
    }
    return make();
}
/// f(args...), or its failure.
template <fallible Row, class R, class... Params>
R may_fail(R (*f)(Params...), std::type_identity_t<Params>... args) noexcept {
    return make_or_fail<Row>([&] { return f(args...); });
}
template <fallible Row, class R, class... Params, class... Args>
R may_fail(R (*f)(Params..., ...), Args... args) noexcept {
    return make_or_fail<Row>([&] { return f(args...); });
}

/// A function of the system: what os.hpp's names are.
template <fallible Row, class R, class... Params>
struct fallible_function {
    R (*function)(Params...);
    R operator()(Params... args) const noexcept { return may_fail<Row>(function, args...); }
};
template <fallible Row, class R, class... Params>
struct fallible_variadic {
    R (*function)(Params..., ...);
    template <class... Args>
    R operator()(Args... args) const noexcept {
        return may_fail<Row>(function, args...);
    }
};
template <fallible Row, class R, class... Params>
constexpr fallible_function<Row, R, Params...> as_fallible(R (*function)(Params...)) noexcept {
    return {function};
}
template <fallible Row, class R, class... Params>
constexpr fallible_variadic<Row, R, Params...> as_fallible(R (*function)(Params..., ...)) noexcept {
    return {function};
}

}  // namespace vole::inline v0::detail
