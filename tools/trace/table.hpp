// A map from numbers to records of known size: open addressing, no removal. Grows to twice what is in it, so its size is
// bounded by the number of events.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace vole::trace {

template <class T>
class table {
  public:
    table() : entries_(64) {}

    /// The record of `key`, made if there is none. Good until the next call.
    T& operator[](std::uint64_t key) {
        entry* e = &at(entries_, key);
        if (!e->used) {
            if (++size_ > entries_.size() / 2) {
                grow();
                e = &at(entries_, key);
            }
            e->used = true;
            e->key = key;
        }
        return e->value;
    }

  private:
    struct entry {
        std::uint64_t key = 0;
        bool used = false;
        T value{};
    };

    static entry& at(std::vector<entry>& in, std::uint64_t key) {
        // 2^64 / golden ratio; the upper half depends on all of the key.
        std::size_t i = static_cast<std::size_t>(key * 0x9e3779b97f4a7c15U >> 32);
        for (;; ++i) {
            entry& e = in[i & (in.size() - 1)];
            if (!e.used || e.key == key) return e;
        }
    }

    void grow() {
        std::vector<entry> larger(entries_.size() * 2);
        for (entry& e : entries_) {
            if (e.used) at(larger, e.key) = std::move(e);
        }
        entries_.swap(larger);
    }

    std::vector<entry> entries_;
    std::size_t size_ = 0;
};

}  // namespace vole::trace
