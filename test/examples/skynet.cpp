// Skynet: a goroutine starts ten, each of those starts ten, and so on down to a million leaves.
// Every leaf sends its own number to its parent, every parent adds up what its children send. The
// answer is known beforehand (0 + 1 + ... + 999999 = 499999500000), so nothing may get lost between
// a million births, a million deaths and the thefts between the processors.
//
//     skynet [LEAVES]      a million unless asked for another number
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <iostream>

#include <vole/vole.hpp>

constexpr std::uint64_t children = 10;

// Sends the sum of the numbers in [first, last).
void skynet(vole::send_chan<std::uint64_t> parent, std::uint64_t first, std::uint64_t last) {
    const std::uint64_t size = last - first;
    if (size == 1) {
        parent.send(first);
        return;
    }
    auto sums = vole::make_chan<std::uint64_t>();
    const std::uint64_t parts = size < children ? size : children;
    for (std::uint64_t i = 0; i < parts; ++i)
        vole::go(skynet, sums, first + size * i / parts, first + size * (i + 1) / parts);
    std::uint64_t sum = 0;
    for (std::uint64_t i = 0; i < parts; ++i) sum += *sums.recv();
    parent.send(sum);
}

int main(int argc, char** argv) {
    std::uint64_t leaves = 1'000'000;
    if (argc > 1) {
        const char* end = argv[1] + std::strlen(argv[1]);
        auto [stop, error] = std::from_chars(argv[1], end, leaves);
        if (argc > 2 || error != std::errc{} || stop != end || leaves < 1 || leaves > 100'000'000) {
            std::cerr << "usage: skynet [LEAVES]    with LEAVES from 1 to 100000000\n";
            return 2;
        }
    }
    return vole::run([=] {
        using namespace std::chrono;
        const auto start = steady_clock::now();
        auto result = vole::make_chan<std::uint64_t>();
        vole::go(skynet, result, std::uint64_t{0}, leaves);
        const std::uint64_t sum = *result.recv();
        const auto time = duration_cast<milliseconds>(steady_clock::now() - start);

        std::cout << sum << '\n'
                  << leaves << " leaves in " << time.count() << " ms, gomaxprocs "
                  << vole::gomaxprocs() << '\n';
        if (sum != leaves * (leaves - 1) / 2) {
            std::cerr << "skynet: the sum is wrong\n";
            return 1;
        }
        return 0;
    });
}
