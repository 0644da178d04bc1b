// Clang's thread-safety annotations under our prefix; nothing under other compilers.
#pragma once

#if defined(__clang__)
#define VOLE_TS(x) __attribute__((x))
#else
#define VOLE_TS(x)
#endif

#define VOLE_CAPABILITY(name) VOLE_TS(capability(name))
#define VOLE_SCOPED_CAPABILITY VOLE_TS(scoped_lockable)
#define VOLE_GUARDED_BY(x) VOLE_TS(guarded_by(x))
#define VOLE_REQUIRES(...) VOLE_TS(requires_capability(__VA_ARGS__))
#define VOLE_EXCLUDES(...) VOLE_TS(locks_excluded(__VA_ARGS__))
#define VOLE_ACQUIRE(...) VOLE_TS(acquire_capability(__VA_ARGS__))
#define VOLE_RELEASE(...) VOLE_TS(release_capability(__VA_ARGS__))
#define VOLE_TRY_ACQUIRE(...) VOLE_TS(try_acquire_capability(__VA_ARGS__))
#define VOLE_NO_TS VOLE_TS(no_thread_safety_analysis)
