// Throwing op_error from where there may be little stack. See io_object.hpp.
//
// Stack: goroutine, or an ordinary thread's.
#include <string>

#include <vole/net/error.hpp>

#include "net/src/io_object.hpp"
#include "runtime/internal/deep.hpp"

namespace vole::inline v0::detail {

VOLE_FITS_SMALL_STACK;

namespace {
// The texts, too, are made there: strerror may have to read a catalogue of messages.
constexpr std::size_t text_bytes = 20 * 1024;
}  // namespace

void throw_op_error(std::error_code e, const char* op, const char* network, std::string_view source,
                    std::string_view address) {
    stack::ensure(throw_bytes + text_bytes, [&] {
        throw net::op_error(e, op, network, std::string(source), std::string(address));
    });
    __builtin_unreachable();
}

void throw_op_error(std::error_code e, const char* op, const io_object* it) {
    stack::ensure(throw_bytes + text_bytes, [&] {
        if (it == nullptr) throw net::op_error(e, op, "", "", "");
        std::string own = it->local.to_string();
        // Without a second one, its own is the address: of a listener, say.
        if (it->remote.empty()) throw net::op_error(e, op, it->network, "", std::move(own));
        throw net::op_error(e, op, it->network, std::move(own), it->remote.to_string());
    });
    __builtin_unreachable();
}

}  // namespace vole::detail
