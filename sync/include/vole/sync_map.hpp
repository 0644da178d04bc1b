// A map for many goroutines and threads at once. What all headers of <vole/sync.hpp> have in common is said there, but
// for this one: entries are allocated, and the destructor frees them.
//
// How it works: <vole/detail/map_core.hpp> (one sorted list without locks, and buckets that lead into it) and
// <vole/detail/grace.hpp> (who may still be reading). What is added here are keys and values:
//  - a value that is a word changes in its entry (<vole/detail/map_entry.hpp>). Any other does not: a new one is a new entry
//    that takes the old one's place, and the old one dies by a `next` that leads to the new one, in one step, so at
//    each moment exactly one of them counts.
//  - a new key is added behind the last entry of its order. Two who add the same key want the same
//    place, and one of them finds it changed.
//  - comparisons, copies and hashes run in a section of the grace, which is no lock: they may throw, wait, or use the map.
//    They all run before the step that changes the map.
//  - what is read counts as of the moment when an entry was found live, or as of one when there was none.
//
// Rejected: locks for each bucket (keys are compared and values copied by user code, which must not run under
// one that readers need); reference counts in entries (all readers of a key would write to one place); one box for
// each value, as a second allocation that can be swapped (each read would follow one more pointer).
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include <vole/config.hpp>
#include <vole/detail/explore_point.hpp>
#include <vole/detail/grace.hpp>
#include <vole/detail/map_core.hpp>
#include <vole/detail/map_entry.hpp>

namespace vole::inline v0 {

/// Go's sync.Map. Each operation on one key is atomic, and no operation waits for another. A read neither allocates
/// nor writes where another P does. Values are given as copies, made while others may replace or erase what is
/// copied; the map never moves from a value. One that is trivially copyable and has at most eight bytes (a number, a pointer) is
/// replaced without an allocation.
///
/// Happens-before: an operation that writes -> one that sees its effect.
///
/// Hash, Equal, the copies and destructors of K and V may take their time, may block, and may use the map, with the
/// exception of destructors that run in the map's own. What they throw (destructors must not) leaves the map as it was.
/// Keys and values that were erased or replaced are destroyed as soon as no operation is left that had begun before (one that
/// copies a value or calls a function, say), by whoever is the last. If neither K nor V has a destructor, some hundred
/// entries a P may be kept for later.
template <class K, class V, class Hash = std::hash<K>, class Equal = std::equal_to<K>>
class sync_map {
  public:
    using key_type = K;
    using mapped_type = V;

    constexpr sync_map() noexcept = default;
    constexpr explicit sync_map(Hash hash, Equal equal = Equal())
        : hash_(std::move(hash)), equal_(std::move(equal)) {}
    sync_map(const sync_map&) = delete;
    sync_map& operator=(const sync_map&) = delete;
    /// No operation may be under way.
    ~sync_map() {
        detail::map_link* left = detail::link_in(core_.root()->next.load(order_acquire));
        while (left != nullptr) {
            const std::uintptr_t next = left->next.load(order_acquire);
            if (is_entry(left)) delete entry_at(left);
            left = detail::link_in(next);
        }
        destroy(grace_.take_all());
    }

    /// The key's value; nullopt: there is none.
    std::optional<V> load(const K& key) const {
        detail::explore_point("load", this, detail::touch::reads);
        const std::uint64_t order = order_of(key);
        section in(grace_);
        const entry* e = find(order, key, in);
        if (e == nullptr) return std::nullopt;
        return std::optional<V>(std::in_place, entry::value_of(e->look()));
    }

    bool contains(const K& key) const {
        detail::explore_point("contains", this, detail::touch::reads);
        const std::uint64_t order = order_of(key);
        section in(grace_);
        return find(order, key, in) != nullptr;
    }

    /// Sets the key's value.
    void store(K key, V value) {
        detail::explore_point("store", this);
        put<false>(key, value);
    }

