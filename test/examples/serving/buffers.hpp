// What lies between a connection and a parser, or between handlers and a connection.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include <vole/vole.hpp>

namespace serving {

/// Bytes that have been read and not been used yet, in one piece. It grows as they come, never on a mere promise of
/// them: who announces a gigabyte has to send it before it costs us one.
class input {
  public:
    /// Stays where it is until room() is called.
    std::string_view unread() const noexcept { return {data_.get() + begin_, end_ - begin_}; }

    void consume(std::size_t n) noexcept {
        begin_ += n;
        if (begin_ == end_) begin_ = end_ = 0;
    }

    /// Forgets all but the first n unread bytes.
    void keep(std::size_t n) noexcept { end_ = begin_ + n; }

    /// Where more can be put: `least` bytes or more.
    std::span<std::byte> room(std::size_t least = 1) {
        if (size_ - end_ < least) make_room(least);
        return std::as_writable_bytes(std::span(data_.get() + end_, size_ - end_));
    }
    void added(std::size_t n) noexcept { end_ += n; }

    /// Memory for one large request is not kept for the small ones that follow.
    void shrink() {
        if (size_ > usual_size && begin_ == end_) *this = input();
    }

  private:
    static constexpr std::size_t usual_size = 4096;

    void make_room(std::size_t least) {
        const std::size_t kept = end_ - begin_;
        if (kept + least > size_ || kept > size_ / 2) {
            const std::size_t size = std::max({usual_size, 2 * size_, kept + least});
            std::unique_ptr<char[]> larger(new char[size]);
            if (kept != 0) std::memcpy(larger.get(), data_.get() + begin_, kept);
            data_ = std::move(larger);
            size_ = size;
        } else if (kept != 0) {
            std::memmove(data_.get(), data_.get() + begin_, kept);
        }
        begin_ = 0;
        end_ = kept;
    }

    std::unique_ptr<char[]> data_;
    std::size_t size_ = 0;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

/// Replies on their way out. Small ones are collected, so that those to requests that came together leave together: call
/// flush() before waiting for more.
class output {
  public:
    /// Each write may take `limit`. A client that does not read holds up its own goroutine, and then loses it.
    output(vole::net::conn& conn, vole::clock::duration limit) : conn_(conn), limit_(limit) {}

    /// Appending to it is how one writes. Does not grow beyond `full` but by a single piece, if flush_if_full() is called
    /// in between.
    std::string& text() noexcept { return text_; }

    bool flush_if_full() { return text_.size() < full ? ok_ : flush(); }

    /// False: the connection is lost, now or earlier, and what was to be written as well.
    bool flush() { return flush_with({}); }

    /// The same, and `more` behind it, without copying that.
    bool flush_with(std::string_view more) {
        if (text_.empty() && more.empty()) return ok_;
        if (ok_) {
            std::error_code ec;
            conn_.set_write_deadline(vole::clock::now() + limit_, ec);
            const std::array pieces{std::as_bytes(std::span(text_)),
                                    std::as_bytes(std::span(more))};
            if (!ec && more.empty())
                conn_.write(pieces[0], ec);
            else if (!ec)
                conn_.write_v(pieces, ec);
            ok_ = !ec;
        }
        text_.clear();
        if (text_.capacity() > 2 * full) text_ = {};
        return ok_;
    }

  private:
    static constexpr std::size_t full = 32 * 1024;

    vole::net::conn& conn_;
    vole::clock::duration limit_;
    std::string text_;
    bool ok_ = true;
};

}  // namespace serving
