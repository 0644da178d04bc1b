// Events in words, for findings.
#pragma once

#include <string>

#include "runtime/internal/g_status.hpp"
#include "tools/trace/reading.hpp"

namespace vole::trace {

constexpr detail::g_status from(const event& e) {
    return static_cast<detail::g_status>(e.change & 0xfU);
}
constexpr detail::g_status to(const event& e) {
    return static_cast<detail::g_status>(e.change >> 4U);
}
constexpr std::uint16_t subject_p(const event& e) {
    return static_cast<std::uint16_t>(e.subject & 0xffff);
}
constexpr std::uint16_t subject_m(const event& e) {
    return static_cast<std::uint16_t>(e.subject >> 16 & 0xffff);
}

const char* to_text(detail::g_status s);
/// "M 3"; "no M".
std::string m_name(std::uint16_t m);
/// "P 1"; "no P".
std::string p_name(std::uint16_t p);
/// "goroutine 7: running -> waiting, on M 3 with P 1".
std::string describe(const event& e);

}  // namespace vole::trace