    /// The key's value, and true; if there is none, it becomes `value`, and the result is that, and false.
    std::pair<V, bool> load_or_store(const K& key, V value) {
        detail::explore_point("load_or_store", this);
        const std::uint64_t order = order_of(key);
        std::unique_ptr<entry> fresh;
        std::optional<V> copy;
        section in(grace_);
        for (;;) {
            const spot s = locate(order, key, in);
            if (s.found != nullptr) return {entry::value_of(s.found->look()), true};
            if (fresh == nullptr) {
                copy.emplace(value);
                fresh = make_entry(order, key, std::move(value));
            }
            if (insert(s, fresh, in)) return {*std::move(copy), false};
        }
    }

    /// Sets the key's value and gives the old one, if there was one.
    std::optional<V> swap(K key, V value) {
        detail::explore_point("swap", this);
        return put<true>(key, value);
    }

    /// Erases the key; false: there was no such key.
    bool erase(const K& key) {
        detail::explore_point("erase", this);
        return erase_if(key, [](const V&) { return true; });
    }

    /// Erases the key and gives its value, if there was one.
    std::optional<V> load_and_delete(const K& key) {
        detail::explore_point("load_and_delete", this);
        std::optional<V> old;
        const bool erased = erase_if(key, [&](const V& value) {
            old.reset();
            old.emplace(value);
            return true;
        });
        if (!erased) old.reset();
        return old;
    }

    /// Sets the key's value if there is one and it equals `old`.
    bool compare_and_swap(const K& key, const V& old,
                          V value) requires std::equality_comparable<V> {
        detail::explore_point("compare_and_swap", this);
        const std::uint64_t order = order_of(key);
        std::unique_ptr<entry> fresh;
        section in(grace_);
        for (;;) {
            const spot s = locate(order, key, in);
            if (s.found == nullptr) return false;
            const auto seen = s.found->look();
            if (!(entry::value_of(seen) == old)) return false;
            if (change(s, seen, fresh, key, value, in)) return true;
        }
    }

    /// Erases the key if it has a value that equals `old`.
    bool compare_and_delete(const K& key, const V& old) requires std::equality_comparable<V> {
        detail::explore_point("compare_and_delete", this);
        return erase_if(key, [&](const V& value) { return bool(value == old); });
    }

    /// Calls f(key, value) for the entries, in no particular order, until it returns false, if it returns
    /// anything. Every key that is there all the time is visited, no key twice; what else is visited, and each value, may be of any
    /// moment during the call. f may use the map in any way, and may block; nobody waits for it. The
    /// references hold during the call of f. Nothing that is erased meanwhile is destroyed before range() is over.
    template <class F>
        requires std::invocable<F&, const K&, const V&>
    void range(F&& f) const {
        detail::explore_point("range", this, detail::touch::reads);
        section in(grace_);
        // Those of the order that is being visited: one of them may have been replaced, or erased and added again.
        std::vector<const entry*> visited;
        detail::map_link* at = core_.root();
        while ((at = detail::link_in(at->next.load(order_acquire))) != nullptr) {
            if (!is_entry(at) || detail::is_dead(at->next.load(order_acquire))) continue;
            const entry* e = entry_at(at);
            if (!visited.empty() && visited.back()->order != e->order) visited.clear();
            bool again = false;
            for (const entry* v : visited) again = again || equal_(v->key, e->key);
            if (again) continue;
            visited.push_back(e);
            const V& value = entry::value_of(e->look());
            if constexpr (std::is_void_v<std::invoke_result_t<F&, const K&, const V&>>) {
                std::invoke(f, e->key, value);
            } else {
                if (!std::invoke(f, e->key, value)) return;
            }
        }
    }

