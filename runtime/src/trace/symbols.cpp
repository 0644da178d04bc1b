// See symbols.hpp.
#include "runtime/src/trace/symbols.hpp"

#include <dlfcn.h>

#include <cstring>

#include <vole/detail/atomic.hpp>

#include "runtime/internal/entry.hpp"

#if defined(VOLE_HAVE_BACKTRACE)
// As <backtrace.h> has it, which only GCC finds among its headers.
extern "C" {
struct backtrace_state;
using backtrace_error_callback = void (*)(void* data, const char* message, int error);
using backtrace_full_callback = int (*)(void* data, std::uintptr_t pc, const char* file, int line,
                                        const char* function);
using backtrace_syminfo_callback = void (*)(void* data, std::uintptr_t pc, const char* name,
                                            std::uintptr_t value, std::uintptr_t size);
backtrace_state* backtrace_create_state(const char* file, int threaded,
                                        backtrace_error_callback error, void* data);
int backtrace_pcinfo(backtrace_state* state, std::uintptr_t pc, backtrace_full_callback callback,
                     backtrace_error_callback error, void* data);
int backtrace_syminfo(backtrace_state* state, std::uintptr_t pc,
                      backtrace_syminfo_callback callback, backtrace_error_callback error,
                      void* data);
}
#endif

namespace vole::inline v0::detail {

namespace {

struct search {
    void (*f)(void*, const symbol&);
    void* arg;
    const char* name = nullptr;
    std::uintptr_t begin = 0;
    symbol
        last{};  // told when it is known whether it is the outermost: that one the linker names better
    bool found = false;

    std::uintptr_t offset(std::uintptr_t pc) const noexcept {
        return begin != 0 ? pc - begin : ~std::uintptr_t{0};
    }
};

#if defined(VOLE_HAVE_BACKTRACE)

constinit atomic<backtrace_state*> tables{nullptr};

void on_error(void*, const char*, int) {}

// Reading the tables holds the loader's lock (dl_iterate_phdr), also while code of the program's own file
// runs under it. A goroutine must not be stopped by a signal there: who stops the world to walk stacks
// needs that lock, too.
struct not_stopped_here {
    not_stopped_here() noexcept { count_in(); }
    ~not_stopped_here() { count_out(); }
    not_stopped_here(const not_stopped_here&) = delete;
    not_stopped_here& operator=(const not_stopped_here&) = delete;
};

// Two threads may both make one; the second is lost, as all of them are at the end.
backtrace_state* state() noexcept {
    backtrace_state* s = tables.load(memory_order_acquire);
    if (s != nullptr) return s;
    s = backtrace_create_state(nullptr, 1, on_error, nullptr);
    tables.store(s, memory_order_release);
    return s;
}

int on_line(void* p, std::uintptr_t pc, const char* file, int line, const char* function) {
    auto* s = static_cast<search*>(p);
    if (file == nullptr && function == nullptr) return 0;
    if (s->found) s->f(s->arg, s->last);
    s->found = true;
    s->last = {function, file, line, s->offset(pc)};
    return 0;
}

void on_symbol(void* p, std::uintptr_t, const char* name, std::uintptr_t value, std::uintptr_t) {
    auto* s = static_cast<search*>(p);
    s->name = name;
    s->begin = name != nullptr ? value : 0;
}

void look_up_name(search& s, std::uintptr_t pc) noexcept {
    const not_stopped_here pin;
    if (backtrace_state* t = state(); t != nullptr) {
        backtrace_syminfo(t, pc, on_symbol, on_error, &s);
    }
}

void look_up(search& s, std::uintptr_t pc) noexcept {
    look_up_name(s, pc);
    const not_stopped_here pin;
    if (backtrace_state* t = state(); t != nullptr) {
        backtrace_pcinfo(t, pc, on_line, on_error, &s);
    }
}

#else

void look_up_name(search& s, std::uintptr_t pc) noexcept {
    Dl_info info;
    if (dladdr(reinterpret_cast<void*>(pc), &info) == 0 || info.dli_sname == nullptr) return;
    s.name = info.dli_sname;
    s.begin = reinterpret_cast<std::uintptr_t>(info.dli_saddr);
}
void look_up(search& s, std::uintptr_t pc) noexcept { look_up_name(s, pc); }

#endif

}  // namespace

bool function_name(std::uintptr_t pc, char* text, std::size_t size) noexcept {
    search s{nullptr, nullptr};
    look_up_name(s, pc);
    if (s.name == nullptr) return false;
    std::strncpy(text, s.name, size - 1);
    text[size - 1] = '\0';
    return true;
}

std::uintptr_t function_begin(std::uintptr_t pc) noexcept {
    search s{nullptr, nullptr};
    look_up_name(s, pc);
    return s.begin;
}

void symbols_at(std::uintptr_t pc, void (*f)(void* arg, const symbol& s), void* arg) noexcept {
    search s{f, arg};
    look_up(s, pc);
    if (!s.found) s.last = {nullptr, nullptr, 0, s.offset(pc)};
    if (s.name != nullptr) s.last.function = s.name;
    f(arg, s.last);
}

}  // namespace vole::detail
