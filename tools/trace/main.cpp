// vole-check-trace FILE: what `tools/vole check-trace` runs. Exit status: 0 all rules hold, 1 one does not, 2 the file
// cannot be read, or is no recording.
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tools/trace/checking.hpp"

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

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fputs("usage: vole-check-trace FILE\n", stderr);
        return 2;
    }
    std::vector<std::byte> bytes;
    if (!read_file(argv[1], bytes)) {
        std::fprintf(stderr, "vole-check-trace: cannot read %s\n", argv[1]);
        return 2;
    }
    const vole::trace::result r = vole::trace::check(bytes);
    if (!r.unreadable.empty()) {
        std::fprintf(stderr, "vole-check-trace: %s: %s\n", argv[1], r.unreadable.c_str());
        return 2;
    }
    std::fputs(to_text(r).c_str(), stdout);
    return r.good() ? 0 : 1;
}
