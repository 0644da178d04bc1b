// What the tests of the network share.
//
// Catch2's assertions are not thread-safe: goroutines note what did not hold (findings), the test case compares.
#pragma once

#include <catch2/catch.hpp>

#include <vole/net/conn.hpp>
#include <vole/net/error.hpp>
#include <vole/sync.hpp>
#include <vole/synctest.hpp>
#include <vole/time.hpp>

#include "net/src/pipe.hpp"
#include "test/support/findings.hpp"
#include "test/synctest/synctest_support.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace vole::test {

using namespace std::chrono_literals;
using net::errc;
using time_point = clock::time_point;

/// One end of a pipe in memory, by what stands behind net::conn. Its operations are conn's.
class stream {
  public:
    stream() noexcept = default;
    explicit stream(detail::io_object* it) noexcept : it_(it) {}
    stream(stream&& other) noexcept : it_(std::exchange(other.it_, nullptr)) {}
    stream& operator=(stream&& other) noexcept {
        std::swap(it_, other.it_);
        return *this;
    }
    ~stream() {
        if (it_ != nullptr) detail::pipe_destroy(it_);
    }

    std::size_t read(std::span<std::byte> to, std::error_code& ec) {
        return detail::pipe_read(it_, to, ec);
    }
    std::size_t write(std::span<const std::byte> from, std::error_code& ec) {
        return detail::pipe_write(it_, {&from, 1}, ec);
    }
    std::size_t write_v(std::span<const std::span<const std::byte>> from, std::error_code& ec) {
        return detail::pipe_write(it_, from, ec);
    }
    void close(std::error_code& ec) noexcept { detail::pipe_close(it_, ec); }
    void close_read(std::error_code& ec) noexcept {
        detail::pipe_shutdown(it_, detail::dir_read, ec);
    }
    void close_write(std::error_code& ec) noexcept {
        detail::pipe_shutdown(it_, detail::dir_write, ec);
    }
    void set_deadline(time_point t, std::error_code& ec) {
        set(detail::dir_read | detail::dir_write, t, ec);
    }
    void set_read_deadline(time_point t, std::error_code& ec) { set(detail::dir_read, t, ec); }
    void set_write_deadline(time_point t, std::error_code& ec) { set(detail::dir_write, t, ec); }

  private:
    void set(unsigned directions, time_point t, std::error_code& ec) {
        detail::pipe_set_deadline(it_, directions, t.time_since_epoch().count(), ec);
    }

    detail::io_object* it_ = nullptr;
};

struct two_ends {
    stream a;
    stream b;
};
inline two_ends pipe() {
    const auto [a, b] = detail::pipe_make();
    return {stream(a), stream(b)};
}

inline std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text.data(), text.size()));
}

/// What an operation gave.
struct result {
    std::size_t n = 0;
    std::error_code ec;
    std::string text = {};  // of a read

    friend bool operator==(const result&, const result&) = default;
    friend std::ostream& operator<<(std::ostream& s, const result& r) {
        return s << r.n << " \"" << r.text << "\" " << (r.ec ? r.ec.message() : "no error");
    }
};

/// An error that no operation gives: they must clear it.
inline std::error_code rubbish() { return std::make_error_code(std::errc::not_a_stream); }

inline result read(stream& s, std::size_t most) {
    result r{.ec = rubbish()};
    std::vector<std::byte> buffer(most);
    r.n = s.read(buffer, r.ec);
    if (r.n <= most) r.text.assign(reinterpret_cast<const char*>(buffer.data()), r.n);
    return r;
}
inline result write(stream& s, std::string_view text) {
    result r{.ec = rubbish()};
    r.n = s.write(bytes_of(text), r.ec);
    return r;
}

inline result got(std::string_view text) { return {text.size(), {}, std::string(text)}; }
inline result wrote(std::size_t n) { return {n, {}}; }
inline result failed(errc e, std::size_t n = 0) { return {n, make_error_code(e)}; }
inline const result end_of_stream{};

/// The error of an operation that gives nothing else.
template <class F>
std::error_code error_of_call(F f) {
    std::error_code ec = rubbish();
    f(ec);
    return ec;
}
inline std::error_code close(stream& s) {
    return error_of_call([&](std::error_code& ec) { s.close(ec); });
}
inline std::error_code close_read(stream& s) {
    return error_of_call([&](std::error_code& ec) { s.close_read(ec); });
}
inline std::error_code close_write(stream& s) {
    return error_of_call([&](std::error_code& ec) { s.close_write(ec); });
}
inline std::error_code deadline(stream& s, time_point t) {
    return error_of_call([&](std::error_code& ec) { s.set_deadline(t, ec); });
}
inline std::error_code read_deadline(stream& s, time_point t) {
    return error_of_call([&](std::error_code& ec) { s.set_read_deadline(t, ec); });
}
inline std::error_code write_deadline(stream& s, time_point t) {
    return error_of_call([&](std::error_code& ec) { s.set_write_deadline(t, ec); });
}
inline time_point in(clock::duration d) { return clock::now() + d; }
inline constexpr time_point past{1ns};
inline constexpr time_point never{};

/// An operation in a goroutine of its own.
class background {
  public:
    explicit background(std::function<result()> f) {
        done_.go([this, f = std::move(f)] {
            id_ = goroutine_id();
            result_ = f();
            over_ = true;
        });
    }
    ~background() { done_.wait(); }
    background(const background&) = delete;
    background& operator=(const background&) = delete;

    /// Returns when it waits.
    background& parked() {
        wait_until([&] { return id_ != 0; }, "an operation to begin");
        parked_as(id_, "IO wait");
        return *this;
    }
    bool over() const { return over_; }
    /// Whether it goes on waiting.
    bool waits() const {
        return stays([&] { return !over_; }, 100);
    }
    result get() {
        done_.wait();
        return result_;
    }

  private:
    wait_group done_;
    std::atomic<std::uint64_t> id_{0};
    std::atomic<bool> over_{false};
    result result_;
};

/// The same, known to wait.
class blocked : public background {
  public:
    explicit blocked(std::function<result()> f) : background(std::move(f)) { parked(); }
};

}  // namespace vole::test
