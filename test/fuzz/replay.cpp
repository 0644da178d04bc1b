// A main for targets where there is no libFuzzer: each file named, and each in a folder named, is given to the target
// once; so are all its beginnings, which are what truncation leaves. Prints how many inputs there were.
#include "test/fuzz/target.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>

namespace {

namespace fs = std::filesystem;

// Beginnings of long files: only so many.
constexpr std::size_t most_beginnings = 600;

void give(std::string_view text) {
    // Of exactly this size, so that a sanitizer sees what is read beyond it.
    const std::vector<std::uint8_t> bytes(text.begin(), text.end());
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
}

std::size_t replay(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    const std::string text(std::istreambuf_iterator<char>(in), {});
    if (in.bad() || !in.is_open()) {
        std::fprintf(stderr, "cannot read %s\n", file.c_str());
        std::exit(2);
    }
    std::fprintf(stderr, "%s\n", file.c_str());  // the last one is it, if the process dies
    give(text);
    const std::size_t beginnings = std::min(text.size(), most_beginnings);
    for (std::size_t n = 0; n < beginnings; ++n) give(std::string_view(text).substr(0, n));
    return 1 + beginnings;
}

}  // namespace

int main(int argc, char** argv) {
    std::vector<fs::path> files;
    for (int i = 1; i < argc; ++i) {
        if (!fs::is_directory(argv[i])) {
            files.emplace_back(argv[i]);
            continue;
        }
        for (const auto& entry : fs::directory_iterator(argv[i])) files.push_back(entry.path());
    }
    std::ranges::sort(files);
    std::size_t inputs = 0;
    for (const fs::path& file : files) inputs += replay(file);
    std::fprintf(stderr, "%zu files, %zu inputs\n", files.size(), inputs);
    return inputs != 0 ? 0 : 2;
}
