// See report.hpp.
//
// Locks: installed_mu, a mutex. Stack: goroutine; write_replay in a signal handler.
#include "time/src/explore/report.hpp"

#include <signal.h>
#include <unistd.h>

#include <mutex>

#include <vole/sync.hpp>

#include "runtime/internal/fatal.hpp"
#include "runtime/internal/os.hpp"

namespace vole::inline v0::detail {

// ---- the schedule -----------------------------------------------------------------------------

namespace {

constexpr std::size_t most_lines = 60;
constexpr std::size_t line_width = 100;

std::string label(const explored_run& run, std::uint32_t number) {
    const std::string& name = run.names()[number];
    return name.empty() ? std::to_string(number) : std::to_string(number) + " " + name;
}

std::string text_of(const explored_run::event& e) {
    std::string text = e.what;
    if (e.object != 0) text += " #" + std::to_string(e.object);
    if (e.goes_on) text = "(" + text + " goes on)";
    return text;
}

// The middle of a long one is left out.
std::string shortened(const std::vector<std::string>& parts) {
    std::string whole;
    for (const std::string& p : parts) whole += (whole.empty() ? "" : ", ") + p;
    if (whole.size() <= line_width || parts.size() <= 4) return whole;
    return parts[0] + ", " + parts[1] + ", ... " + std::to_string(parts.size() - 4) +
           " more ..., " + parts[parts.size() - 2] + ", " + parts.back();
}

}  // namespace

std::string schedule_text(const explored_run& run) {
    const auto& events = run.events();
    std::vector<std::string> lines;
    for (std::size_t i = 0; i < events.size();) {
        std::vector<std::string> parts;
        const std::uint32_t number = events[i].number;
        const bool preempts = events[i].preempts;
        for (; i < events.size() && events[i].number == number; ++i) {
            parts.push_back(text_of(events[i]));
        }
        lines.push_back("  " + label(run, number) + ": " + shortened(parts) +
                        (preempts ? "    <- although the one before could go on" : ""));
    }
    std::string text;
    std::size_t first = 0;
    if (lines.size() > most_lines) {
        first = lines.size() - most_lines;
        text += "  ... " + std::to_string(first) + " switches before\n";
    }
    for (; first < lines.size(); ++first) text += lines[first] + "\n";
    return text;
}

// ---- aborting ---------------------------------------------------------------------------------

namespace {

constinit mutex installed_mu;
constinit int installed = 0;
struct sigaction before;

// SIGABRT comes from the thread that aborts: what it reads is not being changed, unless it was the explorer that
// aborted.
void write_replay(int) {
    if (const auto* run = static_cast<const explored_run*>(current_explorer()); run != nullptr) {
        message text;
        text << "explore: this schedule ends the process; to run it again: VOLE_REPLAY=path:";
        bool first = true;
        for (const deviation& d : run->path()) {
            if (!first) text << ",";
            first = false;
            text << d.at << "=" << std::uint64_t{d.option};
            text.write_to(STDERR_FILENO);
        }
        text << "\n";
        text.write_to(STDERR_FILENO);
    }
    os::sigaction(SIGABRT, &before, nullptr);
    // abort() raises it once more if this returns.
}

}  // namespace

abort_note::abort_note() {
    const std::lock_guard held(installed_mu);
    if (installed++ != 0) return;
    struct sigaction mine {};
    mine.sa_handler = write_replay;
    mine.sa_flags = SA_ONSTACK;
    os::sigaction(SIGABRT, &mine, &before);
}

abort_note::~abort_note() {
    const std::lock_guard held(installed_mu);
    if (--installed == 0) os::sigaction(SIGABRT, &before, nullptr);
}

}  // namespace vole::detail
