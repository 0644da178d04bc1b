// Sockets, pipes and the poller's descriptors among what can be made to fail (runtime/internal/os.hpp). What a
// goroutine reads and writes goes by sys.hpp.
#pragma once

#include <netdb.h>
#include <sys/socket.h>
#if defined(__linux__)
#include <sys/sendfile.h>
#endif

#include "runtime/internal/os.hpp"

namespace vole::inline v0::detail::os {

inline constexpr auto socket = as_fallible<fallible::socket>(::socket);
inline constexpr auto bind = as_fallible<fallible::bind>(::bind);
inline constexpr auto listen = as_fallible<fallible::listen>(::listen);
inline constexpr auto shutdown = as_fallible<fallible::shutdown>(::shutdown);
inline constexpr auto setsockopt = as_fallible<fallible::setsockopt>(::setsockopt);
inline constexpr auto getsockopt = as_fallible<fallible::getsockopt>(::getsockopt);
inline constexpr auto getsockname = as_fallible<fallible::getsockname>(::getsockname);
inline constexpr auto getpeername = as_fallible<fallible::getpeername>(::getpeername);
inline constexpr auto pipe = as_fallible<fallible::pipe>(::pipe);
inline constexpr auto getaddrinfo = as_fallible<fallible::getaddrinfo>(::getaddrinfo);
#if defined(__linux__)
inline constexpr auto pipe2 = as_fallible<fallible::pipe>(::pipe2);
inline constexpr auto sendfile = as_fallible<fallible::sendfile>(::sendfile);
inline constexpr auto splice = as_fallible<fallible::splice>(::splice);
#endif

}  // namespace vole::inline v0::detail::os
