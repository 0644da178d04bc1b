// A list of goroutines, linked through themselves: each is in one list at a time.
#pragma once

#include <cstdint>

#include "runtime/internal/g.hpp"

namespace vole::inline v0::detail {

struct g_list {  // through G::link
    G* head = nullptr;
    G* tail = nullptr;
    std::uint32_t size = 0;

    void push_back(G* g) noexcept {
        g->link = nullptr;
        (tail != nullptr ? tail->link : head) = g;
        tail = g;
        ++size;
    }
    G* pop_front() noexcept {
        G* g = head;
        if (g != nullptr) {
            head = g->link;
            if (head == nullptr) tail = nullptr;
            --size;
        }
        return g;
    }
    void remove_behind(G* before) noexcept {
        G* g = before->link;
        before->link = g->link;
        if (tail == g) tail = before;
        --size;
    }
    void append(g_list& other) noexcept {
        if (other.head == nullptr) return;
        (tail != nullptr ? tail->link : head) = other.head;
        tail = other.tail;
        size += other.size;
        other = {};
    }
};

}  // namespace vole::detail
