// Weak handles to managed objects. Cites WEAK-1 to WEAK-9, CLN-10, CLN-12.
#include <catch2/catch.hpp>

#include <vole/managed.hpp>
#include <vole/panic.hpp>
#include <vole/sync.hpp>

#include "test/behaviour/sched_support.hpp"
#include "test/support/duel.hpp"
#include "test/support/findings.hpp"
#include "test/support/values.hpp"

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <thread>
#include <type_traits>
#include <unordered_map>
#include <vector>

using namespace vole::test;

static_assert(sizeof(vole::weak<int>) == sizeof(void*));  // WEAK-4
static_assert(std::is_nothrow_move_constructible_v<vole::weak<int>>);

namespace {

constinit vole::weak<int> global_null;

struct point {
    int x = 1;
    int y = 2;
};

/// All objects of this type lie at one address; one at a time.
struct always_here {
    int value = 0;
    static void* operator new(std::size_t) { return place; }
    static void operator delete(void*) noexcept {}
    alignas(int) static inline std::byte place[sizeof(int)];
};

/// Says when its memory is given back.
struct counted_memory {
    std::byte bytes[4096];
    static inline std::atomic<int> live{0};
    static void* operator new(std::size_t n) {
        ++live;
        return ::operator new(n);
    }
    static void operator delete(void* p) noexcept {
        --live;
        ::operator delete(p);
    }
};

template <class T>
std::size_t hash_of(const vole::weak<T>& w) {
    return std::hash<vole::weak<T>>()(w);
}

}  // namespace

TEST_CASE("WEAK-1 the object while it lives, null afterwards", "[managed]") {
    CHECK(everywhere([](findings& ok) {
              auto p = vole::make_managed<std::string>("text");
              const auto w = vole::make_weak(p);
              ok(w.value() == p);
              ok(*w.value() == "text");
              auto second = w.value();
              p.reset();
              ok(w.value() == second);
              second.reset();
              ok(w.value() == nullptr);
              ok(w.value() == nullptr);
          }) == "");
}

TEST_CASE("WEAK-1 null before the destructor begins", "[managed]") {
    struct looks {
        vole::weak<looks> self;
        bool& was_null;
        explicit looks(bool& b) : was_null(b) {}
        ~looks() { was_null = self.value() == nullptr; }
    };
    bool was_null = false;
    auto p = vole::make_managed<looks>(was_null);
    p->self = vole::make_weak(p);
    p.reset();
    CHECK(was_null);
}

TEST_CASE("WEAK-1 copies, moves and assignments of handles", "[managed]") {
    auto p = vole::make_managed<int>(7);
    auto a = vole::make_weak(p);
    auto b = a;
    auto c = std::move(a);
    CHECK(a == vole::weak<int>());
    CHECK(b == c);
    a = b;
    b = vole::weak<int>();
    a = *&a;
    CHECK(a == c);
    CHECK(*a.value() == 7);
    CHECK(b.value() == nullptr);
    CHECK(p.use_count() == 1);
}

TEST_CASE("WEAK-2 equal if made from equal pointers, also after death", "[managed]") {
    auto p = vole::make_managed<int>(1);
    auto q = vole::make_managed<int>(1);
    const auto p1 = vole::make_weak(p);
    const auto p2 = vole::make_weak(std::shared_ptr<int>(p));
    const auto q1 = vole::make_weak(q);
    CHECK(p1 == p2);
    CHECK(p1 != q1);
    p.reset();
    CHECK(p1 == p2);
    CHECK(p1 != q1);
    q.reset();
    CHECK(p1 != q1);
}

TEST_CASE("WEAK-2 another object at the same address is another object", "[managed]") {
    auto p = vole::make_managed<always_here>();
    const void* const address = p.get();
    const auto old = vole::make_weak(p);
    p.reset();
    p = vole::make_managed<always_here>();
    CHECK(p.get() == address);
    const auto fresh = vole::make_weak(p);
    CHECK(old != fresh);
    CHECK(old.value() == nullptr);
    CHECK(fresh.value() == p);
}

