// Sockets as blocking calls: everything of vole::net. Each part can be had alone from <vole/net/...>.
//
// What all of it has in common:
//  - An operation blocks the calling goroutine only, or the calling thread where that is not one. It may be called
//    from both, and from several at once on the same object, save for moving and destroying it.
//  - Each operation has two forms. Without a std::error_code it throws op_error, a std::system_error that says what was
//    done to which address. With one it throws nothing but std::bad_alloc, and clears it on success.
//  - Sizes are bytes. Instants are of vole::clock; a default-constructed one means "none".
//  - close() wakes whoever waits: they get errc::closed. A deadline that passes: errc::timeout.
//  - Nothing here raises SIGPIPE, and every descriptor is closed on exec.
//
// Semantics: Go's package net, and RFC 8305 for dialling names with several addresses.
#pragma once

#include <vole/net/conn.hpp>
#include <vole/net/copy.hpp>
#include <vole/net/dial.hpp>
#include <vole/net/endpoint.hpp>
#include <vole/net/error.hpp>
#include <vole/net/file.hpp>
#include <vole/net/listen.hpp>
#include <vole/net/packet.hpp>
#include <vole/net/resolve.hpp>
