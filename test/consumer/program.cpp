// What an embedding program does at the least: it names every floor, so that a library missing from
// a link line shows, and it is built with its own warnings as errors, so that our headers must be clean.
#include <cstdio>

#include <vole/vole.hpp>

int main() {
    const auto began = vole::clock::now();
    const int sum = vole::run([] {
        auto numbers = vole::make_chan<int>();
        vole::wait_group senders;
        for (int i = 1; i <= 4; ++i) senders.go([=] { numbers.send(i); });
        vole::go([&senders, numbers]() mutable {
            senders.wait();
            numbers.close();
        });
        int total = 0;
        for (int n : numbers) total += n;
        return total;
    });
    const auto home = vole::net::endpoint::parse("127.0.0.1:80");
    const bool sane = sum == 10 && home.port() == 80 && vole::clock::now() >= began;
    std::printf("%s: sum %d, %s\n", vole::version, sum, home.to_string().c_str());
    return sane ? 0 : 1;
}
