// The concurrent prime sieve, in the shape every Go programmer has met: a goroutine sends all
// numbers from 2 on into a chain of filters, and each filter is a goroutine that drops the
// multiples of one prime. Whatever reaches the end of the chain is the next prime, and becomes one
// more filter.
//
//     sieve [COUNT]        prints the first COUNT primes (30 unless asked)
//
// It is no fast way to find primes. It is a good way to see what a goroutine costs: the hundredth
// prime, 541, is passed on by a hundred goroutines before anybody prints it.
#include <charconv>
#include <cstring>
#include <iostream>

#include <vole/vole.hpp>

// The types of the parameters say who may do what, as chan<- and <-chan do: this one only sends.
void generate(vole::send_chan<int> out) {
    for (int n = 2;; ++n) out.send(n);
}

void filter(vole::recv_chan<int> in, vole::send_chan<int> out, int prime) {
    for (int n : in)
        if (n % prime != 0) out.send(n);
}

void print_primes(int count) {
    auto numbers = vole::make_chan<int>();
    vole::go(generate, numbers);
    for (int i = 0; i < count; ++i) {
        int prime = *numbers.recv();  // nobody closes the channel: there is always a value
        std::cout << prime << '\n';
        auto rest = vole::make_chan<int>();
        vole::go(filter, numbers, rest, prime);
        numbers = rest;
    }
    // The generator and the filters are still there, each waiting for somebody to take its number.
    // They stop with the process, as in Go. pipeline.cpp shows how to send them home.
}

int main(int argc, char** argv) {
    int count = 30;
    if (argc > 1) {
        const char* end = argv[1] + std::strlen(argv[1]);
        auto [stop, error] = std::from_chars(argv[1], end, count);
        if (argc > 2 || error != std::errc{} || stop != end || count < 1 || count > 10'000) {
            std::cerr << "usage: sieve [COUNT]    with COUNT from 1 to 10000\n";
            return 2;
        }
    }
    vole::run([=] { print_primes(count); });
}
