// See describing.hpp; and to_text of checking.hpp.
#include "tools/trace/describing.hpp"

#include "tools/trace/checking.hpp"

namespace vole::trace {

const char* to_text(detail::g_status s) {
    using enum detail::g_status;
    switch (s) {
        case idle: return "idle";
        case runnable: return "runnable";
        case running: return "running";
        case syscall: return "in a system call";
        case waiting: return "waiting";
        case dead: return "dead";
    }
    return "?";
}

std::string m_name(std::uint16_t m) {
    return m == detail::record_no_m ? "no M" : "M " + std::to_string(m);
}
std::string p_name(std::uint16_t p) {
    return p == detail::record_no_p ? "no P" : "P " + std::to_string(p);
}

namespace {

std::string what_of(const event& e) {
    const std::string p = p_name(subject_p(e));
    const std::string m = m_name(subject_m(e));
    switch (e.kind) {
        case record_kind::none: return "nothing";
        case record_kind::status:
            return "goroutine " + std::to_string(e.subject) + ": " + to_text(from(e)) + " -> " +
                   to_text(to(e));
        case record_kind::acquire: return "acquires " + p;
        case record_kind::release: return "gives up " + p;
        case record_kind::syscall: return "leaves " + p + " for a system call";
        case record_kind::back: return "comes back to " + p;
        case record_kind::retake: return "takes " + p + " from a system call";
        case record_kind::detach: return "takes " + p + " from " + m;
        case record_kind::hand: return "hands " + p + " to " + m;
        case record_kind::unhand: return "takes " + p + " back from " + m;
    }
    return "?";
}

}  // namespace

std::string describe(const event& e) {
    return what_of(e) + ", by " + m_name(e.m) + " with " + p_name(e.p);
}

std::string to_text(const result& r) {
    if (!r.unreadable.empty()) return r.unreadable + "\n";
    std::string text;
    for (const finding& f : r.findings) {
        text += "event " + std::to_string(f.event) + ", " + f.rule + ": " + f.text;
        if (f.earlier != 0) text += " (event " + std::to_string(f.earlier) + ")";
        text += "\n";
    }
    if (r.more_findings != 0) text += "and " + std::to_string(r.more_findings) + " more\n";
    text += std::to_string(r.checked) + " of " + std::to_string(r.given_out) + " events checked, ";
    text += std::to_string(r.runs) + (r.runs == 1 ? " run" : " runs") +
            " without a gap, the longest of ";
    text += std::to_string(r.longest_run) + "; " +
            std::to_string(r.findings.size() + r.more_findings) + " findings";
    if (r.incomplete != 0) text += "; " + std::to_string(r.incomplete) + " events half written";
    if (r.crashed) text += "; of a process that crashed";
    return text + "\n";
}

}  // namespace vole::trace
