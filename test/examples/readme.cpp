// The program of the front page: ten goroutines, one channel, one loop.
#include <iostream>

#include <vole/vole.hpp>

int main() {
    vole::run([] {
        auto squares = vole::make_chan<int>();
        vole::wait_group workers;
        for (int n = 1; n <= 10; ++n) workers.go([=] { squares.send(n * n); });
        vole::go([&workers, squares] {
            workers.wait();
            squares.close();
        });
        int sum = 0;
        for (int square : squares) sum += square;
        std::cout << "the first ten squares add up to " << sum << '\n';
    });
}
