#include "test/proof/csp_model.hpp"

#include "test/proof/csp_state.hpp"

#include <vector>

namespace vole::proof {
namespace {

/// Answers "which of n?" with each answer in turn: step through it until there
/// is nothing new.
class chooser {
  public:
    /// Below n.
    std::size_t pick(std::size_t n) {
        if (n <= 1) return 0;
        if (at_ == path_.size()) path_.push_back({0, n});
        return path_[at_++].taken;
    }
    /// To the next combination of answers; false: all have been given.
    bool next() {
        at_ = 0;
        while (!path_.empty() && path_.back().taken + 1 == path_.back().of) path_.pop_back();
        if (path_.empty()) return false;
        ++path_.back().taken;
        return true;
    }

  private:
    struct choice {
        std::size_t taken, of;
    };
    std::vector<choice> path_;
    std::size_t at_ = 0;
};

/// The rules, applied to one state.
class interpreter {
  public:
    interpreter(const program& p, state& s, chooser& choice) : p_(p), s_(s), choice_(choice) {}

    /// The next operation of a process that does not wait.
    void step(std::size_t i) {
        const operation& op = p_.processes[i][s_.processes[i].at];
        switch (op.kind) {
            case op_kind::send: send(i, op.channel, op.value); break;
            case op_kind::recv:
            case op_kind::range: receive(i, op.channel); break;
            case op_kind::close: note(i, close(op.channel)); break;
            case op_kind::try_send:
            case op_kind::try_recv: attempt(i, op); break;
            case op_kind::select: select(i, op); break;
            case op_kind::pause: note(i, {event_kind::paused}); break;
        }
    }
    /// Whether its next operation can be begun now.
    bool can_step(std::size_t i) const {
        if (!is_free(i)) return false;
        if (p_.processes[i][s_.processes[i].at].kind != op_kind::pause) return true;
        for (std::size_t other = 0; other < p_.processes.size(); ++other) {
            if (other != i && is_free(other)) return false;
        }
        return true;
    }

    /// See csp_outcome.hpp.
    std::vector<event> inspect() {
        std::vector<event> log;
        const auto channels = static_cast<std::uint8_t>(p_.capacities.size());
        for (std::uint8_t c = 0; c < channels; ++c) {
            log.push_back({event_kind::length, 0, s_.channels[c].buffer.size()});
            while (can_receive(c) && !is_drained(c)) log.push_back({event_kind::value, 0, take(c)});
            log.push_back({is_drained(c) ? event_kind::closed : event_kind::not_ready});
        }
        for (std::uint8_t c = 0; c < channels; ++c) {
            std::uint8_t value = inspector_values;
            while (!s_.channels[c].closed && can_send(c)) {
                give(c, value++);
                log.push_back({event_kind::sent});
            }
            log.push_back(
                {s_.channels[c].closed ? event_kind::send_panics : event_kind::not_ready});
        }
        for (std::uint8_t c = 0; c < channels; ++c) log.push_back(close(c));
        return log;
    }

  private:
    /// It has not returned, and does not wait.
    bool is_free(std::size_t i) const {
        return !s_.processes[i].waits && s_.processes[i].at != p_.processes[i].size();
    }

    // ---- what is ready: CHAN-2, CHAN-13, CHAN-40, CHAN-41, CHAN-47, CHAN-56
    bool can_send(std::uint8_t c) const {
        if (c == nil_channel) return false;
        const channel_state& ch = s_.channels[c];
        return ch.closed || ch.receivers.size() != 0 || ch.buffer.size() < p_.capacities[c];
    }
    bool can_receive(std::uint8_t c) const {
        if (c == nil_channel) return false;
        const channel_state& ch = s_.channels[c];
        return ch.closed || ch.buffer.size() != 0 || ch.senders.size() != 0;
    }
    /// Receiving tells that it is closed: CHAN-27, CHAN-43.
    bool is_drained(std::uint8_t c) const {
        return s_.channels[c].closed && s_.channels[c].buffer.size() == 0;
    }

