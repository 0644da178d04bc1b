// See checking.hpp.
#include "tools/trace/checking.hpp"

#include <algorithm>

#include "runtime/internal/g_status.hpp"
#include "tools/trace/describing.hpp"
#include "tools/trace/table.hpp"

namespace vole::trace {

namespace {

using detail::g_status;
using detail::record_no_m;
using detail::record_no_p;

// What is known is stamped with the run it was learned in; from another run it is not known.
struct goroutine {
    std::uint64_t run = 0;
    std::uint64_t id = 0;
    std::uint64_t last = 0;  // its last event
    g_status status = g_status::idle;
    std::uint16_t m = record_no_m;  // that it is on; none: on none, or not known
};

struct machine {
    std::uint64_t p_run = 0;
    std::uint64_t g_run = 0;
    std::uint64_t p_since = 0;  // events
    std::uint64_t g_since = 0;
    std::uint64_t slot = 0;  // of the goroutine on it; 0: none
    std::uint16_t p = record_no_p;
};

enum class holding : std::uint8_t { nobody, owned, in_syscall, handed };

struct processor {
    std::uint64_t run = 0;
    std::uint64_t since = 0;
    holding how = holding::nobody;
    std::uint16_t m = record_no_m;
};

// Ids are never used again, so what is known of them does not end with a run.
struct id_use {
    std::uint64_t slot = 0;
    std::uint64_t first = 0;  // event
};

// One more than the greatest number of one.
std::size_t number_of_ms(const recording& in) {
    std::uint16_t most = 0;
    for (const event& e : in.events) {
        if (e.m != record_no_m) most = std::max(most, e.m);
        const bool other = e.kind != record_kind::status && subject_m(e) != record_no_m;
        if (other) most = std::max(most, subject_m(e));
    }
    return most + std::size_t{1};
}

class checker {
  public:
    checker(const recording& in, result& out)
        : in_(in), out_(out), ms_(number_of_ms(in)), ps_(1U << 12) {}

    void run() {
        std::uint64_t before = 0;
        std::uint64_t length = 0;
        for (const event& e : in_.events) {
            if (run_ == 0 || e.number != before + 1) {
                ++run_;
                length = 0;
            }
            before = e.number;
            if (++length > out_.longest_run) out_.longest_run = length;
            look_at(e);
        }
        out_.runs = run_;
    }

  private:
    void find(const event& e, std::uint64_t earlier, const char* rule, const std::string& text) {
        if (out_.findings.size() == most_findings) {
            ++out_.more_findings;
            return;
        }
        out_.findings.push_back({e.number, earlier, rule, describe(e) + ": " + text});
    }

    bool known(const goroutine& g) const { return g.run == run_; }
    bool known(const processor& p) const { return p.run == run_; }
    bool p_known(const machine& m) const { return m.p_run == run_; }
    bool g_known(const machine& m) const { return m.g_run == run_; }

    void set(const event& e, processor& p, holding how, std::uint16_t m) {
        p = {run_, e.number, how, m};
    }
    void set_p(const event& e, machine& m, std::uint16_t p) {
        m.p_run = run_;
        m.p_since = e.number;
        m.p = p;
    }
    void set_g(const event& e, machine& m, std::uint64_t slot) {
        m.g_run = run_;
        m.g_since = e.number;
        m.slot = slot;
    }

    std::string name_of(std::uint64_t slot) { return "goroutine " + std::to_string(gs_[slot].id); }

    void look_at(const event& e) {
        switch (e.kind) {
            case record_kind::status: return change(e);
            case record_kind::acquire: return acquire(e);
            case record_kind::release: return give_up(e, holding::nobody);
            case record_kind::syscall: return give_up(e, holding::in_syscall);
            case record_kind::back: return come_back(e);
            case record_kind::retake: return retake(e);
            case record_kind::detach: return take_away(e);
            case record_kind::hand: return hand(e);
            case record_kind::unhand: return unhand(e);
            case record_kind::none: break;
        }
    }

    // ---- who acts ------------------------------------------------------------------------------

