// What the files of the look-up of names have in common: literal.cpp reads numeric addresses, system_lookup.cpp asks the
// system, shared_lookup.cpp lets many callers wait for one answer, resolve.cpp puts them together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <system_error>
#include <vector>

#include <vole/context.hpp>
#include <vole/detail/atomic.hpp>
#include <vole/net/endpoint.hpp>
#include <vole/semaphore.hpp>

namespace vole::inline v0::detail {

/// What a look-up has come to: addresses with port 0, each once, or an error.
struct host_answer {
    std::vector<net::endpoint> addresses;
    std::error_code error;
};

/// "192.0.2.1", "2001:db8::1", "fe80::1%2", "fe80::1%eth0", with port 0. nullopt: not a numeric address, or of an interface
/// that does not exist. Stack: any; asks the kernel for an interface at most.
std::optional<net::endpoint> parse_literal(std::string_view host);

/// Asks the system's resolver; it takes as long as that takes. `family`: AF_UNSPEC, AF_INET or AF_INET6.
/// Stack: a thread's own, getaddrinfo(3) has no limit that one could rely on.
host_answer ask_system(const char* host, int family);
/// What an error of getaddrinfo(3) means. `error`: errno, for those that are in there.
std::error_code error_of_lookup(int code, int error) noexcept;

/// Who is asked: ask_system(). Tests put a function of theirs here, which runs where that one would: on the thread's own
/// stack, inside blocking(), so it must wait by means of the system only. release when set, acquire when called: it
/// sees what was made ready for it.
extern atomic<host_answer (*)(const char* host, int family)> host_lookup;

/// For how many look-ups at the same time the system is asked: one token each, lookup_limit() in all.
weighted_semaphore& lookup_slots();
std::int64_t lookup_limit() noexcept;

/// Waits for the look-up of a name, which others may wait for, too. When ctx is done, errc::canceled or errc::timeout.
/// Throws std::bad_alloc only.
host_answer look_up_shared(std::string_view host, int family, const context& ctx);

/// Look-ups that exist, for tests: those that somebody waits for, and those that still run.
std::size_t lookups_alive() noexcept;
/// Callers that wait for the look-up of this name now; 0 as well where there is none. For tests.
std::size_t lookup_callers(std::string_view host, int family);

/// errc::canceled or errc::timeout for what context::err() gives.
std::error_code ended_by(std::error_code context_error) noexcept;

}  // namespace vole::detail
