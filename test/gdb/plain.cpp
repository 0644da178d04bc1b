// A program without Vole; with LAYOUT_VERSION, one whose Vole is of another time.
#include <cstdint>

extern "C" {
#if defined(LAYOUT_VERSION)
extern const std::uint32_t vole_debug_layout[];
const std::uint32_t vole_debug_layout[] = {0x656c6f76, LAYOUT_VERSION, 12};
#endif
[[gnu::noinline]] void gdb_stop() { asm volatile(""); }
}

int main() { gdb_stop(); }