TEST_CASE("WEAK-2 handles that are made at the same time are equal", "[managed]") {
    const int rounds = scaled(10'000);
    int unequal = 0;
    const procs_scope procs(2);
    vole::run([&] {
        // Many parts, so that two who go through them in one order meet at some.
        using parts = std::array<int, 64>;
        std::shared_ptr<parts> p;
        std::vector<vole::weak<int>> here;
        std::vector<vole::weak<int>> there;
        const auto make_handles = [&](std::vector<vole::weak<int>>& to) {
            const std::shared_ptr<parts> mine = p;
            for (int& part : *mine)
                to.push_back(vole::make_weak(std::shared_ptr<int>(mine, &part)));
        };
        duel(
            rounds,
            [&] {
                if (here != there) ++unequal;
                here.clear();
                there.clear();
                p = vole::make_managed<parts>();
            },
            [&] { make_handles(here); }, [&] { make_handles(there); });
    });
    CHECK(unequal == 0);
}

TEST_CASE("WEAK-3 a pointer to a part is another pointer", "[managed]") {
    auto p = vole::make_managed<point>();
    const std::shared_ptr<int> x(p, &p->x);
    const std::shared_ptr<int> y(p, &p->y);
    const auto wx = vole::make_weak(x);
    const auto wy = vole::make_weak(y);
    CHECK(wx != wy);
    CHECK(wx == vole::make_weak(std::shared_ptr<int>(x, &p->x)));
    CHECK(wx.value().get() == &p->x);
    CHECK(wy.value().get() == &p->y);
}

TEST_CASE("WEAK-9 a handle to a part keeps nothing; its value keeps the whole object",
          "[managed]") {
    tracked::reset();
    struct with_part {
        tracked whole{5};
        int part = 6;
    };
    auto p = vole::make_managed<with_part>();
    const auto w = vole::make_weak(std::shared_ptr<int>(p, &p->part));
    CHECK(p.use_count() == 1);
    std::shared_ptr<int> part = w.value();
    p.reset();
    CHECK(tracked::live == 1);
    CHECK(*part == 6);
    part.reset();
    CHECK(tracked::live == 0);
    CHECK(w.value() == nullptr);
}

TEST_CASE("WEAK-4 null handles", "[managed]") {
    const vole::weak<int> none;
    CHECK(none.value() == nullptr);
    CHECK(vole::make_weak(std::shared_ptr<int>()) == none);
    CHECK(global_null == none);
    CHECK(hash_of(none) == hash_of(global_null));
    auto p = vole::make_managed<int>(1);
    const auto w = vole::make_weak(p);
    CHECK(w != none);
    p.reset();
    CHECK(w != none);  // a handle to something dead is not a handle to nothing
}

TEST_CASE("WEAK-4 objects that never die", "[managed]") {
    static int one = 1;
    static int two = 2;
    const auto immortal = [](int& i) { return std::shared_ptr<int>(std::shared_ptr<int>(), &i); };
    const auto w = vole::make_weak(immortal(one));
    CHECK(w.value().get() == &one);
    CHECK(w == vole::make_weak(immortal(one)));
    CHECK(hash_of(w) == hash_of(vole::make_weak(immortal(one))));
    CHECK(w != vole::make_weak(immortal(two)));
    CHECK(w != vole::make_weak(vole::make_managed<int>(1)));
}

TEST_CASE("WEAK-4 null when a cleanup of the object runs", "[managed]") {
    bool null = false;
    bool equal = false;
    vole::run([&] {
        auto p = vole::make_managed<int>(1);
        const auto w = vole::make_weak(p);
        vole::add_cleanup(
            p,
            [&](const vole::weak<int>& arg) {
                null = arg.value() == nullptr;
                equal = arg == w;
            },
            w);
        p.reset();
        vole::drain_cleanups();
    });
    CHECK(null);
    CHECK(equal);
}

TEST_CASE("WEAK-5 the key of a map, found and erased after death", "[managed]") {
    std::unordered_map<vole::weak<std::string>, int> map;
    std::vector<std::shared_ptr<std::string>> objects;
    std::vector<vole::weak<std::string>> keys;
    for (int i = 0; i < 100; ++i) {
        objects.push_back(vole::make_managed<std::string>(std::to_string(i)));
        keys.push_back(vole::make_weak(objects.back()));
        map[keys.back()] = i;
    }
    std::vector<std::size_t> hashes;
    for (const auto& k : keys) hashes.push_back(hash_of(k));
    objects.clear();
    int wrong = 0;
    for (std::size_t i = 0; i < keys.size(); ++i) {
        if (hash_of(keys[i]) != hashes[i]) ++wrong;
        const auto found = map.find(keys[i]);
        if (found == map.end() || found->second != static_cast<int>(i)) ++wrong;
        if (map.erase(keys[i]) != 1) ++wrong;
    }
    CHECK(wrong == 0);
    CHECK(map.empty());
}

TEST_CASE("WEAK-6 value() against the last release: the whole object or nothing", "[managed]") {
    struct checked {
        int alive = 12345;
        ~checked() { alive = 0; }
    };
    const int rounds = scaled(5000);
    int broken = 0;
    int late = 0;
    const procs_scope procs(2);
    vole::run([&] {
        std::shared_ptr<checked> p;
        vole::weak<checked> w;
        duel(
            rounds,
            [&] {
                if (w.value() != nullptr) ++late;  // both have let go
                p = vole::make_managed<checked>();
                w = vole::make_weak(p);
            },
            [&] { p.reset(); },
            [&] {
                if (const auto got = w.value(); got != nullptr && got->alive != 12345) ++broken;
            });
    });
    CHECK(broken == 0);
    CHECK(late == 0);
}

TEST_CASE("WEAK-7 the object's memory is given back while weak handles exist", "[managed]") {
    counted_memory::live = 0;
    auto p = vole::make_managed<counted_memory>();
    const auto w = vole::make_weak(p);
    const auto part = vole::make_weak(std::shared_ptr<std::byte>(p, p->bytes));
    const auto handle = vole::add_cleanup(
        p, [](int) {}, 1);
    CHECK(counted_memory::live == 1);
    p.reset();
    CHECK(counted_memory::live == 0);
    CHECK(w.value() == nullptr);
    CHECK(part.value() == nullptr);
    vole::drain_cleanups();
}

TEST_CASE("WEAK-8 nothing brings an object back", "[managed]") {
    struct selfish : std::enable_shared_from_this<selfish> {
        bool& refused;
        explicit selfish(bool& b) : refused(b) {}
        ~selfish() {
            try {
                (void)shared_from_this();
            } catch (const std::bad_weak_ptr&) {
                refused = true;
            }
        }
    };
    bool refused = false;
    auto p = vole::make_managed<selfish>(refused);
    CHECK(p->shared_from_this() == p);
    CHECK(vole::make_weak(p->shared_from_this()) == vole::make_weak(p));
    p.reset();
    CHECK(refused);
}

TEST_CASE("WEAK-9 base classes, const", "[managed]") {
    struct base {
        virtual ~base() = default;
    };
    struct derived : base {
        tracked t{1};
    };
    tracked::reset();
    std::shared_ptr<const base> p = vole::make_managed<derived>();
    const vole::weak<const base> w = vole::make_weak(p);
    CHECK(w.value() == p);
    p.reset();
    CHECK(w.value() == nullptr);
    CHECK(tracked::live == 0);

    const auto c = vole::make_managed<const std::string>("const");
    CHECK(*vole::make_weak(c).value() == "const");
}

TEST_CASE("WEAK-1 an object of another kind is refused", "[managed]") {
    findings ok;
    ok.throws<vole::runtime_error>("weak.Make: ptr not in allocated block",
                                   [] { (void)vole::make_weak(std::make_shared<int>(1)); });
    CHECK(ok.text() == "");
}

TEST_CASE("WEAK-1 a constructor that throws leaves nothing behind", "[managed]") {
    struct throws : counted_memory {
        throws() { throw 1; }
    };
    counted_memory::live = 0;
    CHECK_THROWS_AS(vole::make_managed<throws>(), int);
    CHECK(counted_memory::live == 0);
}

TEST_CASE("WEAK-1 objects that ask for more alignment than others", "[managed]") {
    auto p = vole::make_managed<over_aligned>();
    CHECK(p->aligned());
    const auto w = vole::make_weak(p);
    p.reset();
    CHECK(w.value() == nullptr);
}

TEST_CASE("CLN-10 a weak handle breaks a circle", "[managed]") {
    struct node {
        tracked t{1};
        std::shared_ptr<node> next;
        vole::weak<node> previous;
    };
    tracked::reset();
    auto a = vole::make_managed<node>();
    a->next = vole::make_managed<node>();
    a->next->previous = vole::make_weak(a);
    CHECK(a->next->previous.value() == a);
    a.reset();
    CHECK(tracked::live == 0);
}

TEST_CASE("CLN-12 kept alive until the call", "[managed]") {
    auto p = vole::make_managed<int>(1);
    const auto w = vole::make_weak(p);
    bool lived = false;
    {
        const std::shared_ptr<int> local = std::move(p);
        lived = w.value() != nullptr;
        vole::keep_alive(local);
        lived = lived && w.value() != nullptr;
    }
    CHECK(lived);
    CHECK(w.value() == nullptr);
}
