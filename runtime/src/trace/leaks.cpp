// The leak check for tests: which goroutines are left, and what is said of them.
//
// A look polls without stopping anybody until nothing is left or patience is at its end, then gathers with
// the world stopped (gather.hpp), and makes texts of that when the world runs again. Goroutines are known by
// their ids, which are unique; Gs are used again.
//
// Lock: none. Stack: goroutine (for texts, with room) or ordinary thread.
#include <vole/testing.hpp>

#include <algorithm>
#include <bit>
#include <compare>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <map>
#include <ostream>
#include <sched.h>
#include <set>
#include <string_view>
#include <tuple>
#include <unordered_map>

#include <vole/runtime.hpp>

#include "runtime/internal/entry.hpp"
#include "runtime/internal/park.hpp"
#include "runtime/src/panic/frames.hpp"
#include "runtime/src/trace/gather.hpp"

namespace vole::inline v0::detail {

// What many goroutines have in common.
struct leak_kind {
    shown_state state;
    bool looked_at;  // at the stacks, or there is nothing to look at
    std::string state_text;
    std::string created_by;
    std::string frames;

    auto operator<=>(const leak_kind&) const = default;
};

namespace {

class kind_table {
  public:
    std::shared_ptr<const leak_kind> of(const seen_goroutine& one) {
        key k{one.state, one.created_at, one.no_frames, {}};
        for (std::size_t i = 0; one.frames != nullptr && i < one.frames->kept(); ++i) {
            const std::uintptr_t pc = (*one.frames)[i];
            if (!left_out_(pc)) std::get<3>(k).push_back(pc);
        }
        std::shared_ptr<const leak_kind>& kind = kinds_[std::move(k)];
        // One go() may have several addresses, in a loop that was unrolled for example.
        if (kind == nullptr) kind = *different_.insert(describe(one)).first;
        return kind;
    }

  private:
    // Without the frames that are not shown: two goroutines may wait at one place by different ways.
    using key =
        std::tuple<shown_state, std::uintptr_t, std::string_view, std::vector<std::uintptr_t>>;

    static std::shared_ptr<const leak_kind> describe(const seen_goroutine& one) {
        auto kind = std::make_shared<leak_kind>();
        kind->state = one.state;
        kind->created_by = creator_text(one.created_at);
        text_out state = into(kind->state_text);
        print_state(state, one.state);
        text_out frames = into(kind->frames);
        if (one.frames != nullptr) {
            print_frames(frames, *one.frames, frames_of::anything);
        } else {
            frames << one.no_frames;
        }
        kind->looked_at = one.frames != nullptr || one.state.status == g_status::running ||
                          one.state.status == g_status::syscall;
        return kind;
    }

    struct by_content {
        bool operator()(const auto& a, const auto& b) const { return *a < *b; }
    };

    std::map<key, std::shared_ptr<const leak_kind>> kinds_;
    std::set<std::shared_ptr<const leak_kind>, by_content> different_;
    left_out_cache left_out_;
};

}  // namespace

struct leak_maker {
    static testing::leaked_goroutine make(const seen_goroutine& one, kind_table& kinds) {
        testing::leaked_goroutine g;
        g.id_ = one.id;
        g.parent_ = one.parent;
        g.name_ = one.name;
        g.minutes_ = one.minutes;
        g.kind_ = kinds.of(one);
        return g;
    }
};

namespace {

std::vector<testing::leaked_goroutine> make_texts(const gathering& seen) {
    std::vector<testing::leaked_goroutine> found;
    found.reserve(seen.all().size());
    kind_table kinds;
    for (const seen_goroutine& one : seen.all()) found.push_back(leak_maker::make(one, kinds));
    std::sort(found.begin(), found.end(),
              [](const auto& a, const auto& b) { return a.id() < b.id(); });
    return found;
}

std::vector<testing::leaked_goroutine> look_for_others(const std::vector<std::uint64_t>& known) {
    const gathering seen(known);
    return stack::ensure(report_bytes, [&] { return make_texts(seen); });
}

// ---- waiting ----------------------------------------------------------------------------------

// Between two looks: lets others run, first by yielding, then asleep for longer and longer.
class waiting {
  public:
    using clock = std::chrono::steady_clock;

