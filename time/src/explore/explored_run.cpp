// See explored_run.hpp.
#include "time/src/explore/explored_run.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace vole::inline v0::detail {

namespace {
// A schedule that has been fair for so much longer than it should take will not end.
constexpr std::uint64_t patience_factor = 100;
}  // namespace

void explored_run::born(G* g) noexcept {
    all_.push_back({g, ++last_number_, false, false, {}});
    const char* name = name_of(g);
    names_.emplace_back(name != nullptr ? name : last_number_ == 1 ? "main" : "");
    how_.born(last_number_);
}

void explored_run::gone(G* g) noexcept {
    std::erase_if(all_, [g](const goroutine& one) { return one.g == g; });
}

explored_run::goroutine* explored_run::find(const G* g) noexcept {
    const auto at =
        std::find_if(all_.begin(), all_.end(), [g](const goroutine& one) { return one.g == g; });
    return at != all_.end() ? &*at : nullptr;
}

void explored_run::can_run(G* g) noexcept {
    if (goroutine* one = find(g); one != nullptr) one->can_run = true;
}

// ---- deciding ---------------------------------------------------------------------------------

void explored_run::note(std::size_t option) {
    if (option != 0) path_.push_back({decisions_, static_cast<std::uint32_t>(option)});
    ++decisions_;
}

// What is decided without the strategy is decided alike in a replay, and not noted.
std::size_t explored_run::decide(std::size_t options, standing current) {
    if (cut()) return steps_ % options;
    const std::size_t option = how_.pick(options_, current);
    note(option);
    return option;
}

// Nobody goes on then: each stays where it comes to decide next, and the schedule ends as a deadlock.
bool explored_run::given_up() {
    if (steps_ / patience_factor <= max_steps_) return false;
    if (panic_ == nullptr) {
        panic_ = std::make_exception_ptr(std::runtime_error(
            "livelock: no end, although all goroutines have had their turn " +
            std::to_string(patience_factor) + " times as long as max_steps says"));
    }
    return true;
}

explored_run::goroutine* explored_run::choose(goroutine* current, standing how) {
    options_.clear();
    optional_.clear();
    const auto add = [this](goroutine& one) {
        optional_.push_back(&one);
        options_.push_back({one.number, &one.op});
    };
    if (how == standing::wants_on) add(*current);
    for (goroutine& one : all_) {
        if (one.can_run && &one != current) add(one);
    }
    if (how == standing::yields) add(*current);
    ++steps_;
    if (optional_.empty()) return nullptr;
    if (optional_.size() == 1) {
        if (!cut()) how_.goes_on(options_[0]);
        return optional_[0];
    }
    return optional_[decide(optional_.size(), how)];
}

std::uint32_t explored_run::object_number(const void* object) {
    if (object == nullptr) return 0;
    const auto at = std::find(objects_.begin(), objects_.end(), object);
    const auto index = static_cast<std::uint32_t>(at - objects_.begin());
    if (at == objects_.end()) objects_.push_back(object);
    return index + 1;
}

G* explored_run::starts(goroutine* chosen, bool preempts) {
    chosen->can_run = false;
    if (!cut())
        events_.push_back({chosen->number, object_number(chosen->op.objects[0]), chosen->op.what,
                           chosen->waited, preempts});
    return chosen->g;
}

G* explored_run::at_point(G* g, const operation& op) noexcept {
    goroutine* here = find(g);
    if (here == nullptr) return g;
    if (given_up()) return nullptr;
    here->op = op;
    here->waited = false;
    here->can_run = true;
    goroutine* chosen = choose(here, op.yields ? standing::yields : standing::wants_on);
    return starts(chosen, chosen != here && !op.yields);
}

G* explored_run::next(G* g) noexcept {
    if (goroutine* here = g != nullptr ? find(g) : nullptr; here != nullptr) here->waited = true;
    goroutine* chosen = choose(nullptr, standing::waits);
    return chosen != nullptr ? starts(chosen, false) : nullptr;
}

std::uint32_t explored_run::draw(std::uint32_t n) noexcept {
    if (n <= 1) return 0;
    const std::uint32_t drawn = how_.draw(n);
    note(drawn);
    return drawn;
}

void explored_run::panicked(std::exception_ptr error, const char*) noexcept {
    if (panic_ == nullptr) panic_ = std::move(error);
}

}  // namespace vole::detail