    // The M and the P that the event says it was done by and under.
    void check_actor(const event& e) {
        if (e.m == record_no_m) {
            if (e.p != record_no_p) find(e, 0, "pair", "by a thread that is not ours, with a P");
            return;
        }
        machine& m = ms_[e.m];
        if (p_known(m) && m.p == e.p) return;
        if (p_known(m)) find(e, m.p_since, "pair", "but that M was left with " + p_name(m.p));
        set_p(e, m, e.p);
        if (e.p == record_no_p) return;
        processor& p = ps_[e.p];
        const bool its_own = p.how == holding::owned && p.m == e.m;
        if (known(p) && !its_own) find(e, p.since, "one owner", "but " + holder(p, e.p));
        set(e, p, holding::owned, e.m);
    }

    static std::string holder(const processor& p, std::uint16_t number) {
        switch (p.how) {
            case holding::nobody: return "nobody has " + p_name(number);
            case holding::owned: return m_name(p.m) + " has " + p_name(number);
            case holding::in_syscall: return m_name(p.m) + " left it in a system call";
            case holding::handed: return p_name(number) + " has been handed to " + m_name(p.m);
        }
        return {};
    }

    // ---- Ps ------------------------------------------------------------------------------------

    // The acting M has the event's P from here on.
    void own(const event& e) {
        machine& m = ms_[e.m];
        const std::uint16_t number = subject_p(e);
        if (p_known(m) && m.p != record_no_p) {
            find(e, m.p_since, "one P", "but it has " + p_name(m.p));
        }
        if (e.p != number) find(e, 0, "pair", "but it does not know");
        set_p(e, m, number);
        set(e, ps_[number], holding::owned, e.m);
    }

    bool by_one_of_ours(const event& e) {
        if (e.m != record_no_m) return true;
        find(e, 0, "ownership", "by a thread that is not ours");
        return false;
    }

    void acquire(const event& e) {
        if (!by_one_of_ours(e)) return;
        const processor& p = ps_[subject_p(e)];
        const bool may = p.how == holding::nobody || (p.how == holding::handed && p.m == e.m);
        if (known(p) && !may) find(e, p.since, "one owner", "but " + holder(p, subject_p(e)));
        own(e);
    }

    void come_back(const event& e) {
        if (!by_one_of_ours(e)) return;
        const processor& p = ps_[subject_p(e)];
        const bool may = p.how == holding::in_syscall && p.m == e.m;
        if (known(p) && !may) find(e, p.since, "ownership", "but " + holder(p, subject_p(e)));
        own(e);
    }

    void give_up(const event& e, holding then) {
        if (!by_one_of_ours(e)) return;
        check_actor(e);
        const std::uint16_t number = subject_p(e);
        machine& m = ms_[e.m];
        if (e.p != number) find(e, m.p_since, "ownership", "but it has " + p_name(e.p));
        if (g_known(m) && m.slot != 0) {
            const goroutine& g = gs_[m.slot];
            if (known(g) && g.status == g_status::running) {
                find(e, g.last, "needs a P", "but " + name_of(m.slot) + " runs on it");
            }
        }
        set_p(e, m, record_no_p);
        set(e, ps_[number], then, then == holding::nobody ? record_no_m : e.m);
    }

    void retake(const event& e) {
        check_actor(e);
        processor& p = ps_[subject_p(e)];
        if (known(p) && p.how != holding::in_syscall) {
            find(e, p.since, "ownership", "but " + holder(p, subject_p(e)));
        }
        set(e, p, holding::nobody, record_no_m);
    }

    void take_away(const event& e) {
        check_actor(e);
        const std::uint16_t number = subject_p(e);
        processor& p = ps_[number];
        machine& m = ms_[subject_m(e)];
        const bool its_own = p.how == holding::owned && p.m == subject_m(e);
        if (known(p) && !its_own) find(e, p.since, "ownership", "but " + holder(p, number));
        if (p_known(m) && m.p != number) {
            find(e, m.p_since, "ownership", "but that M has " + p_name(m.p));
        }
        goroutine& g = gs_[e.slot];
        if (g_known(m) && m.slot != e.slot) {
            find(e, m.g_since, "one goroutine", "but " + on_it(m) + " is on that M");
        }
        if (known(g) && g.status != g_status::syscall) {
            find(e, g.last, "needs a P", "but " + name_of(e.slot) + " is " + to_text(g.status));
        }
        g.m = subject_m(e);
        set_g(e, m, e.slot);
        set_p(e, m, record_no_p);
        set(e, p, holding::nobody, record_no_m);
    }

    void hand(const event& e) {
        check_actor(e);
        processor& p = ps_[subject_p(e)];
        if (known(p) && p.how != holding::nobody) {
            find(e, p.since, "one owner", "but " + holder(p, subject_p(e)));
        }
        set(e, p, holding::handed, subject_m(e));
    }