    /// Erases all keys that are there when it begins. Those that are added meanwhile may go, too.
    void clear() {
        detail::explore_point("clear", this);
        section in(grace_);
        detail::map_link* at = core_.root();
        while ((at = detail::link_in(at->next.load(order_acquire))) != nullptr) {
            if (is_entry(at) && kill(at)) --in.added;
        }
        detail::map_core::seek(core_.root(), ~std::uint64_t{0}, in.out);
    }

    /// How many keys there are: exact while nobody changes the map. Looks at something of each P.
    std::size_t size() const noexcept {
        const std::int64_t n = grace_.count();
        return n > 0 ? static_cast<std::size_t>(n) : 0;
    }
    bool empty() const noexcept { return size() == 0; }

  private:
    static constexpr auto order_acquire = detail::memory_order_acquire;
    static constexpr bool destroys_nothing =
        std::is_trivially_destructible_v<K> && std::is_trivially_destructible_v<V>;

    using entry = detail::map_entry_of<K, V>;

    static void destroy(detail::retired* r) noexcept {
        while (r != nullptr) {
            detail::retired* next = r->next_retired;
            delete static_cast<entry*>(static_cast<detail::map_entry*>(r));
            r = next;
        }
    }

    // A stretch in which what is found stays.
    struct section {
        explicit section(detail::grace& all) noexcept : grace_(all), turn_(all.enter()) {}
        ~section() {
            destroy(out.empty() && added == 0 ? grace_.leave(turn_)
                                              : grace_.leave(turn_, out, added));
        }
        section(const section&) = delete;
        section& operator=(const section&) = delete;

        detail::retired_chain out;
        std::int64_t added = 0;

      private:
        detail::grace& grace_;
        unsigned turn_;
    };

    // Where a key is, or is to be added: behind `before`, whose next is `next`.
    struct spot {
        detail::map_link* before;
        entry* found;
        std::uintptr_t next;  // of the entry that was found, else of `before`
        unsigned steps;
    };

    static bool is_entry(const detail::map_link* l) noexcept { return (l->order & 1) != 0; }
    static entry* entry_at(detail::map_link* l) noexcept { return static_cast<entry*>(l); }

    std::uint64_t order_of(const K& key) const {
        return detail::order_of_hash(static_cast<std::uint64_t>(hash_(key)));
    }

    template <class Key>
    static std::unique_ptr<entry> make_entry(std::uint64_t order, Key&& key, V&& value) {
        auto e = std::make_unique<entry>(std::forward<Key>(key), std::move(value));
        e->order = order;
        return e;
    }

    // Sets the key's value. The old one, if it is asked for and there was one.
    template <bool gives_old>
    std::optional<V> put(K& key, V& value) {
        const std::uint64_t order = order_of(key);
        std::unique_ptr<entry> fresh;  // then key and value have moved there
        section in(grace_);
        for (;;) {
            const spot s = locate(order, fresh == nullptr ? key : fresh->key, in);
            std::optional<V> old;
            if (s.found == nullptr) {
                if (fresh == nullptr) fresh = make_entry(order, std::move(key), std::move(value));
                if (insert(s, fresh, in)) return old;
            } else {
                const auto seen = s.found->look();
                if constexpr (gives_old) old.emplace(entry::value_of(seen));
                if (change(s, seen, fresh, std::move(key), value, in)) return old;
            }
        }
    }

    // Gives the entry that was found a new value. False: it has changed meanwhile.
    template <class Seen, class Key>
    bool change(const spot& s, Seen seen, std::unique_ptr<entry>& fresh, Key&& key, V& value,
                section& in) {
        if constexpr (detail::changes_in_place<V>) {
            return s.found->set(seen, s.next, value);
        } else {
            if (fresh == nullptr) {
                fresh = make_entry(s.found->order, std::forward<Key>(key), std::move(value));
            }
            return replace(s, fresh, in);
        }
    }

