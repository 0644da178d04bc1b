// A state of the model, as a plain value: equal when all its bytes are, so that
// the search can keep a set of them. Everything that is not in use is zero,
// which is what small_list is for.
#pragma once

#include "test/proof/csp_outcome.hpp"
#include "test/proof/csp_program.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string_view>
#include <type_traits>

namespace vole::proof {

/// A few elements, and zeros behind them.
template <class T, std::size_t Most>
class small_list {
  public:
    std::uint8_t size() const { return size_; }
    const T& operator[](std::size_t i) const { return items_[i]; }
    const T* begin() const { return items_.data(); }
    const T* end() const { return items_.data() + size_; }

    void push(const T& item) {
        if (size_ == Most) std::abort();  // the limits below are wrong
        items_[size_++] = item;
    }
    /// The first.
    T pop() {
        const T first = items_[0];
        erase_at(0);
        return first;
    }
    /// Where it is; nothing, if it is not in the list.
    void erase(const T& item) {
        for (std::size_t i = 0; i < size_; ++i) {
            if (items_[i] == item) return erase_at(i);
        }
    }

  private:
    void erase_at(std::size_t at) {
        for (std::size_t i = at + 1; i < size_; ++i) items_[i - 1] = items_[i];
        items_[--size_] = T{};
    }

    std::array<T, Most> items_{};
    std::uint8_t size_ = 0;
};

struct channel_state {
    small_list<std::uint8_t, program::most_capacity> buffer;
    small_list<std::uint8_t, program::most_processes> senders;  ///< who waits, first come first
    small_list<std::uint8_t, program::most_processes> receivers;
    bool closed = false;
};

struct process_state {
    // Each operation has one result, but for a range: that has one for each value
    // it gets, and the other processes have at most 15 operations, none of which
    // sends twice; then the inspector's.
    static constexpr std::size_t most_events = 5 + 15 + most_inspector_values;

    std::uint8_t at = 0;  ///< the operation it is about to begin, or waits in
    bool waits = false;
    small_list<event, most_events> events;
};

struct state {
    std::array<channel_state, program::most_channels> channels;
    std::array<process_state, program::most_processes> processes;

    std::string_view bytes() const { return {reinterpret_cast<const char*>(this), sizeof(*this)}; }
    friend bool operator==(const state& a, const state& b) { return a.bytes() == b.bytes(); }
};
static_assert(std::has_unique_object_representations_v<state>);

struct state_hash {
    std::size_t operator()(const state& s) const {
        return std::hash<std::string_view>()(s.bytes());
    }
};

}  // namespace vole::proof
