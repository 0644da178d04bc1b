// What the leak check sees of goroutines: a look at each while the world is stopped.
//
// Why stopped: a goroutine's name is freed when it ends, its stack changes when it runs, and nothing short of
// that keeps a runnable one from running, or shows the frames of one that computes. With the world stopped,
// what look.hpp says is true; a name stays, since whoever frees it ends a goroutine, for which a P is needed;
// threads without a P may still make goroutines (complete before they are seen as runnable) and ready them.
//
// While the world is stopped nothing is allocated by malloc and no code of the program's is called: a
// goroutine that a signal has stopped may hold any lock that lies in the program's own code, that of an
// allocator of its own among them. Walking a stack needs the loader's lock (dl_iterate_phdr), so no
// goroutine may be stopped inside a callback of that function: symbols.cpp sees to ours.
//
// Lock: world. Stack: goroutine (also inside blocking()) or ordinary thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/src/trace/look.hpp"

namespace vole::inline v0::detail {

/// In order. Misses what is started by others meanwhile.
std::vector<std::uint64_t> existing_goroutines();

/// Whether there are others. Without stopping anything, so a guess: misses what is started meanwhile.
bool any_other_than(const std::vector<std::uint64_t>& known) noexcept;

/// One that has been looked at; what it points to belongs to the gathering.
struct seen_goroutine {
    std::uint64_t id;
    std::uint64_t parent;
    std::uintptr_t created_at;
    shown_state state;
    std::uint32_t minutes;
    const char* name;          // never null
    const frame_list* frames;  // null: instead of them, this text
    const char* no_frames;
};

class gathering {
  public:
    /// Those whose ids are not in `known`, which is in order, and not the caller's own. Throws
    /// std::bad_alloc.
    explicit gathering(std::span<const std::uint64_t> known);
    ~gathering();
    gathering(const gathering&) = delete;
    gathering& operator=(const gathering&) = delete;

    std::span<const seen_goroutine> all() const noexcept { return {goroutines_, count_}; }

  private:
    // A walk takes some microseconds.
    static constexpr std::size_t most_walked = 5'000;
    static constexpr std::size_t most_walked_of_a_kind = 100;
    static constexpr std::size_t kinds = 4'096;

    void look_at_all() noexcept;
    bool make_room(std::size_t goroutines, std::size_t name_bytes) noexcept;
    void add(G* g, const look& l) noexcept;
    const char* copy_name(const char* name, std::size_t bytes) noexcept;
    void release() noexcept;
    bool is_worth_a_walk(const seen_goroutine& one) noexcept;
    template <class F>
    void each_unknown(F f) noexcept;

    std::span<const std::uint64_t> known_;
    std::uint64_t first_new_ =
        0;  // ids from here on belong to goroutines made while the world is stopped
    bool came_in_between_ = false;  // one that the room was not made for
    // In memory from the system.
    char* memory_ = nullptr;
    std::size_t bytes_ = 0;
    seen_goroutine* goroutines_ = nullptr;
    frame_list* walked_ = nullptr;
    std::uint16_t* walked_of_kind_ = nullptr;
    char* names_ = nullptr;
    std::size_t count_ = 0, room_ = 0;
    std::size_t walked_count_ = 0;
    std::size_t name_room_ = 0;
};

}  // namespace vole::detail
