// The two ways in which values travel through channels: copied as bytes, or
// moved in a box.
#pragma once

#include <cstdint>
#include <memory>

namespace vole::proof {

using plain_number = int;
using boxed_number = std::unique_ptr<int>;

template <class T>
T make_element(int value);
template <>
inline plain_number make_element<plain_number>(int value) {
    return value;
}
template <>
inline boxed_number make_element<boxed_number>(int value) {
    return std::make_unique<int>(value);
}

/// One that has been moved away, or is none of ours, gives 255, which nobody
/// sends.
inline std::uint8_t number_of(plain_number n) {
    return n > 0 && n < 255 ? static_cast<std::uint8_t>(n) : std::uint8_t{255};
}
inline std::uint8_t number_of(const boxed_number& n) {
    return n != nullptr ? number_of(*n) : std::uint8_t{255};
}

}  // namespace vole::proof