    // ---- transfers, which must be possible
    /// To the first who waits, else into the buffer: CHAN-15, CHAN-18.
    void give(std::uint8_t c, std::uint8_t value) {
        channel_state& ch = s_.channels[c];
        if (ch.receivers.size() != 0)
            complete(ch.receivers[0], c, false, event_kind::value, value);
        else
            ch.buffer.push(value);
    }
    /// The oldest value; a sender that waits puts its own at the end: CHAN-16,
    /// CHAN-17.
    std::uint8_t take(std::uint8_t c) {
        channel_state& ch = s_.channels[c];
        if (ch.buffer.size() == 0) return take_from_sender(c);
        const std::uint8_t value = ch.buffer.pop();
        if (ch.senders.size() != 0) ch.buffer.push(take_from_sender(c));
        return value;
    }
    std::uint8_t take_from_sender(std::uint8_t c) {
        return complete(s_.channels[c].senders[0], c, true, event_kind::sent, 0);
    }

    /// The operation that process i waits in has ended, by channel c in that
    /// direction. Gives the value that it sends there. A select with several such
    /// cases may use any of them (CHAN-53), and waits nowhere else any more
    /// (CHAN-51).
    std::uint8_t complete(std::size_t i, std::uint8_t c, bool sends, event_kind kind,
                          std::uint8_t value) {
        const operation& op = p_.processes[i][s_.processes[i].at];
        s_.processes[i].waits = false;
        for (channel_state& ch : s_.channels) {
            ch.senders.erase(static_cast<std::uint8_t>(i));
            ch.receivers.erase(static_cast<std::uint8_t>(i));
        }
        if (op.kind != op_kind::select) {
            note(i, {kind, 0, value});
            return op.value;
        }
        const std::size_t a = pick_arm(op, c, sends);
        // A panic does not say which case it was.
        const auto arm = static_cast<std::uint8_t>(kind == event_kind::send_panics ? 0 : a + 1);
        note(i, {kind, arm, value});
        return op.arm[a].value;
    }
    std::size_t pick_arm(const operation& op, std::uint8_t c, bool sends) {
        small_list<std::uint8_t, operation::most_arms> fitting;
        for (std::uint8_t a = 0; a < op.arms; ++a) {
            if (op.arm[a].channel == c && op.arm[a].send == sends) fitting.push(a);
        }
        return fitting[choice_.pick(fitting.size())];
    }

    // ---- operations
    void send(std::size_t i, std::uint8_t c, std::uint8_t value) {
        if (can_send(c))
            note(i, send_now(c, value, 0));
        else
            wait(i, c, true);
    }
    void receive(std::size_t i, std::uint8_t c) {
        if (can_receive(c))
            note(i, receive_now(c, 0));
        else
            wait(i, c, false);
    }
    event send_now(std::uint8_t c, std::uint8_t value, std::uint8_t arm) {
        if (s_.channels[c].closed) return {event_kind::send_panics};  // CHAN-29
        give(c, value);
        return {event_kind::sent, arm};
    }
    event receive_now(std::uint8_t c, std::uint8_t arm) {
        if (is_drained(c)) return {event_kind::closed, arm};
        return {event_kind::value, arm, take(c)};
    }
    void attempt(std::size_t i, const operation& op) {
        const bool sends = op.kind == op_kind::try_send;
        if (sends ? !can_send(op.channel) : !can_receive(op.channel))
            note(i, {event_kind::not_ready});
        else
            note(i, sends ? send_now(op.channel, op.value, 0) : receive_now(op.channel, 0));
    }
    /// Any case that is ready (CHAN-48); default only if none is (CHAN-49); else
    /// it waits for all of them (CHAN-50).
    void select(std::size_t i, const operation& op) {
        small_list<std::uint8_t, operation::most_arms> ready;
        for (std::uint8_t a = 0; a < op.arms; ++a) {
            const select_arm& arm = op.arm[a];
            if (arm.send ? can_send(arm.channel) : can_receive(arm.channel)) ready.push(a);
        }
        if (ready.size() != 0) {
            const std::uint8_t a = ready[choice_.pick(ready.size())];
            const select_arm& arm = op.arm[a];
            const auto number = static_cast<std::uint8_t>(a + 1);
            note(i, arm.send ? send_now(arm.channel, arm.value, number)
                             : receive_now(arm.channel, number));
        } else if (op.has_default) {
            note(i, {event_kind::defaulted});
        } else {
            for (std::uint8_t a = 0; a < op.arms; ++a) wait(i, op.arm[a].channel, op.arm[a].send);
        }
    }
    /// Everybody who waits for it goes on: CHAN-28, CHAN-30, CHAN-31, CHAN-9.
    event close(std::uint8_t c) {
        if (c == nil_channel) return {event_kind::nil_panics};
        channel_state& ch = s_.channels[c];
        if (ch.closed) return {event_kind::close_panics};
        ch.closed = true;
        // Of a select that waits in both directions (CHAN-52), either may be the
        // one that ends it.
        while (ch.receivers.size() + ch.senders.size() != 0) {
            const bool both = ch.receivers.size() != 0 && ch.senders.size() != 0;
            const bool sender = both ? choice_.pick(2) == 1 : ch.senders.size() != 0;
            if (sender)
                complete(ch.senders[0], c, true, event_kind::send_panics, 0);
            else
                complete(ch.receivers[0], c, false, event_kind::closed, 0);
        }
        return {event_kind::closes};
    }

