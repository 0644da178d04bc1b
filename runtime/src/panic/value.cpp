// See value.hpp and <vole/detail/panic_text.hpp>; the formats are Go's (PAN-50).
#include "runtime/src/panic/value.hpp"

#include <cxxabi.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace vole::inline v0::detail {

std::string type_name(const std::type_info& type) {
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> plain{
        abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), std::free};
    return plain != nullptr ? plain.get() : type.name();
}

std::string integer_text(bool negative, unsigned long long magnitude) {
    return (negative ? "-" : "") + std::to_string(magnitude);
}

std::string float_text(double x) {
    char text[48];
    std::snprintf(text, sizeof(text), "%+.6e", x);
    char* exponent = std::strchr(text, 'e');
    if (exponent == nullptr) return x != x ? "NaN" : x > 0 ? "+Inf" : "-Inf";
    const int power = std::atoi(exponent + 1);
    const std::string digits = std::to_string(power < 0 ? -power : power);
    *exponent = '\0';
    return text + std::string(power < 0 ? "e-" : "e+") +
           std::string(digits.size() < 3 ? 3 - digits.size() : 0, '0') + digits;
}

std::string enum_text(const std::type_info& type, const std::string& number) {
    return type_name(type) + "(" + number + ")";
}

std::string object_text(const std::type_info& type, const void* object) {
    char address[32];
    std::snprintf(address, sizeof(address), "%#zx", reinterpret_cast<std::uintptr_t>(object));
    return "(" + type_name(type) + ") " + address;
}

namespace {
template <class... T>
std::string text_of_one(const std::any& value) {
    std::string text;
    const auto try_one = [&]<class U>(const U* v) {
        if (v != nullptr) text = panic_text(*v);
        return v != nullptr;
    };
    return (try_one(std::any_cast<T>(&value)) || ...)
               ? text
               : object_text(value.type(), static_cast<const void*>(&value));
}
}  // namespace

std::string any_text(const std::any& value) {
    return text_of_one<std::string, const char*, std::string_view, bool, char, int, unsigned, long,
                       unsigned long, long long, unsigned long long, short, unsigned short,
                       signed char, unsigned char, float, double, long double>(value);
}

void throw_panic(std::any value, std::string text) {
    throw panic_error(std::move(value), std::move(text));
}
void throw_nil_panic() { throw panic_nil_error(); }
void throw_nil_deferred() {
    throw runtime_error("runtime error: invalid memory address or nil pointer dereference");
}

void throw_unprintable(std::any value) {
    std::string text;
    try {
        throw;
    } catch (const unprintable_error&) {
        text = type_name(value.type());
    } catch (const std::exception& e) {
        text = e.what();
    } catch (...) {
        const std::type_info* type = abi::__cxa_current_exception_type();
        text = "type " + (type != nullptr ? type_name(*type) : std::string("unknown"));
    }
    throw unprintable_error(std::move(value), std::move(text));
}

}  // namespace vole::detail

namespace vole::inline v0 {

panic_nil_error::panic_nil_error()
    : runtime_error("panic called with nil argument (use GODEBUG=panicnil=1 to disable)") {}

}  // namespace vole
