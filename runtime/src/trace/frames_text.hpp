// Frames as text, in Go's format: the function on a line, then a tab, file:line and the offset.
//
// Everything is written through text_out, to a string or to a file descriptor; nothing here allocates but
// demangling, which is asked for. The runtime's own functions are left out unless VOLE_TRACEBACK=system or
// crash. Stack: any with some KiB of room, signal handlers' included.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace vole::inline v0::detail {

struct text_out {
    void (*put)(void* to, const char* s, std::size_t n);
    void* to;
    bool demangle;  // by malloc

    text_out& operator<<(const char* s) noexcept;
    text_out& operator<<(std::uint64_t n) noexcept;
    text_out& hex(std::uint64_t n) noexcept;
};

/// Writes to a descriptor, in pieces of some KiB.
class fd_text {
  public:
    fd_text(int fd, bool demangle) noexcept : out{put, this, demangle}, fd_(fd) {}
    ~fd_text() { flush(); }
    fd_text(const fd_text&) = delete;
    fd_text& operator=(const fd_text&) = delete;
    void flush() noexcept;

    text_out out;

  private:
    static void put(void* self, const char* s, std::size_t n);
    int fd_;
    std::size_t size_ = 0;
    char text_[2048];
};

/// The innermost and the outermost frames of a stack of any depth. Each is an address behind the call, or one
/// behind the instruction where a signal hit.
class frame_list {
  public:
    static constexpr std::size_t half = 50;

    void add(std::uintptr_t pc) noexcept {
        if (count_ < half) {
            first_[count_] = pc;
        } else {
            last_[(count_ - half) % half] = pc;
        }
        ++count_;
    }
    std::size_t count() const noexcept { return count_; }
    bool cut() const noexcept { return count_ > 2 * half; }
    /// Of those that are kept, i < min(count, 2 * half).
    std::uintptr_t operator[](std::size_t i) const noexcept {
        if (i < half) return first_[i];
        return last_[cut() ? (count_ + (i - half)) % half : i - half];
    }
    std::size_t kept() const noexcept { return cut() ? 2 * half : count_; }

  private:
    std::size_t count_ = 0;
    std::uintptr_t first_[half];
    std::uintptr_t last_[half];
};

enum class frames_of { anything, a_throw };  // of a throw: without what the C++ runtime does in it

void print_frames(text_out& out, const frame_list& frames, frames_of what) noexcept;
/// Whether print_frames would leave it out.
bool is_left_out(std::uintptr_t pc) noexcept;

// Which addresses belong to frames that are not shown: the way into the scheduler differs from one
// goroutine to the next that waits at the same place. Forgets when two share a place.
class left_out_cache {
  public:
    bool operator()(std::uintptr_t pc) noexcept {
        entry& e = entries_[(pc >> 2 ^ pc >> 11) % places];
        if (e.pc != pc) e = {pc, is_left_out(pc)};
        return e.left_out;
    }

  private:
    struct entry {
        std::uintptr_t pc;
        bool left_out;
    };
    static constexpr std::size_t places = 256;
    entry entries_[places] = {};
};

/// "created by FUNCTION in goroutine N", and its line. Nothing if `pc` is 0.
void print_creation(text_out& out, std::uintptr_t pc, std::uint64_t parent) noexcept;

text_out into(std::string& text) noexcept;
void append_frames(std::string& text, const std::uintptr_t* pcs, std::size_t n, frames_of what);
/// "FUNCTION\n\tFILE:LINE" of the go(); empty if it is not known.
std::string creator_text(std::uintptr_t pc);
void append_creation(std::string& text, std::uintptr_t pc, std::uint64_t parent);

/// VOLE_TRACEBACK, after Go's GOTRACEBACK: none, single (default), all, system, crash, or 0, 1, 2.
enum class traceback_level : unsigned char { none, single, all, system, crash };
traceback_level level() noexcept;

}  // namespace vole::detail
