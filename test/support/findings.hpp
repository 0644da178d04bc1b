// Catch2's assertions are not thread-safe, so goroutines and threads note here what did not hold, and the
// test case compares after them: CHECK(ok.text() == "").
#pragma once

#include <vole/panic.hpp>

#include "test/support/wait.hpp"

#include <mutex>
#include <sstream>
#include <string>
#include <string_view>

namespace vole::test {

/// What did not hold, with file and line. Any goroutine or thread; its lock is held for no user code.
class findings {
  public:
    /// Notes a place where something did not hold; returns whether it did.
    bool operator()(bool held, std::string_view what = "", place where = here()) {
        if (!held) note(std::string("does not hold ") + std::string(what), where);
        return held;
    }

    /// Both values in the note. They must have == and be streamable.
    template <class A, class B>
    bool equal(const A& got, const B& wanted, place where = here()) {
        if (got == wanted) return true;
        std::ostringstream s;
        s << "got " << got << ", wanted " << wanted;
        note(s.str(), where);
        return false;
    }

    /// f() must throw exactly an E with this text.
    template <class E, class F>
    bool throws(std::string_view text, F&& f, place where = here()) {
        try {
            f();
        } catch (const E& e) {
            if (e.what() == text) return true;
            note(std::string("threw \"") + e.what() + "\", wanted \"" + std::string(text) + "\"",
                 where);
            return false;
        }
        note("threw nothing, wanted \"" + std::string(text) + "\"", where);
        return false;
    }

    /// The first of them, a line each; empty when all held.
    std::string text() const {
        std::lock_guard hold(lock_);
        return text_;
    }

  private:
    void note(const std::string& what, place where) {
        std::string_view file = where.file;
        file.remove_prefix(file.rfind('/') == file.npos ? 0 : file.rfind('/') + 1);
        std::lock_guard hold(lock_);
        if (++count_ > 20) return;
        text_ += std::string(file) + ":" + std::to_string(where.line) + ": " + what + "\n";
    }

    mutable std::mutex lock_;
    std::string text_;
    int count_ = 0;
};

/// Calls f(ok) on this thread, then in a goroutine on one, two and four Ps; gives what did not hold.
template <class F>
std::string everywhere(F f, place where = here()) {
    std::string text;
    const auto add = [&](const char* title, const findings& ok) {
        if (!ok.text().empty()) text += title + ok.text();
    };
    {
        findings ok;
        f(ok);
        add("on a thread:\n", ok);
    }
    for (const int procs : {1, 2, 4}) {
        findings ok;
        run_on(
            procs, [&] { f(ok); }, where);
        add(procs == 1 ? "on one P:\n" : procs == 2 ? "on two Ps:\n" : "on four Ps:\n", ok);
    }
    return text;
}

}  // namespace vole::test
