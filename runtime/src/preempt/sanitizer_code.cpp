// See sanitizer_code.hpp. Stack: an ordinary thread's, once. Allocates.
#include "runtime/src/preempt/sanitizer_code.hpp"

#if defined(VOLE_ASAN) && defined(__clang__)
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "runtime/internal/os.hpp"

namespace vole::inline v0::detail {

namespace {

bool is_sanitizer(std::string_view name) noexcept {
    if (name.ends_with("_default_options") || name.ends_with("_default_suppressions")) return false;
    for (const std::string_view prefix :
         {"__asan_", "_ZN6__asan", "__sanitizer_", "_ZN11__sanitizer", "__interceptor_", "__ubsan_",
          "_ZN7__ubsan", "__lsan_", "_ZN6__lsan", "_ZN14__interception"}) {
        if (name.starts_with(prefix)) return true;
    }
    return false;
}

struct stretch {
    std::uintptr_t lo = ~std::uintptr_t{0};
    std::uintptr_t hi = 0;
};

// Of functions in a symbol table of the file that is mapped at `file`.
stretch hull(const char* file) noexcept {
    const auto* header = reinterpret_cast<const Elf64_Ehdr*>(file);
    const auto* sections = reinterpret_cast<const Elf64_Shdr*>(file + header->e_shoff);
    stretch found;
    for (int i = 0; i < header->e_shnum; ++i) {
        const Elf64_Shdr& table = sections[i];
        if (table.sh_type != SHT_SYMTAB && table.sh_type != SHT_DYNSYM) continue;
        const char* names = file + sections[table.sh_link].sh_offset;
        const auto* symbols = reinterpret_cast<const Elf64_Sym*>(file + table.sh_offset);
        for (std::size_t k = 0; k < table.sh_size / sizeof(Elf64_Sym); ++k) {
            const Elf64_Sym& s = symbols[k];
            if (ELF64_ST_TYPE(s.st_info) != STT_FUNC || s.st_shndx == SHN_UNDEF) continue;
            if (!is_sanitizer(names + s.st_name)) continue;
            // Its constructors are sorted to the front of everything: they run before main.
            if (s.st_size == 0) continue;
            found.lo = std::min(found.lo, static_cast<std::uintptr_t>(s.st_value));
            found.hi = std::max(found.hi, static_cast<std::uintptr_t>(s.st_value + s.st_size));
        }
    }
    return found;
}

}  // namespace

void add_sanitizer_code(void (*f)(std::uintptr_t lo, std::uintptr_t hi)) noexcept {
    const int fd = os::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    struct stat s {};
    void* file = MAP_FAILED;
    if (os::fstat(fd, &s) == 0) {
        file =
            os::mmap(nullptr, static_cast<std::size_t>(s.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
    }
    os::close(fd);
    if (file == MAP_FAILED) return;
    const stretch code = hull(static_cast<const char*>(file));
    os::munmap(file, static_cast<std::size_t>(s.st_size));
    std::uintptr_t base = 0;
    dl_iterate_phdr(
        [](dl_phdr_info* object, std::size_t, void* out) {
            *static_cast<std::uintptr_t*>(out) = object->dlpi_addr;  // the program comes first
            return 1;
        },
        &base);
    if (code.lo < code.hi) f(base + code.lo, base + code.hi);
}

}  // namespace vole::detail
#endif
