// See frames_text.hpp.
#include "runtime/src/trace/frames_text.hpp"

#include <cxxabi.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include <vole/detail/atomic.hpp>

#include "runtime/internal/write_all.hpp"
#include "runtime/src/trace/symbols.hpp"

namespace vole::inline v0::detail {

// ---- text_out ---------------------------------------------------------------------------------

text_out& text_out::operator<<(const char* s) noexcept {
    put(to, s, std::strlen(s));
    return *this;
}

namespace {
const char* digits_of(std::uint64_t n, unsigned base, char (&room)[24]) noexcept {
    char* at = room + sizeof(room) - 1;
    *at = '\0';
    do {
        *--at = "0123456789abcdef"[n % base];
        n /= base;
    } while (n != 0);
    return at;
}
}  // namespace

text_out& text_out::operator<<(std::uint64_t n) noexcept {
    char room[24];
    return *this << digits_of(n, 10, room);
}

text_out& text_out::hex(std::uint64_t n) noexcept {
    char room[24];
    return *this << "0x" << digits_of(n, 16, room);
}

void fd_text::put(void* self, const char* s, std::size_t n) {
    auto* at = static_cast<fd_text*>(self);
    while (n > 0) {
        if (at->size_ == sizeof(at->text_)) at->flush();
        const std::size_t part = std::min(n, sizeof(at->text_) - at->size_);
        std::memcpy(at->text_ + at->size_, s, part);
        at->size_ += part;
        s += part;
        n -= part;
    }
}

void fd_text::flush() noexcept {
    const int saved = errno;
    (void)write_all(fd_, text_, size_);
    size_ = 0;
    errno = saved;
}

text_out into(std::string& text) noexcept {
    return {
        [](void* to, const char* s, std::size_t n) { static_cast<std::string*>(to)->append(s, n); },
        &text, true};
}

// ---- levels -----------------------------------------------------------------------------------

namespace {

traceback_level parse_level(const char* text) noexcept {
    const std::string_view s = text != nullptr ? text : "";
    if (s == "none" || s == "0") return traceback_level::none;
    if (s == "all" || s == "1") return traceback_level::all;
    if (s == "system" || s == "2") return traceback_level::system;
    if (s == "crash") return traceback_level::crash;
    return traceback_level::single;
}

}  // namespace

traceback_level level() noexcept {
    // getenv is no system call and allocates nothing; 0 stands for "not read yet".
    static constinit atomic<unsigned char> known{0};
    unsigned char l = known.load(memory_order_relaxed);
    if (l == 0) {
        l = static_cast<unsigned char>(
            static_cast<unsigned>(parse_level(std::getenv("VOLE_TRACEBACK"))) + 1);
        known.store(l, memory_order_relaxed);
    }
    return static_cast<traceback_level>(l - 1);
}

// ---- names ------------------------------------------------------------------------------------

namespace {

bool begins_with(const char* s, std::string_view with) noexcept {
    return std::strncmp(s, with.data(), with.size()) == 0;
}

template <std::size_t n>
bool begins_with_one(const char* s, const std::string_view (&list)[n]) noexcept {
    for (const std::string_view one : list) {
        if (begins_with(s, one)) return true;
    }
    return false;
}

// Where our sources are, as the compiler was told: what is before this file's own place in them.
constexpr std::string_view own_sources = [] {
    constexpr std::string_view here = "runtime/src/trace/frames_text.cpp";
    constexpr std::string_view file = __FILE__;
    return file.substr(0, file.size() - here.size());
}();

// The runtime, what is local to the templates of its headers, and what std::invoke consists of: by the
// linker's names, and by the files of functions that have none because they are inlined.
bool is_runtime(const symbol& s) noexcept {
    constexpr std::string_view linked[] = {"_ZN4vole2v06detail", "_ZNK4vole2v06detail",
                                           "_ZZN4vole2v0",       "_ZZNK4vole2v0",
                                           "_ZN4vole2v05panicI", "_ZN4vole2v03runI",
                                           "_ZN4vole2v02goI",    "_ZN4vole2v010recoveringI",
                                           "_ZN4vole2v05deferI", "vole_",
                                           "__morestack",        "__restore_rt",
                                           "_ZSt8__invoke",      "_ZSt13__invoke",
                                           "_ZSt6invoke",        "_ZSt5apply",
                                           "_ZSt12__apply_impl"};
    constexpr std::string_view inlined[] = {"operator()",  "_FUN",   "go<",
                                            "run<",        "spawn<", "panic<",
                                            "recovering<", "~defer", "call_deferred<"};
    constexpr std::string_view invoking[] = {"__invoke", "invoke<", "apply<", "__apply"};
    // What a signal handler returns to has no name.
    if (s.file != nullptr && std::strstr(s.file, "libc_sigaction.c") != nullptr) return true;
    if (s.function == nullptr) return false;
    if (begins_with_one(s.function, linked)) return true;
    if (s.file == nullptr) return false;
    if (begins_with(s.file, own_sources)) {
        constexpr std::string_view rooms[] = {"runtime/src/", "runtime/internal/", "sync/src/",
                                              "time/src/", "net/src/"};
        if (begins_with_one(s.file + own_sources.size(), rooms)) return true;
    }
    return std::strstr(s.file, "/vole/detail/") != nullptr ||
           (std::strstr(s.file, "include/vole/") != nullptr &&
            begins_with_one(s.function, inlined)) ||
           (std::strstr(s.file, "/c++/") != nullptr && begins_with_one(s.function, invoking));
}

bool is_throw(const char* name) noexcept {
    constexpr std::string_view names[] = {"__cxa_throw", "__cxa_rethrow", "_ZSt17rethrow_exception",
                                          "_Unwind_RaiseException", "_Unwind_Resume_or_Rethrow"};
    return begins_with_one(name, names);
}

constexpr std::size_t longest_demangled = 600;

// Without the name of the library's inline namespace.
void print_name(text_out& out, const char* name) noexcept {
    char* plain = nullptr;
    if (out.demangle && begins_with(name, "_Z") && std::strlen(name) <= longest_demangled) {
        int status = 0;
        plain = abi::__cxa_demangle(name, nullptr, nullptr, &status);
        if (plain != nullptr) name = plain;
    }
    constexpr std::string_view inner = "vole::v0::";
    constexpr std::size_t keep = 6;
    while (const char* at = std::strstr(name, inner.data())) {
        out.put(out.to, name, static_cast<std::size_t>(at - name) + keep);
        name = at + inner.size();
    }
    out << name;
    std::free(plain);
}

void print_function(text_out& out, const symbol& s) noexcept {
    if (s.function != nullptr) {
        print_name(out, s.function);
    } else {
        out << "??";
    }
}

struct printing {
    text_out& out;
    std::uintptr_t pc;
    bool everything;
};

void print_place(text_out& out, const symbol& s, std::uintptr_t pc) noexcept {
    out << "\t";
    if (s.file != nullptr) {
        out << s.file << ":" << static_cast<std::uint64_t>(s.line);
    } else {
        out << "pc=";
        out.hex(pc);
    }
    if (s.offset != ~std::uintptr_t{0}) {
        out << " +";
        out.hex(s.offset);
    }
    out << "\n";
}

void print_symbol(void* arg, const symbol& s) noexcept {
    auto* p = static_cast<printing*>(arg);
    if (!p->everything && is_runtime(s)) return;
    print_function(p->out, s);
    p->out << "\n";
    print_place(p->out, s, p->pc);
}

// The innermost frame that belongs to whoever threw.
std::size_t begin_of_thrower(const frame_list& frames) noexcept {
    constexpr std::size_t machinery = 24;
    std::size_t begin = 0;
    for (std::size_t i = 0; i < frames.kept() && i < machinery; ++i) {
        bool found = false;
        symbols_at(
            frames[i] - 1,
            [](void* p, const symbol& s) {
                *static_cast<bool*>(p) |= s.function != nullptr && is_throw(s.function);
            },
            &found);
        if (found) begin = i + 1;
    }
    return begin;
}

}  // namespace

void print_frames(text_out& out, const frame_list& frames, frames_of what) noexcept {
    const bool everything = level() >= traceback_level::system;
    const std::size_t begin =
        what == frames_of::a_throw && !everything ? begin_of_thrower(frames) : 0;
    for (std::size_t i = begin; i < frames.kept(); ++i) {
        if (i == frame_list::half && frames.cut()) {
            out << "..." << std::uint64_t{frames.count() - frames.kept()} << " frames elided...\n";
        }
        printing p{out, frames[i], everything};
        symbols_at(frames[i] - 1, print_symbol, &p);
    }
}

bool is_left_out(std::uintptr_t pc) noexcept {
    if (level() >= traceback_level::system) return false;
    bool all = true;
    symbols_at(
        pc - 1, [](void* p, const symbol& s) { *static_cast<bool*>(p) &= is_runtime(s); }, &all);
    return all;
}

namespace {

// The function that contains the go(): of those inlined into each other the first that is not ours.
struct creator {
    symbol s;
    bool found;
};
creator creator_at(std::uintptr_t pc) noexcept {
    creator found{{}, false};
    if (pc == 0) return found;
    symbols_at(
        pc - 1,
        [](void* p, const symbol& s) {
            auto* at = static_cast<creator*>(p);
            if (!at->found && !is_runtime(s)) *at = {s, true};
        },
        &found);
    return found;
}

}  // namespace

void print_creation(text_out& out, std::uintptr_t pc, std::uint64_t parent) noexcept {
    const creator c = creator_at(pc);
    if (!c.found) return;
    out << "created by ";
    print_function(out, c.s);
    if (parent != 0) out << " in goroutine " << parent;
    out << "\n";
    print_place(out, c.s, pc);
}

std::string creator_text(std::uintptr_t pc) {
    std::string text;
    creator c = creator_at(pc);
    if (!c.found) return text;
    c.s.offset = ~std::uintptr_t{0};
    text_out out = into(text);
    print_function(out, c.s);
    out << "\n";
    print_place(out, c.s, pc);
    text.pop_back();
    return text;
}

void append_frames(std::string& text, const std::uintptr_t* pcs, std::size_t n, frames_of what) {
    text_out out = into(text);
    frame_list frames;
    for (std::size_t i = 0; i < n; ++i) frames.add(pcs[i]);
    print_frames(out, frames, what);
    if (n == 2 * frame_list::half) out << "...additional frames elided...\n";
}

void append_creation(std::string& text, std::uintptr_t pc, std::uint64_t parent) {
    text_out out = into(text);
    print_creation(out, pc, parent);
}

}  // namespace vole::detail
