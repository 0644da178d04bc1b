// Version of the library.
//
// Everything public lives in namespace vole; an inline namespace named after the ABI keeps objects
// of incompatible versions from linking together.
#pragma once

#define VOLE_VERSION_MAJOR 0
#define VOLE_VERSION_MINOR 1
#define VOLE_VERSION_PATCH 0

// GCC says which sanitizer is on by a macro, clang by __has_feature: one spelling from here on.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define VOLE_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define VOLE_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(VOLE_ASAN)
#define VOLE_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__) && !defined(VOLE_TSAN)
#define VOLE_TSAN 1
#endif

namespace vole::inline v0 {

/// The library's version as text, "major.minor.patch".
inline constexpr const char* version = "0.1.0";

}  // namespace vole
