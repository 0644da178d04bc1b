// Recordings made by hand, event by event.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <vector>

#include "runtime/internal/g_status.hpp"
#include "runtime/internal/recording.hpp"

namespace vole::test {

using detail::g_status;
using detail::record_kind;
using detail::recorded_event;

// The system has functions of some of these names, so not `using enum`.
inline constexpr auto idle = g_status::idle;
inline constexpr auto runnable = g_status::runnable;
inline constexpr auto running = g_status::running;
inline constexpr auto in_call = g_status::syscall;
inline constexpr auto waiting = g_status::waiting;
inline constexpr auto dead = g_status::dead;
inline constexpr auto acquire = record_kind::acquire;
inline constexpr auto release = record_kind::release;
inline constexpr auto leave = record_kind::syscall;
inline constexpr auto back = record_kind::back;
inline constexpr auto retake = record_kind::retake;
inline constexpr auto detach = record_kind::detach;
inline constexpr auto hand = record_kind::hand;
inline constexpr auto unhand = record_kind::unhand;

inline constexpr std::uint16_t no = 0xffff;  // M, or P

class tape {
  public:
    /// Goroutine `id`, in a slot of the same number if none is given.
    tape& g(std::uint64_t id, g_status from, g_status to, std::uint16_t m, std::uint16_t p,
            std::uint64_t slot = 0) {
        recorded_event e{};
        e.slot = slot != 0 ? slot : id;
        e.subject = id;
        e.kind = record_kind::status;
        e.change =
            static_cast<std::uint8_t>(static_cast<unsigned>(from) | static_cast<unsigned>(to) << 4);
        return add(e, m, p);
    }
    /// Something of P `of`, by thread m that has P p; `to` is the other thread.
    tape& p(record_kind kind, std::uint16_t of, std::uint16_t m, std::uint16_t p,
            std::uint16_t to = no, std::uint64_t slot = 0) {
        recorded_event e{};
        e.slot = slot;
        e.subject = detail::record_subject(of, to);
        e.kind = kind;
        return add(e, m, p);
    }
    /// Events that were overwritten.
    tape& gap(std::uint64_t n = 1) {
        last_ += n;
        return *this;
    }

    std::vector<std::byte> bytes() const {
        detail::recording_header head{};
        head.magic = detail::recording_header::the_magic;
        head.version = detail::recording_header::the_version;
        head.event_bytes = sizeof(recorded_event);
        head.rings = static_cast<std::uint32_t>(rings_.size());
        head.events = last_;
        std::vector<std::byte> out;
        append(out, head);
        for (const auto& [p, events] : rings_) {
            append(out, detail::recording_ring{p, 0, events.size(), events.size()});
            for (const auto& e : events) append(out, e);
        }
        return out;
    }

  private:
    template <class T>
    static void append(std::vector<std::byte>& out, const T& value) {
        static_assert(std::endian::native == std::endian::little);
        const std::size_t at = out.size();
        out.resize(at + sizeof(T));
        std::memcpy(out.data() + at, &value, sizeof(T));
    }

    tape& add(recorded_event& e, std::uint16_t m, std::uint16_t p) {
        e.number = ++last_;
        e.m = m;
        e.p = p;
        const std::uint32_t ring = p != no ? p : detail::recording_ring::shared;
        rings_[ring].push_back(e);
        return *this;
    }

    std::uint64_t last_ = 0;
    std::map<std::uint32_t, std::vector<recorded_event>> rings_;
};

}  // namespace vole::test
