// A tour of Vole for people who come from Go.
//
//     tools/vole run test/examples/tour.cpp [FILE...]
//
// Read it from top to bottom: seven stops, each a function that prints what it shows. The last stop
// is a program with a use: it counts the words of text files on all processors, and checks the
// result against a count made the plain way. Without arguments it reads the project's own sources.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include <vole/vole.hpp>

namespace {

// ---------------------------------------------------------------------------------------------
// 1. go
//
// `go f(x)` is vole::go(f, x). Arguments are copied (or moved) into the new goroutine, as in Go;
// what a lambda captures by reference is NOT kept alive for it. Go's compiler would move such a
// variable to the heap, C++ leaves it on this stack frame. So: capture by reference only what you
// wait for, as here, where wg.wait() holds the frame until the last goroutine is done with it.

int fibonacci(int n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

void goroutines() {
    std::cout << "1. go\n";

    std::vector<int> results(10);
    vole::wait_group wg;
    for (std::size_t i = 0; i < results.size(); ++i)
        wg.go([&results, i] { results[i] = fibonacci(static_cast<int>(i)); });
    wg.wait();

    std::cout << "   ten goroutines computed:";
    for (int result : results) std::cout << ' ' << result;
    std::cout << '\n';
}

// ---------------------------------------------------------------------------------------------
// 2. Channels
//
// A vole::chan<T> is a handle like Go's: copy it freely, all copies are the same channel, and it
// lives as long as somebody holds one. `v, ok := <-c` is recv(), whose std::optional is empty when
// the channel is closed and drained. Elements are moved, not copied, so ownership can travel.

void ping_pong(vole::recv_chan<int> in, vole::send_chan<int> out) {
    for (int n : in)  // for n := range in
        out.send(n + 1);
    out.close();
}

void channels() {
    std::cout << "2. channels\n";

    auto ping = vole::make_chan<int>();  // unbuffered: a send waits for its receiver
    auto pong = vole::make_chan<int>();
    vole::go(ping_pong, ping, pong);
    int n = 0;
    for (int round = 0; round < 1000; ++round) {
        ping.send(n);
        n = pong.recv().value();
    }
    ping.close();
    std::cout << "   after 1000 rounds of ping-pong: " << n << '\n';
    std::cout << "   and then: " << (pong.recv() ? "a value" : "closed") << '\n';

    auto letters = vole::make_chan<std::unique_ptr<std::string>>(3);  // buffered
    for (const char* text : {"alpha", "beta", "gamma"})
        letters.send(std::make_unique<std::string>(text));
    letters.close();  // no more sends; what is inside can still be received
    std::cout << "   " << letters.len() << " of " << letters.cap() << " places taken:";
    for (const auto& letter : letters) std::cout << ' ' << *letter;
    std::cout << '\n';
}

// ---------------------------------------------------------------------------------------------
// 3. select
//
// Each case of a select is an argument: on_recv, on_send, otherwise (Go's default). Of several that
// are ready one is chosen at random; the function beside it runs after the choice has been made,
// with no lock held, so it may do anything a goroutine may do.

vole::recv_chan<int> count_by(int first, int step, int last) {
    auto out = vole::make_chan<int>();
    vole::go([=] {
        for (int n = first; n <= last; n += step) out.send(n);
        out.close();
    });
    return out;
}

void selecting() {
    std::cout << "3. select\n";

    auto odd = count_by(1, 2, 99);
    auto even = count_by(2, 2, 100);
    int sum = 0;
    int open = 2;
    // A closed channel is always ready, so each one that ends is replaced by the nil channel, which
    // never is. That is Go's own idiom, and the nil channel is what chan<T>{} makes here.
    auto add_from = [&](vole::recv_chan<int>& c) {
        return [&](std::optional<int> n) {
            if (n) {
                sum += *n;
            } else {
                c = {};
                --open;
            }
        };
    };
    while (open > 0)
        vole::select(vole::on_recv(odd, add_from(odd)), vole::on_recv(even, add_from(even)));
    std::cout << "   odd and even numbers up to 100 add up to " << sum << '\n';

    auto busy = vole::make_chan<int>();
    vole::select(vole::on_send(busy, 1, [] { std::cout << "   sent\n"; }),
                 vole::otherwise([] { std::cout << "   nobody receives: do not wait\n"; }));
}

// ---------------------------------------------------------------------------------------------
// 4. Mutex
//
// vole::mutex parks the goroutine, where std::mutex would park the whole thread. It has the
// standard's names, so the standard's guards take the place of `defer mu.Unlock()`.

class account {
  public:
    void deposit(int amount) {
        std::lock_guard lock{mutex_};
        balance_ += amount;
    }
    int balance() {
        std::lock_guard lock{mutex_};
        return balance_;
    }

  private:
    vole::mutex mutex_;
    int balance_ = 0;
};

void locking() {
    std::cout << "4. mutex\n";

    account savings;
    vole::wait_group wg;
    for (int i = 0; i < 100; ++i)
        wg.go([&] {
            for (int k = 0; k < 100; ++k) savings.deposit(1);
        });
    wg.wait();
    std::cout << "   100 goroutines paid in 100 times: " << savings.balance() << '\n';
}

// ---------------------------------------------------------------------------------------------
// 5. Exceptions
//
// Go's panic is a C++ exception, recover is catch, and what `defer` does, destructors do. A
// goroutine is a stack of its own, so an exception ends at its bottom: what another goroutine shall
// hear of is caught and sent. (One that nobody catches is reported on stderr and ends that goroutine
// only, where Go would end the process.) A catch block may block and wake up on another thread; the
// exception it handles stays its own.

int parse_digit(char c) {
    if (c < '0' || c > '9') throw std::invalid_argument(std::string("not a digit: ") + c);
    return c - '0';
}

void exceptions() {
    std::cout << "5. exceptions\n";

    auto errors = vole::make_chan<std::exception_ptr>();
    vole::go([errors] {
        try {
            for (char c : std::string_view("12x4")) parse_digit(c);
        } catch (...) {
            vole::gosched();  // others run here, throw and catch; ours is untouched
            errors.send(std::current_exception());
        }
        errors.close();
    });
    for (std::exception_ptr error : errors) {
        try {
            std::rethrow_exception(error);
        } catch (const std::invalid_argument& e) {
            std::cout << "   a goroutine reported: " << e.what() << '\n';
        }
    }

    // What is a run-time panic in Go is a vole::runtime_error, with Go's text.
    try {
        errors.send(nullptr);
    } catch (const vole::runtime_error& e) {
        std::cout << "   caught: " << e.what() << '\n';
    }
}

// ---------------------------------------------------------------------------------------------
// 6. gomaxprocs
//
// How many goroutines run at the same instant. At the start: VOLE_MAXPROCS if set, else as many as
// the container's quota and the CPU affinity allow. It can be changed at any time, under load.

void processors() {
    std::cout << "6. gomaxprocs\n";

    std::atomic<int> steps = 0;
    vole::wait_group wg;
    for (int i = 0; i < 8; ++i)
        wg.go([&steps] {
            for (int k = 0; k < 1000; ++k) {
                ++steps;
                vole::gosched();  // rarely needed; here it keeps eight goroutines on the move
            }
        });
    const int before = vole::gomaxprocs(1);  // as in Go: sets, and returns what was
    for (int procs : {4, 2, 3, before}) {
        vole::gosched();
        vole::gomaxprocs(procs);
    }
    wg.wait();
    std::cout << "   took " << steps << " steps while the number of processors changed\n";
    std::cout << "   and run on " << vole::gomaxprocs() << " of " << vole::num_cpu() << " CPUs\n";
}

// ---------------------------------------------------------------------------------------------
// 7. A program: counting words
//
//     files -> [reader] -> blocks -> [counter] x gomaxprocs -> counts -> merged here
//
// Files differ in size, so the work is cut into blocks, each ending between two words.

using word_counts = std::unordered_map<std::string, std::uint64_t>;
using file_list = std::vector<std::filesystem::path>;

// A word is a run of letters; letters beyond ASCII come as several bytes of 128 and above.
bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || static_cast<unsigned char>(c) >= 128;
}

char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

void count_words(std::string_view text, word_counts& counts) {
    std::string word;
    auto at = text.begin();
    while (true) {
        at = std::find_if(at, text.end(), is_letter);
        if (at == text.end()) return;
        auto end = std::find_if_not(at, text.end(), is_letter);
        word.resize(static_cast<std::size_t>(end - at));
        std::transform(at, end, word.begin(), to_lower);
        ++counts[word];
        at = end;
    }
}

// Hands out the text of a file in blocks that end where no word does.
class block_reader {
  public:
    explicit block_reader(const std::filesystem::path& file) : file_(file) {
        std::error_code ignored;  // if it cannot even be looked at, open() below says why
        if (std::filesystem::is_directory(file, ignored))
            throw std::runtime_error("cannot read " + file.string() + ": it is a directory");
        in_.open(file, std::ios::binary);
        const int error = errno;
        if (!in_)
            throw std::system_error(error, std::generic_category(), "cannot read " + file.string());
    }

