// Through a frame that was stopped between any two instructions: tracebacks, gdb, exceptions.
#include <catch2/catch.hpp>

#include "test/preempt/preempt_support.hpp"

#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <unwind.h>
#include <vector>

namespace vole::test {

namespace {

std::atomic<bool> stop_all{false};

// Before the first traceback: with the runtime's own frames.
const int shows_everything = ::setenv("VOLE_TRACEBACK", "system", 1);

extern "C" {
[[gnu::noinline]] void preempt_innermost(long turn) {
    for (long i = 0; i < turn && !stop_all.load(std::memory_order_relaxed); ++i) {
    }
    asm volatile("");
}
[[gnu::noinline]] void preempt_middle(long turn) {
    preempt_innermost(turn);
    asm volatile("");
}
// Enters the runtime now and then, see first_turn.
[[gnu::noinline]] void preempt_outer() {
    for (long turn = first_turn; !stop_all.load(std::memory_order_relaxed); turn *= 2) {
        preempt_middle(turn);
        gosched();
    }
}
}

std::string traceback() {
    std::FILE* file = std::tmpfile();
    write_traceback(::fileno(file));
    std::fseek(file, 0, SEEK_SET);
    std::string text;
    char part[4096];
    while (const std::size_t n = std::fread(part, 1, sizeof(part), file)) text.append(part, n);
    std::fclose(file);
    return text;
}

// Beside two goroutines in preempt_innermost, on one P, so that one of them is stopped at any time: what f
// gives, at the first time that it contains `wanted`.
template <class F>
std::string beside_stopped_goroutines(F f, const char* wanted) {
    stop_all = false;
    return run_on(1, [&] {
        wait_group all;
        all.go(preempt_outer);
        all.go(preempt_outer);
        std::string text;
        wait_until([&] {
            text = f();
            return text.find(wanted) != std::string::npos;
        });
        stop_all = true;
        all.wait();
        return text;
    });
}

void check_frames(const std::string& text, const char* from) {
    INFO(text);
    const auto inner = text.find("preempt_innermost", text.find(from));
    const auto middle = text.find("preempt_middle", inner);
    const auto outer = text.find("preempt_outer", middle);
    const auto start = text.find("vole_gostart", outer);
    CHECK(inner != std::string::npos);
    CHECK(inner < middle);
    CHECK(middle < outer);
    CHECK(outer < start);
    CHECK(start != std::string::npos);
}

}  // namespace

TEST_CASE("a traceback through a frozen goroutine is whole") {
    if (!has_signals) return;
    const std::string text = beside_stopped_goroutines(traceback, "runnable, preempted]");
    check_frames(text, "runnable, preempted]");
}

TEST_CASE("child: traceback after an injected call", "[.child]") {
    choose_migration();
    const std::string text = beside_stopped_goroutines(traceback, "vole_async_preempt\n");
    CHECK(counts().injections > 0);
    check_frames(text, "vole_async_preempt\n");
}
TEST_CASE("a traceback through an injected call is whole") {
    if (!has_free_migration) return;
    const auto r = run_case_in_subprocess("child: traceback after an injected call",
                                          {.env = with_free_migration()});
    INFO(r.text());
    CHECK(r.succeeded());
}

#if defined(VOLE_GDB)
TEST_CASE("gdb sees a frozen goroutine's frames through the signal frame") {
    if (!has_signals) return;
    // Into a file: what is stopped does not read, and a pipe is full after 64 KiB. Only while one is frozen, which
    // it stays as long as this goroutine keeps the P: gdb takes seconds on a machine under load.
    const auto look = []() -> std::string {
        const detail::runtime_pin pin;
        if (detail::frozen_threads() == 0) return {};
        const std::string file = "vole-gdb-" + std::to_string(::getpid()) + ".txt";
        const std::string command = std::string(VOLE_GDB) + " -nx -batch -p " +
                                    std::to_string(::getpid()) +
                                    " -ex 'thread apply all backtrace' > " + file + " 2>/dev/null";
        const bool ran = std::system(command.c_str()) == 0;
        std::ifstream in(file);
        const std::string all{std::istreambuf_iterator<char>(in), {}};
        ::unlink(file.c_str());
        return ran ? all : std::string();
    };
    // As a line of its own ("#9  <..." or "#11 <..."), not as an argument of some frame.
    const char* line = " <signal handler called>\n";
    const std::string text = beside_stopped_goroutines(look, line);
    INFO(text);
    const auto signal = text.find(line);
    const auto inner = text.find("preempt_innermost", signal);
    const auto outer = text.find("preempt_outer", inner);
    CHECK(signal != std::string::npos);
    CHECK(inner != std::string::npos);
    CHECK(outer != std::string::npos);
    CHECK(text.find("run_body", outer) != std::string::npos);
}
#endif

namespace {

[[gnu::noinline]] int compute_then_throw(int x) {
    for (int i = 0; i < 2000; ++i) asm volatile("" ::: "memory");
    if (x % 2 == 0) throw x;
    return x;
}

[[gnu::noinline]] int call_thrower(int x) {
    std::string kept = std::to_string(x);
    for (int i = 0; i < 500; ++i) asm volatile("" ::: "memory");
    const int y = compute_then_throw(x);
    return y + static_cast<int>(kept.size() > 100);
}

_Unwind_Reason_Code keep_pc(_Unwind_Context* context, void* out) {
    static_cast<std::vector<std::uintptr_t>*>(out)->push_back(_Unwind_GetIP(context));
    return _URC_NO_REASON;
}

[[gnu::noinline]] std::vector<std::uintptr_t> own_frames() {
    std::vector<std::uintptr_t> pcs;
    _Unwind_Backtrace(keep_pc, &pcs);
    if (!pcs.empty()) pcs.erase(pcs.begin());
    return pcs;
}

}  // namespace

TEST_CASE("exceptions right after a preemption are caught") {
    std::atomic<long> wrong{0};
    run_on(2, [&] {
        const storm around(storm::kind::dense);
        wait_group all;
        for (int i = 0; i < 4; ++i) {
            all.go([&] {
                for (int k = 0; k < scaled(5000); ++k) {
                    int caught = -1;
                    try {
                        caught = call_thrower(k);
                    } catch (int x) {
                        caught = x;
                    }
                    if (caught != k) ++wrong;
                }
            });
        }
        all.wait();
    });
    CHECK(wrong == 0);
}

TEST_CASE("a goroutine's own backtrace is the same before and after it was stopped") {
    const auto before = counts();
    run_on(1, [&] {
        const storm around(storm::kind::dense);
        std::atomic<bool> other{true};
        wait_group all;
        all.go([&] {
            while (other.load(std::memory_order_relaxed)) {
            }
        });
        all.go([&] {
            std::vector<std::uintptr_t> first;
            const auto enough = [&, wanted = static_cast<std::uint64_t>(scaled(200))](int i) {
                return has_signals ? counts().freezes >= before.freezes + wanted : i == 200;
            };
            for (int i = 0; !enough(i); ++i) {
                const auto now = own_frames();
                if (first.empty()) first = now;
                if (now != first) std::abort();
                for (int k = 0; k < 200'000; ++k) asm volatile("" ::: "memory");
            }
            other = false;
        });
        all.wait();
    });
    if (has_signals) CHECK(counts().freezes > before.freezes);
}

}  // namespace vole::test
