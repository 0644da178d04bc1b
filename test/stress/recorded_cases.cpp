// With VOLE_TEST_RECORD=1 each test case is recorded, and checked at its end: the suite "stress recorded". A case whose
// recording breaks a rule ends the process: Catch2 asks nobody behind a case whether it passed, and the runner
// takes that for the case's failure and goes on with the others. The recording is kept, as is that of a crash.
//
// Not in the same run as the other stress tests: taking numbers from one counter orders threads, on most
// processors by a full fence, and what races unordered there would not race here.
#define CATCH_CONFIG_EXTERNAL_INTERFACES  // listeners
#include <catch2/catch.hpp>

#include "test/support/recorded.hpp"
#include "test/support/scale.hpp"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <unistd.h>

namespace {

using vole::test::recorded;

// 2 MiB for each P, of which sanitizers would make 16.
constexpr std::uint64_t events_each = std::uint64_t{1} << 16;

const std::string& file() {
    static const std::string name = [] {
        const char* folder = std::getenv("TMPDIR");
        return std::string(folder != nullptr ? folder : "/tmp") + "/vole-stress-" +
               std::to_string(::getpid()) + ".recording";
    }();
    return name;
}

void keep(const std::vector<std::byte>& bytes) {
    std::ofstream out(file(), std::ios::binary);
    out.write(reinterpret_cast<const char*>(bytes.data()),
              static_cast<std::streamsize>(bytes.size()));
}

struct case_recorder : Catch::TestEventListenerBase {
    using TestEventListenerBase::TestEventListenerBase;

    void testCaseStarting(const Catch::TestCaseInfo&) override {
        if (!vole::test::is_recorded_run()) return;
        tape_ = std::make_unique<recorded>(events_each, file().c_str());
        if (!tape_->is_on()) say("not recorded: something is going on from an earlier case");
    }

    void testCaseEnded(const Catch::TestCaseStats& stats) override {
        if (tape_ == nullptr || !tape_->is_on()) return;
        const auto result = tape_->finish();
        if (result.good()) {
            if (std::getenv("VOLE_TEST_RECORD_VERBOSE") != nullptr) {
                say((stats.testInfo.name + ": " + vole::trace::to_text(result)).c_str());
            }
            return;
        }
        keep(tape_->bytes());
        say(("recording of \"" + stats.testInfo.name + "\", kept in " + file() + ":").c_str());
        say(vole::trace::to_text(result).c_str());
        std::abort();
    }

  private:
    static void say(const char* text) { std::fprintf(stderr, "%s\n", text); }

    std::unique_ptr<recorded> tape_;
};
CATCH_REGISTER_LISTENER(case_recorder)

}  // namespace
