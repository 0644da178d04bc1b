// See record.hpp. Nothing here minds how much stack it takes: the entry points get themselves room.
#include "runtime/src/panic/record.hpp"

#include <cxxabi.h>
#include <unwind.h>

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <typeinfo>

#include "runtime/internal/bubble.hpp"
#include "runtime/internal/fatal.hpp"
#include "runtime/internal/labels.hpp"
#include "runtime/internal/park.hpp"
#include "runtime/src/panic/frames.hpp"
#include "runtime/src/panic/value.hpp"

namespace vole::inline v0::detail {

namespace {

constexpr std::size_t record_bytes = 24 * 1024;

_Unwind_Reason_Code at_frame(_Unwind_Context* context, void* arg) {
    auto* r = static_cast<panic_record*>(arg);
    int before_instruction = 0;
    const auto pc = static_cast<std::uintptr_t>(_Unwind_GetIPInfo(context, &before_instruction));
    if (pc == 0) return _URC_END_OF_STACK;
    // What lies before the address is the call; where a signal hit, the address itself counts.
    r->stack[r->frames++] = pc + static_cast<unsigned>(before_instruction);
    return r->frames < panic_record::most_frames ? _URC_NO_REASON : _URC_END_OF_STACK;
}

// The type and the address of what was thrown.
const std::type_info& type_of(void* object) noexcept {
    // The ABI's header lies before the object; its first word is the type.
    constexpr std::size_t header_bytes = exception_header_bytes + sizeof(_Unwind_Exception);
    return **reinterpret_cast<const std::type_info**>(static_cast<char*>(object) - header_bytes);
}

// As a `catch (const T&)` finds out, without throwing.
const void* caught_as(void* object, const std::type_info& type) noexcept {
    void* p = object;
    return type.__do_catch(&type_of(object), &p, 1) ? p : nullptr;
}
template <class T>
const T* caught_as(void* object) noexcept {
    return static_cast<const T*>(caught_as(object, typeid(T)));
}

void describe(panic_record* r) {
    if (r->object == nullptr) {
        r->text = "an exception that is not of C++";
    } else if (const auto* own = caught_as<panic_error>(r->object); own != nullptr) {
        r->text = own->what();
        if (const auto* f = caught_as<fault_error>(r->object); f != nullptr)
            r->detail = f->detail();
        r->unprintable = caught_as<unprintable_error>(r->object) != nullptr;
    } else if (const auto* standard = caught_as<std::exception>(r->object); standard != nullptr) {
        r->text = type_name(type_of(r->object)) + ": " + standard->what();
    } else {
        r->text = object_text(type_of(r->object), r->object);
    }
}

std::string labels_of(const G* g) {
    if (g->tags == nullptr || g->tags->labels == nullptr) return {};
    label_text text;
    describe_labels(g->tags->labels, text);
    return {text.text, text.length};
}

// What does not fit into memory is left out: the panic goes on without its text or name.
void describe_if_possible(panic_record* r, const G* g) {
    try {
        describe(r);
        if (g == nullptr) return;
        if (name_of(g) != nullptr) r->name = name_of(g);
        r->labels = labels_of(g);
    } catch (const std::bad_alloc&) {
        if (r->text.empty()) r->text = "(no memory)";  // needs none
    }
}

// For when there is no memory for a record: as many panics may be under way then.
class reserve {
  public:
    panic_record* take() noexcept {
        for (place& p : places_) {
            if (!p.taken.exchange(true, memory_order_acquire)) return ::new (p.memory) panic_record;
        }
        fatal("out of memory (panic)");
    }
    bool give(panic_record* r) noexcept {
        for (place& p : places_) {
            if (static_cast<void*>(r) != p.memory) continue;
            r->~panic_record();
            p.taken.store(false, memory_order_release);  // pairs with take()
            return true;
        }
        return false;
    }

  private:
    struct place {
        alignas(panic_record) std::byte memory[sizeof(panic_record)];
        atomic<bool> taken{false};
    };
    place places_[16] = {};
};
constinit reserve records;

panic_record* make_record(void* object) {
    auto* r = new (std::nothrow) panic_record;
    if (r == nullptr) r = records.take();
    r->object = object;
    if (object != nullptr) r->exception = pointer_to(object);
    const G* g = current_g();
    if (g != nullptr) {
        r->goroutine = g->id;
        r->parent = g->parent_id;
        r->created_at = reinterpret_cast<std::uintptr_t>(g->created_at);
    }
    describe_if_possible(r, g);
    _Unwind_Backtrace(at_frame, r);
    return r;
}

}  // namespace

const panic_error* panic_error_in(const panic_record* r) noexcept {
    return r->object != nullptr ? caught_as<panic_error>(r->object) : nullptr;
}

const void* find_thrown(const panic_record* r, const std::type_info& type) noexcept {
    return r->object != nullptr ? caught_as(r->object, type) : nullptr;
}

std::exception_ptr pointer_to(void* object) noexcept {
    // An exception_ptr is one pointer to the object; making a copy of it counts.
    alignas(std::exception_ptr) void* raw[1] = {object};
    static_assert(sizeof(raw) == sizeof(std::exception_ptr));
    return *std::launder(reinterpret_cast<const std::exception_ptr*>(raw));
}

panic_record* new_record(void* object) noexcept {
    struct making {
        void* object;
        panic_record* made;
    } m{object, nullptr};
    call_with_room(
        record_bytes,
        [](void* p) {
            auto* at = static_cast<making*>(p);
            at->made = make_record(at->object);
        },
        &m);
    return m.made;
}

panic_record* add_reference(panic_record* r) noexcept {
    if (r != nullptr) r->references.fetch_add(1, memory_order_relaxed);
    return r;
}

void drop_reference(panic_record* r) noexcept {
    while (r != nullptr && r->references.fetch_sub(1, memory_order_acq_rel) == 1) {
        panic_record* older = r->older;
        if (!records.give(r)) delete r;
        r = older;
    }
}

namespace {

// A value that is panicked with again is one line, not two (PAN-51).
bool is_again(const panic_record* older, const panic_record* newer) noexcept {
    if (!older->recovered || older->object == nullptr || newer->object == nullptr) return false;
    return older->object == newer->object ||
           (type_of(older->object) == type_of(newer->object) && older->text == newer->text);
}

std::string lines_until(const panic_record* r, bool repanicked) {
    std::string out;
    if (r->older != nullptr) {
        const bool again = is_again(r->older, r);
        out = lines_until(r->older, again);
        if (again) return out;
        out += '\t';
    }
    out += "panic: ";
    for (const char c : r->text) {
        out += c;
        if (c == '\n') out += '\t';
    }
    out += repanicked ? " [recovered, repanicked]\n" : r->recovered ? " [recovered]\n" : "\n";
    return out;
}

}  // namespace

std::string panic_lines(const panic_record* newest) { return lines_until(newest, false); }

}  // namespace vole::detail
