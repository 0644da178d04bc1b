// vole-check-trace [--list] FILE: what `tools/vole check-trace` runs. With --list, every event comes before the
// findings, in order. Exit status: 0 all rules hold, 1 one does not, 2 the file cannot be read, or is no recording.
#include <cstdio>
#include <fstream>
#include <span>
#include <string_view>
#include <vector>

#include "tools/trace/checking.hpp"
#include "tools/trace/describing.hpp"

namespace {

bool read_file(const char* name, std::vector<std::byte>& into) {
    std::ifstream in(name, std::ios::binary | std::ios::ate);
    if (!in) return false;
    const std::streamoff size = in.tellg();
    if (size < 0) return false;
    into.resize(static_cast<std::size_t>(size));
    in.seekg(0);
    in.read(reinterpret_cast<char*>(into.data()), static_cast<std::streamsize>(into.size()));
    return in.good() || into.empty();
}

// A line for each event, and one for each gap.
void list(std::span<const std::byte> bytes) {
    vole::trace::recording all;
    if (!vole::trace::read(bytes, all).empty()) return;
    std::uint64_t before = 0;
    for (const vole::trace::event& e : all.events) {
        if (e.number != before + 1) std::puts("...");
        before = e.number;
        std::printf("%llu %s\n", static_cast<unsigned long long>(e.number),
                    vole::trace::describe(e).c_str());
    }
}

}  // namespace

int main(int argc, char** argv) {
    const bool listed = argc == 3 && std::string_view(argv[1]) == "--list";
    if (argc != 2 && !listed) {
        std::fputs("usage: vole-check-trace [--list] FILE\n", stderr);
        return 2;
    }
    const char* name = argv[argc - 1];
    std::vector<std::byte> bytes;
    if (!read_file(name, bytes)) {
        std::fprintf(stderr, "vole-check-trace: cannot read %s\n", name);
        return 2;
    }
    const vole::trace::result r = vole::trace::check(bytes);
    if (!r.unreadable.empty()) {
        std::fprintf(stderr, "vole-check-trace: %s: %s\n", name, r.unreadable.c_str());
        return 2;
    }
    if (listed) list(bytes);
    std::fputs(to_text(r).c_str(), stdout);
    return r.good() ? 0 : 1;
}
