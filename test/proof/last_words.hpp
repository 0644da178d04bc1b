// What was being tried when the process dies: a broken channel often ends in freed memory before it ends in a wrong
// outcome. The handlers run on the signal stack, and only write(2).
#pragma once

#include <array>
#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <string_view>
#include <unistd.h>
#include <utility>

namespace vole::proof {

/// Says `VOLE_PROOF_SEED=n` when SIGABRT or SIGSEGV ends the process, then does what was to be done before it came.
class last_words {
  public:
    /// Before the runtime starts, whose own handler asks the one before it.
    static void install() {
        static bool installed = false;
        if (std::exchange(installed, true)) return;
        for (std::size_t i = 0; i < fatal.size(); ++i) {
            struct sigaction action {};
            action.sa_handler = speak;
            action.sa_flags = SA_ONSTACK;
            sigemptyset(&action.sa_mask);
            ::sigaction(fatal[i], &action, &before[i]);
        }
    }
    /// 0: nothing.
    static void trying(std::uint64_t seed) { current.store(seed, std::memory_order_relaxed); }

  private:
    static void speak(int signal) {
        if (const std::uint64_t seed = current.exchange(0); seed != 0) {
            say("died while it tried VOLE_PROOF_SEED=");
            std::array<char, 24> digits{};
            char* end = std::to_chars(digits.data(), digits.data() + digits.size(), seed).ptr;
            *end++ = '\n';
            say({digits.data(), static_cast<std::size_t>(end - digits.data())});
        }
        for (std::size_t i = 0; i < fatal.size(); ++i) {
            if (fatal[i] != signal) continue;
            ::sigaction(signal, &before[i], nullptr);
            ::raise(signal);
        }
    }
    static void say(std::string_view text) {
        [[maybe_unused]] const ssize_t n = ::write(STDERR_FILENO, text.data(), text.size());
    }

    static constexpr std::array<int, 2> fatal{SIGABRT, SIGSEGV};
    static inline std::array<struct sigaction, 2> before{};
    static inline std::atomic<std::uint64_t> current{0};
};

}  // namespace vole::proof
