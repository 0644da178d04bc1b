// A pipeline that can be sent home early.
//
//     numbers -> square, square, square -> merge -> main
//
// The first stage would go on for ever. Main wants a few results and then no more, and no goroutine
// may stay behind. No timeout decides that: main closes a channel `done`, and since a closed
// channel is ready for every receiver, one close reaches every stage at once. Each stage that sends
// therefore waits for two things in a select: that its value is taken, or that nobody wants it.
//
// The program ends with the proof: no goroutine is left of those that the pipeline has started.
#include <algorithm>
#include <cmath>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include <vole/testing.hpp>
#include <vole/vole.hpp>

using signal_chan = vole::recv_chan<void>;

// What all stages share. The cases of a select are numbered from 0, and it returns the one taken:
// true if the value was sent, false if nobody wants it any more.
bool send_or_done(signal_chan done, vole::send_chan<long> out, long value) {
    return vole::select(vole::on_send(out, value), vole::on_recv(done)) == 0;
}

// Each stage is a function that makes its output channel, starts the goroutine that fills it, and
// returns the receiving end. The goroutine holds its own handles to the channels (captured by
// value), so it does not matter that the function has long returned.
vole::recv_chan<long> numbers(signal_chan done) {
    auto out = vole::make_chan<long>();
    vole::go([=] {
        for (long n = 1; send_or_done(done, out, n); ++n) {
        }
        out.close();
    });
    return out;
}

vole::recv_chan<long> square(signal_chan done, vole::recv_chan<long> in) {
    auto out = vole::make_chan<long>();
    vole::go([=] {
        for (long n : in)
            if (!send_or_done(done, out, n * n)) break;
        out.close();
    });
    return out;
}

// Many into one: a goroutine for each input, and one more that closes the output after the last of
// them. merge itself has returned by then, so the wait group cannot live in its frame.
vole::recv_chan<long> merge(signal_chan done, std::vector<vole::recv_chan<long>> inputs) {
    auto out = vole::make_chan<long>();
    auto copiers = std::make_shared<vole::wait_group>();
    for (auto in : inputs)
        copiers->go([=] {
            for (long n : in)
                if (!send_or_done(done, out, n)) break;
        });
    vole::go([=] {
        copiers->wait();
        out.close();
    });
    return out;
}

bool is_square(long n) {
    const long root = std::lround(std::sqrt(static_cast<double>(n)));
    return root * root == n;
}

int run_pipeline() {
    const std::size_t before = vole::num_goroutine();
    vole::testing::goroutine_leaks leaks;

    auto done = vole::make_chan<void>();
    auto source = numbers(done);
    auto results = merge(done, {square(done, source), square(done, source), square(done, source)});

    // Three goroutines square, so the results come in no fixed order: take any ten.
    std::vector<long> seen;
    for (long n : results) {
        seen.push_back(n);
        if (seen.size() == 10) break;
    }
    std::cout << "took " << seen.size() << " of infinitely many squares\n";
    std::cout << "goroutines at work: " << vole::num_goroutine() - before << '\n';

    done.close();
    for (long n : results)  // what a stage had already in hand; ends when merge closes
        seen.push_back(n);
    // Waits a moment: a goroutine that has done its last visible thing may still be about to end.
    if (const std::string left = leaks.text(); !left.empty()) {
        std::cerr << "pipeline: goroutines left behind: " << left;
        return 1;
    }
    std::cout << "goroutines left behind: 0\n";

    std::ranges::sort(seen);
    if (!std::ranges::all_of(seen, is_square) || std::ranges::adjacent_find(seen) != seen.end()) {
        std::cerr << "pipeline: a wrong number, or one that came twice\n";
        return 1;
    }
    std::cout << "each of them a square, none twice\n";
    return 0;
}

int main() { return vole::run(run_pipeline); }
