#include "test/proof/csp_outcome.hpp"

namespace vole::proof {
namespace {

void put(std::string& key, std::size_t n) { key += static_cast<char>(n); }

void put(std::string& key, const std::vector<event>& events) {
    put(key, events.size());
    for (const event& e : events) {
        put(key, static_cast<std::size_t>(e.kind));
        put(key, e.arm);
        put(key, e.value);
    }
}

class key_reader {
  public:
    explicit key_reader(const std::string& key) : key_(key) {}

    std::size_t number() { return static_cast<unsigned char>(key_[at_++]); }
    std::vector<event> events() {
        std::vector<event> all(number());
        for (event& e : all) {
            e.kind = static_cast<event_kind>(number());
            e.arm = static_cast<std::uint8_t>(number());
            e.value = static_cast<std::uint8_t>(number());
        }
        return all;
    }

  private:
    const std::string& key_;
    std::size_t at_ = 0;
};

}  // namespace

std::string outcome::key() const {
    std::string key;
    put(key, processes.size());
    for (std::size_t i = 0; i < processes.size(); ++i) {
        put(key, before_inspection[i]);
        put(key, processes[i]);
    }
    put(key, inspection);
    return key;
}

std::string to_text(const event& e) {
    const std::string arm = e.arm != 0 ? " by case " + std::to_string(e.arm) : "";
    switch (e.kind) {
        case event_kind::sent: return "sent" + arm;
        case event_kind::value: return "got " + std::to_string(e.value) + arm;
        case event_kind::closed: return "found it closed" + arm;
        case event_kind::not_ready: return "not ready";
        case event_kind::defaulted: return "default";
        case event_kind::closes: return "closed it";
        case event_kind::send_panics: return "panic: send on closed channel";
        case event_kind::close_panics: return "panic: close of closed channel";
        case event_kind::nil_panics: return "panic: close of nil channel";
        case event_kind::paused: return "paused";
        case event_kind::length: return "len " + std::to_string(e.value);
        case event_kind::other: return "something else";
    }
    return "?";
}

std::string to_text(const outcome& o) {
    std::string text;
    for (std::size_t i = 0; i < o.processes.size(); ++i) {
        text += "p" + std::to_string(i) + ":";
        for (std::size_t k = 0; k < o.processes[i].size(); ++k) {
            text += k == o.before_inspection[i] ? " | " : k == 0 ? " " : ", ";
            text += to_text(o.processes[i][k]);
        }
        text += "\n";
    }
    text += "inspection:";
    for (std::size_t k = 0; k < o.inspection.size(); ++k)
        text += (k == 0 ? " " : ", ") + to_text(o.inspection[k]);
    return text + "\n";
}

std::string key_to_text(const std::string& key) {
    key_reader from(key);
    outcome o;
    for (std::size_t n = from.number(); n > 0; --n) {
        o.before_inspection.push_back(from.number());
        o.processes.push_back(from.events());
    }
    o.inspection = from.events();
    return to_text(o);
}

}  // namespace vole::proof