    void wait(std::size_t i, std::uint8_t c, bool sends) {
        s_.processes[i].waits = true;
        if (c == nil_channel) return;
        auto& queue = sends ? s_.channels[c].senders : s_.channels[c].receivers;
        queue.erase(static_cast<std::uint8_t>(i));  // a select with the same case twice
        queue.push(static_cast<std::uint8_t>(i));
    }

    /// An operation has this result. A range goes on until it is told "closed".
    void note(std::size_t i, const event& e) {
        process_state& s = s_.processes[i];
        s.events.push(e);
        const bool goes_on =
            p_.processes[i][s.at].kind == op_kind::range && e.kind == event_kind::value;
        if (!goes_on) ++s.at;
    }

    const program& p_;
    state& s_;
    chooser& choice_;
};

class search {
  public:
    search(const program& p, std::size_t most) : p_(p), most_(most) {}

    possibilities run() {
        meet(state{});
        while (!open_.empty()) {
            if (seen_.size() > most_) return std::move(found_);
            const state now = open_.back();
            open_.pop_back();
            bool over = true;
            for (std::size_t i = 0; i < p_.processes.size(); ++i) over = !step(now, i) && over;
            if (over) end(now);
        }
        found_.complete = true;
        return std::move(found_);
    }

  private:
    void meet(const state& s) {
        if (!seen_.insert(s).second) return;
        open_.push_back(s);
        ++found_.states;
    }
    /// False: it cannot take one.
    bool step(const state& from, std::size_t i) {
        chooser choice;
        do {
            state to = from;
            interpreter next(p_, to, choice);
            if (!next.can_step(i)) return false;
            next.step(i);
            meet(to);
        } while (choice.next());
        return true;
    }
    void end(const state& last) {
        chooser choice;
        do {
            state s = last;
            outcome o;
            o.inspection = interpreter(p_, s, choice).inspect();
            for (std::size_t i = 0; i < p_.processes.size(); ++i) {
                const auto& events = s.processes[i].events;
                o.before_inspection.push_back(last.processes[i].events.size());
                o.processes.emplace_back(events.begin(), events.end());
            }
            found_.outcomes.insert(o.key());
        } while (choice.next());
    }

    const program& p_;
    std::size_t most_;
    std::unordered_set<state, state_hash> seen_;
    std::vector<state> open_;
    possibilities found_;
};

}  // namespace

possibilities explore(const program& p, std::size_t most_states) {
    return search(p, most_states).run();
}

}  // namespace vole::proof