    explicit waiting(std::chrono::nanoseconds patience) : end_(clock::now() + patience) {}

    bool is_over() const { return clock::now() >= end_; }
    /// Now and then, less and less often: worth a look that costs more.
    bool is_time_for_more() const { return round_ >= yields && std::has_single_bit(round_); }
    void wait() {
        if (round_++ < yields) {
            yield();
        } else {
            pause();
        }
    }

  private:
    static constexpr unsigned yields = 32;
    static constexpr long first_pause_ns = 20'000, longest_pause_ns = 10'000'000;

    static void yield() {
        bool parks = false;
        {
            const runtime_pin pin;
            parks = may_park();
        }
        if (parks) {
            gosched();
        } else {
            sched_yield();
        }
    }
    void pause() {
        const blocking_scope others_run;
        const timespec t{0, pause_ns_};
        nanosleep(&t, nullptr);
        pause_ns_ = std::min(pause_ns_ * 2, longest_pause_ns);
    }

    clock::time_point end_;
    unsigned round_ = 0;
    long pause_ns_ = first_pause_ns;
};

void remember(std::vector<std::uint64_t>& known, std::uint64_t id) {
    known.insert(std::upper_bound(known.begin(), known.end(), id), id);
}

// Lines with places begin with a tab.
bool has_function_with(std::string_view text, std::string_view part) {
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        if (!line.starts_with('\t') && line.find(part) != line.npos) return true;
        text.remove_prefix(std::min(line.size() + 1, text.size()));
    }
    return false;
}

// ---- texts ------------------------------------------------------------------------------------

std::string in_brackets(const shown_state& state, std::uint32_t minutes, const char* before_time) {
    std::string text = " [";
    text_out out = into(text);
    print_state(out, state, minutes, before_time);
    return text + "]:";
}

void add_creation(std::string& text, const std::string& created_by, std::uint64_t parent) {
    if (created_by.empty()) return;
    const std::size_t line = created_by.find('\n');
    text += "created by " + created_by.substr(0, line);
    if (parent != 0) text += " in goroutine " + std::to_string(parent);
    text += created_by.substr(line) + "\n";
}

using leaked_list = std::vector<const testing::leaked_goroutine*>;

void add_group(std::string& text, const leak_kind& kind, const leaked_list& members) {
    constexpr std::size_t shown_ids = 5;
    std::uint32_t minutes = 0;
    for (const auto* one : members) minutes = std::max(minutes, one->minutes());
    text += std::to_string(members.size()) + " goroutines" +
            in_brackets(kind.state, minutes, ", up to ");
    for (std::size_t i = 0; i < members.size() && i < shown_ids; ++i) {
        text += (i == 0 ? " " : ", ") + std::to_string(members[i]->id());
        if (!members[i]->name().empty()) text += " (" + members[i]->name() + ")";
    }
    text += members.size() > shown_ids ? ", ...\n" : "\n";
    text += kind.frames;
    add_creation(text, kind.created_by, 0);
}

}  // namespace

}  // namespace vole::detail