    std::optional<std::string> next() {
        constexpr std::size_t block_size = 64 * 1024;
        std::string block = std::move(rest_);
        rest_.clear();
        while (in_) {
            const std::size_t old = block.size();
            block.resize(old + block_size);
            in_.read(block.data() + old, block_size);
            block.resize(old + static_cast<std::size_t>(in_.gcount()));
            if (in_.bad())
                throw std::runtime_error("cannot read " + file_.string() + ": input/output error");
            auto cut = std::find_if_not(block.rbegin(), block.rend(), is_letter).base();
            if (in_ && cut != block.begin()) {
                rest_.assign(cut, block.end());
                block.erase(cut, block.end());
                return block;
            }
            // The file ended, or one word fills the whole block: then read on.
        }
        if (block.empty()) return std::nullopt;
        return block;
    }

  private:
    std::filesystem::path file_;
    std::ifstream in_;
    std::string rest_;
};

word_counts count_one_by_one(const file_list& files) {
    word_counts counts;
    for (const auto& file : files) {
        block_reader reader(file);
        while (auto block = reader.next()) count_words(*block, counts);
    }
    return counts;
}

word_counts count_in_parallel(const file_list& files) {
    auto blocks = vole::make_chan<std::string>(16);  // bounded: the reader cannot run far ahead
    auto partial = vole::make_chan<word_counts>();
    auto failure = vole::make_chan<std::exception_ptr>(1);

    vole::go([&files, blocks, failure] {
        try {
            for (const auto& file : files) {
                // A disk can keep a thread waiting. Go's os package tells the scheduler by itself;
                // with the C++ library we say it: others get the processor in the meantime.
                auto reader = vole::blocking([&] { return block_reader(file); });
                while (auto block = vole::blocking([&] { return reader.next(); }))
                    blocks.send(std::move(*block));
            }
        } catch (...) {
            failure.send(std::current_exception());
        }
        failure.close();
        blocks.close();
    });

    vole::wait_group counters;
    for (int i = 0; i < vole::gomaxprocs(); ++i)
        counters.go([blocks, partial] {
            word_counts counts;  // each counter has its own: nothing to lock
            for (const std::string& block : blocks) count_words(block, counts);
            partial.send(std::move(counts));
        });
    vole::go([&counters, partial] {
        counters.wait();
        partial.close();
    });

    word_counts total;
    for (const word_counts& counts : partial)
        for (const auto& [word, count] : counts) total[word] += count;
    // Only now, when every goroutine above is done with our variables, may an exception leave.
    if (auto error = failure.recv()) std::rethrow_exception(*error);
    return total;
}

// The project's sources: around this file, or around the current directory.
file_list own_sources() {
    namespace fs = std::filesystem;
    std::vector<fs::path> starts{fs::absolute(__FILE__).parent_path(), fs::current_path()};
    for (const fs::path& start : starts)
        for (fs::path root = start; root != root.root_path(); root = root.parent_path()) {
            if (!fs::exists(root / "test/examples/tour.cpp")) continue;
            file_list files;
            for (const char* folder : {"arch", "runtime", "sync", "time", "net", "test", "tools"})
                if (fs::is_directory(root / folder))
                    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
                        const auto suffix = entry.path().extension();
                        if (suffix == ".cpp" || suffix == ".hpp" || suffix == ".S" ||
                            suffix == ".md")
                            files.push_back(entry.path());
                    }
            return files;
        }
    throw std::runtime_error("the project's sources are not here: name the files to count");
}