    // The live entry. One that is dead leads on to the one that replaced it.
    const entry* find(std::uint64_t order, const K& key, section& in) const {
        detail::map_link* at = core_.start(order, in.out);
        do {
            at = detail::link_in(at->next.load(order_acquire));
        } while (at != nullptr && at->order < order);
        while (at != nullptr && at->order == order) {
            const std::uintptr_t next = at->next.load(order_acquire);
            if (!detail::is_dead(next) && equal_(entry_at(at)->key, key)) return entry_at(at);
            at = detail::link_in(next);
        }
        return nullptr;
    }

    // The same for those who are about to write: with no dead ones before the spot, in the order asked for.
    spot locate(std::uint64_t order, const K& key, section& in) {
        for (;;) {
            auto [before, at, steps] =
                detail::map_core::seek(core_.start(order, in.out), order, in.out);
            bool changed = false;
            while (!changed && at != nullptr && at->order == order) {
                const std::uintptr_t next = at->next.load(order_acquire);
                if (detail::is_dead(next)) {
                    changed = !detail::map_core::unlink(before, at, next, in.out);
                } else if (equal_(entry_at(at)->key, key)) {
                    return {before, entry_at(at), next, steps};
                } else {
                    before = at;
                    ++steps;
                }
                at = detail::link_in(next);
            }
            if (!changed) return {before, nullptr, detail::next_word(at), steps};
        }
    }

    bool insert(const spot& s, std::unique_ptr<entry>& fresh, section& in) {
        std::uintptr_t next = s.next;
        fresh->next.store(next, detail::memory_order_relaxed);
        // release: who finds the entry finds what is in it.
        if (!s.before->next.compare_exchange_strong(next, detail::next_word(fresh.get()),
                                                    detail::memory_order_acq_rel,
                                                    detail::memory_order_relaxed)) {
            return false;
        }
        fresh.release();
        ++in.added;
        if (s.steps > 2) core_.grow_for(grace_.count() + in.added);
        return true;
    }

    bool replace(const spot& s, std::unique_ptr<entry>& fresh, section& in) {
        std::uintptr_t next = s.next;
        fresh->next.store(next, detail::memory_order_relaxed);
        const std::uintptr_t dead = detail::next_word(fresh.get()) | 1;
        if (!s.found->next.compare_exchange_strong(next, dead, detail::memory_order_acq_rel,
                                                   detail::memory_order_relaxed)) {
            return false;
        }
        fresh.release();
        take_out(s, dead, in);
        return true;
    }

    // With its spot, an entry that has just died. If that has changed, whoever passes by takes it out.
    void take_out(const spot& s, std::uintptr_t dead, section& in) noexcept {
        const std::uint64_t order = s.found->order;
        if (!detail::map_core::unlink(s.before, s.found, dead, in.out)) {
            detail::map_core::seek(core_.start(order, in.out), order + 1, in.out);
        }
    }

    // False: it was dead.
    static bool kill(detail::map_link* l) noexcept {
        std::uintptr_t next = l->next.load(order_acquire);
        while (!detail::is_dead(next)) {
            if (l->next.compare_exchange_weak(next, next | 1, detail::memory_order_acq_rel,
                                              order_acquire)) {
                return true;
            }
        }
        return false;
    }

    template <class Pred>
    bool erase_if(const K& key, Pred pred) {
        const std::uint64_t order = order_of(key);
        section in(grace_);
        for (;;) {
            const spot s = locate(order, key, in);
            if (s.found == nullptr) return false;
            const auto seen = s.found->look();
            if (!pred(entry::value_of(seen))) return false;
            if (!s.found->end(seen, s.next)) continue;
            --in.added;
            take_out(s, s.next | 1, in);
            return true;
        }
    }

    // Reading counts itself in, and puts buckets into the list.
    mutable detail::grace grace_{!destroys_nothing};
    mutable detail::map_core core_;
    [[no_unique_address]] Hash hash_{};
    [[no_unique_address]] Equal equal_{};
};

}  // namespace vole::inline v0