    void unhand(const event& e) {
        check_actor(e);
        processor& p = ps_[subject_p(e)];
        const bool was = p.how == holding::handed && p.m == subject_m(e);
        if (known(p) && !was) find(e, p.since, "ownership", "but " + holder(p, subject_p(e)));
        set(e, p, holding::nobody, record_no_m);
    }

    // ---- goroutines ----------------------------------------------------------------------------

    std::string on_it(const machine& m) {
        return m.slot != 0 ? name_of(m.slot) : std::string("no goroutine");
    }

    void change(const event& e) {
        check_actor(e);
        goroutine& g = gs_[e.slot];
        check_identity(e, g);
        check_status(e, g);
        if (!known(g)) g.m = record_no_m;
        g.run = run_;
        g.id = e.subject;
        // The table of goroutines does not grow below, so g stays good.
        if (from(e) == g_status::running || from(e) == g_status::syscall) leave(e, g);
        if (to(e) == g_status::running) begin(e, g);
        g.status = to(e);
        g.last = e.number;
    }

    void check_identity(const event& e, const goroutine& g) {
        id_use& use = ids_[e.subject];
        const bool born = from(e) == g_status::idle;
        if (use.first == 0) {
            use = {e.slot, e.number};
        } else if (born) {
            find(e, use.first, "identity", "but that id has been used before");
        } else if (use.slot != e.slot) {
            find(e, use.first, "identity", "but that id is used for other memory as well");
        }
        if (!born && known(g) && g.id != e.subject) {
            find(e, g.last, "identity",
                 "but its memory is that of goroutine " + std::to_string(g.id));
        }
        use.slot = e.slot;
    }

    void check_status(const event& e, const goroutine& g) {
        if (!detail::legal(from(e), to(e))) {
            find(e, known(g) ? g.last : 0, "transition", "there is no such change");
        }
        if (!known(g) || g.status == from(e)) return;
        const bool ready = from(e) == g_status::waiting && to(e) == g_status::runnable;
        find(e, g.last, ready ? "one ready" : "continuity",
             std::string("but it was left ") + to_text(g.status));
    }

    // It was running, or in a system call.
    void leave(const event& e, goroutine& g) {
        const bool stays = to(e) == g_status::syscall || to(e) == g_status::running;
        if (e.m == record_no_m) {
            // sysmon, which is about to take the P: `detach` follows.
            const bool detached = from(e) == g_status::running && to(e) == g_status::syscall;
            if (!detached) find(e, g.last, "one thread", "by a thread that is not ours");
            return;
        }
        machine& m = ms_[e.m];
        if (g.m != record_no_m && g.m != e.m) {
            find(e, g.last, "one thread", "but it is on " + m_name(g.m));
        } else if (g_known(m) && m.slot != e.slot) {
            find(e, m.g_since, "one goroutine", "but " + on_it(m) + " is on that M");
        }
        if (from(e) == g_status::running && e.p == record_no_p) {
            find(e, m.p_since, "needs a P", "but it has none");
        }
        g.m = stays ? e.m : record_no_m;
        set_g(e, m, stays ? e.slot : 0);
    }

    void begin(const event& e, goroutine& g) {
        if (e.m == record_no_m) return find(e, 0, "one thread", "on a thread that is not ours");
        machine& m = ms_[e.m];
        if (e.p == record_no_p) find(e, m.p_since, "needs a P", "but that M has none");
        const bool free = m.slot == 0 || m.slot == e.slot;
        if (g_known(m) && !free) {
            find(e, m.g_since, "one goroutine", "but " + on_it(m) + " is on that M");
        }
        g.m = e.m;
        set_g(e, m, e.slot);
    }

    const recording& in_;
    result& out_;
    std::uint64_t run_ = 0;
    table<goroutine> gs_;  // by slot
    table<id_use> ids_;
    std::vector<machine> ms_;
    std::vector<processor> ps_;
};

}  // namespace

result check(std::span<const std::byte> bytes) {
    result out;
    recording in;
    out.unreadable = read(bytes, in);
    if (!out.unreadable.empty()) return out;
    out.given_out = in.given_out;
    out.checked = in.events.size();
    out.incomplete = in.incomplete;
    out.crashed = in.crashed;
    checker(in, out).run();
    return out;
}

}  // namespace vole::trace
