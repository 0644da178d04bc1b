// What a panic's value is printed as (PAN-50).
#pragma once

#include <any>
#include <cstddef>
#include <exception>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>

#include <vole/config.hpp>

namespace vole::inline v0::detail {

std::string integer_text(bool negative, unsigned long long magnitude);
/// As Go's print does: +1.234500e+000.
std::string float_text(double x);
/// TYPE(number), (TYPE) 0xaddress
std::string enum_text(const std::type_info& type, const std::string& number);
std::string object_text(const std::type_info& type, const void* object);
template <class T>
std::string number_text(T x) {
    if constexpr (std::is_same_v<T, bool>) {
        return x ? "true" : "false";
    } else if constexpr (std::is_same_v<T, char>) {
        return std::string(1, x);
    } else if constexpr (std::is_floating_point_v<T>) {
        return float_text(static_cast<double>(x));
    } else {
        const bool negative = x < T{};
        using wide = std::conditional_t<std::is_signed_v<T>, long long, unsigned long long>;
        const auto bits = static_cast<unsigned long long>(static_cast<wide>(x));
        return integer_text(negative, negative ? 0 - bits : bits);
    }
}

template <class T>
bool is_nil_panic(const T& value) noexcept {
    if constexpr (std::is_same_v<T, std::nullptr_t>) {
        return true;
    } else if constexpr (std::is_same_v<T, std::any>) {
        return !value.has_value();
    } else if constexpr (std::is_same_v<T, const char*> || std::is_same_v<T, char*>) {
        return value == nullptr;
    } else {
        return false;
    }
}

std::string any_text(const std::any& value);

template <class T>
std::string panic_text(const T& value) {
    if constexpr (std::is_same_v<T, std::any>) {
        return any_text(value);
    } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
        return std::string(std::string_view(value));
    } else if constexpr (std::is_base_of_v<std::exception, T>) {
        return value.what();
    } else if constexpr (std::is_arithmetic_v<T>) {
        return number_text(value);
    } else if constexpr (requires {
                             { value.to_string() } -> std::convertible_to<std::string>;
                         }) {
        return value.to_string();
    } else if constexpr (std::is_enum_v<T>) {
        return enum_text(typeid(T), number_text(static_cast<std::underlying_type_t<T>>(value)));
    } else {
        return object_text(typeid(T), &value);
    }
}

}  // namespace vole::detail