template <class F>
auto timed(std::chrono::milliseconds& time, F f) {
    using namespace std::chrono;
    const auto start = steady_clock::now();
    auto result = f();
    time = duration_cast<milliseconds>(steady_clock::now() - start);
    return result;
}

bool word_count(const file_list& files) {
    std::cout << "7. the words of " << files.size() << " files\n";

    std::chrono::milliseconds parallel_time{}, plain_time{};
    const auto counts = timed(parallel_time, [&] { return count_in_parallel(files); });
    const auto expected = timed(plain_time, [&] { return count_one_by_one(files); });

    std::vector<std::pair<std::string, std::uint64_t>> ranking(counts.begin(), counts.end());
    std::ranges::sort(ranking, [](const auto& a, const auto& b) {
        return a.second != b.second ? a.second > b.second : a.first < b.first;
    });
    std::uint64_t total = 0;
    for (const auto& [word, count] : ranking) total += count;

    std::cout << "   " << total << " words, " << ranking.size() << " different ones\n";
    if (ranking.size() > 10) ranking.resize(10);
    for (const auto& [word, count] : ranking) std::cout << "   " << count << ' ' << word << '\n';
    std::cout << "   " << parallel_time.count() << " ms on " << vole::gomaxprocs()
              << " processors, " << plain_time.count() << " ms one by one\n";
    const bool same = counts == expected;
    std::cout << "   both counts are " << (same ? "the same" : "DIFFERENT") << '\n';
    return same;
}

}  // namespace

// vole::run starts the runtime, runs main's goroutine and gives back what it returns or throws.
int main(int argc, char** argv) try {
    file_list files(argv + 1, argv + argc);
    return vole::run([&] {
        goroutines();
        channels();
        selecting();
        locking();
        exceptions();
        processors();
        return word_count(files.empty() ? own_sources() : files) ? 0 : 1;
    });
} catch (const std::exception& e) {
    std::cerr << "tour: " << e.what() << '\n';
    return 1;
}