namespace vole::inline v0::testing {

using namespace detail;

const std::string& leaked_goroutine::state() const noexcept { return kind_->state_text; }
const std::string& leaked_goroutine::created_by() const noexcept { return kind_->created_by; }
const std::string& leaked_goroutine::frames() const noexcept { return kind_->frames; }

std::string leaked_goroutine::text() const {
    std::string text =
        "goroutine " + std::to_string(id_) + in_brackets(kind_->state, minutes_, ", ");
    if (!name_.empty()) text += " " + name_;
    text += "\n" + kind_->frames;
    add_creation(text, kind_->created_by, parent_);
    return text;
}

std::ostream& operator<<(std::ostream& out, const leaked_goroutine& leaked) {
    return out << leaked.text();
}

std::string to_text(const std::vector<leaked_goroutine>& leaked) {
    constexpr std::size_t most_shown = 20;
    if (leaked.empty()) return "";
    std::unordered_map<const leak_kind*, leaked_list> by_kind;
    for (const auto& one : leaked) by_kind[one.kind_.get()].push_back(&one);
    std::vector<std::pair<const leak_kind*, leaked_list>> groups(by_kind.begin(), by_kind.end());
    std::sort(groups.begin(), groups.end(), [](const auto& a, const auto& b) {
        return std::tuple(b.first->looked_at, b.second.size(), a.second[0]->id()) <
               std::tuple(a.first->looked_at, a.second.size(), b.second[0]->id());
    });

    std::string text = std::to_string(leaked.size()) +
                       (leaked.size() == 1 ? " goroutine" : " goroutines") + " left:\n";
    std::size_t shown = 0;
    for (std::size_t i = 0; i < groups.size() && i < most_shown; ++i) {
        const auto& [kind, members] = groups[i];
        text += "\n";
        if (members.size() == 1) {
            text += members[0]->text();
        } else {
            add_group(text, *kind, members);
        }
        shown += members.size();
    }
    if (groups.size() > most_shown) {
        text += "\n... and " + std::to_string(leaked.size() - shown) + " more, of " +
                std::to_string(groups.size() - most_shown) + " other kinds\n";
    }
    return text;
}

goroutine_leaks::goroutine_leaks(on_leak in_destructor)
    : known_(existing_goroutines()), exceptions_(std::uncaught_exceptions()),
      in_destructor_(in_destructor) {}

goroutine_leaks::~goroutine_leaks() {
    if (in_destructor_ == on_leak::nothing || std::uncaught_exceptions() > exceptions_) return;
    std::string report;
    try {
        report = text();
    } catch (const std::exception& e) {
        fd_text out(2, false);
        out.out << "vole: cannot look for goroutines that are left: " << e.what() << "\n";
        return;
    }
    if (report.empty()) return;
    fd_text(2, false).out << report.c_str();
    if (in_destructor_ == on_leak::abort) std::abort();
}

goroutine_leaks& goroutine_leaks::patience(std::chrono::nanoseconds most) {
    patience_ = most;
    return *this;
}

goroutine_leaks& goroutine_leaks::ignore_named(std::string name) {
    return ignore_if(
        [name = std::move(name)](const leaked_goroutine& g) { return g.name() == name; });
}

goroutine_leaks& goroutine_leaks::ignore_function(std::string part) {
    return ignore_if([part = std::move(part)](const leaked_goroutine& g) {
        return has_function_with(g.created_by(), part) || has_function_with(g.frames(), part);
    });
}

goroutine_leaks& goroutine_leaks::ignore_if(std::function<bool(const leaked_goroutine&)> f) {
    ignored_.push_back(std::move(f));
    return *this;
}

bool goroutine_leaks::is_ignored(const leaked_goroutine& one) const {
    return std::any_of(ignored_.begin(), ignored_.end(), [&](const auto& f) { return f(one); });
}

std::vector<leaked_goroutine> goroutine_leaks::find() const {
    std::vector<std::uint64_t> known = known_;
    if (const std::uint64_t self = goroutine_id(); self != 0) remember(known, self);
    waiting others(patience_);
    for (;;) {
        const bool last = others.is_over();
        // To be looked at once, those that are ignored; then they count as known.
        const bool sort_out = !ignored_.empty() && others.is_time_for_more();
        if (last || sort_out || !any_other_than(known)) {
            std::vector<leaked_goroutine> left = look_for_others(known);
            std::erase_if(left, [&](const leaked_goroutine& one) {
                if (!is_ignored(one)) return false;
                remember(known, one.id());
                return true;
            });
            if (last || left.empty()) return left;
        }
        others.wait();
    }
}

}  // namespace vole::testing
