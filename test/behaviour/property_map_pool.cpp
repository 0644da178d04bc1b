// sync_map and pool against models that are too simple to be wrong, with programs that rapidcheck makes up and
// shrinks. Cites SYNC-61, SYNC-62, SYNC-66, SYNC-67, SYNC-68, SYNC-70.
//
// Three kinds:
//  - one goroutine: each result is what the model says;
//  - several goroutines on one key: there must be an order of the operations, in which each comes between its call and
//    its return, so that a single-threaded model gives all the same results (linearizability);
//  - pool: what comes out is what was put in, by the order that SYNC-61 promises on one P.
#include <catch2/catch.hpp>
#include <rapidcheck.h>

#include <vole/pool.hpp>
#include <vole/sync.hpp>
#include <vole/sync_map.hpp>

#include "test/behaviour/sched_support.hpp"
#include "test/support/wide_int.hpp"

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <set>
#include <utility>
#include <vector>

using namespace vole::test;

namespace {

enum class kind {
    load,
    store,
    load_or_store,
    swap,
    load_and_delete,
    erase,
    cas,
    cad,
    clear,
    count
};

struct op {
    kind what = kind::load;
    int key = 0;
    int a = 0;  // value, or the old one
    int b = 0;  // of cas: the new one
};

std::ostream& operator<<(std::ostream& out, const op& o) {
    static const char* const names[] = {
        "load",  "store", "load_or_store", "swap", "load_and_delete",
        "erase", "cas",   "cad",           "clear"};
    return out << names[static_cast<int>(o.what)] << '(' << o.key << ", " << o.a << ", " << o.b
               << ')';
}

// What an operation gave: a value, and yes or no.
using answer = std::pair<std::optional<int>, bool>;

template <class M>
answer apply(M& m, const op& o) {
    switch (o.what) {
        case kind::load: return {m.load(o.key), m.contains(o.key)};
        case kind::store: m.store(o.key, o.a); return {};
        case kind::load_or_store: return m.load_or_store(o.key, o.a);
        case kind::swap: return {m.swap(o.key, o.a), false};
        case kind::load_and_delete: return {m.load_and_delete(o.key), false};
        case kind::erase: return {std::nullopt, m.erase(o.key)};
        case kind::cas: return {std::nullopt, m.compare_and_swap(o.key, o.a, o.b)};
        case kind::cad: return {std::nullopt, m.compare_and_delete(o.key, o.a)};
        case kind::clear: m.clear(); return {};
        case kind::count: break;
    }
    return {};
}

// The map that is too simple to be wrong.
struct model_map {
    std::map<int, int> all;

    std::optional<int> load(int k) const {
        const auto at = all.find(k);
        return at != all.end() ? std::optional(at->second) : std::nullopt;
    }
    bool contains(int k) const { return all.count(k) != 0; }
    void store(int k, int v) { all[k] = v; }
    std::pair<int, bool> load_or_store(int k, int v) {
        const auto [at, added] = all.emplace(k, v);
        return {at->second, !added};
    }
    std::optional<int> swap(int k, int v) {
        const auto old = load(k);
        all[k] = v;
        return old;
    }
    std::optional<int> load_and_delete(int k) {
        const auto old = load(k);
        all.erase(k);
        return old;
    }
    bool erase(int k) { return all.erase(k) != 0; }
    bool compare_and_swap(int k, int old, int v) {
        if (load(k) != old) return false;
        all[k] = v;
        return true;
    }
    bool compare_and_delete(int k, int old) { return load(k) == old && all.erase(k) != 0; }
    void clear() { all.clear(); }
};

rc::Gen<op> any_op(int keys, int values, kind end) {
    return rc::gen::map(rc::gen::tuple(rc::gen::inRange(0, static_cast<int>(end)),
                                       rc::gen::inRange(0, keys), rc::gen::inRange(0, values),
                                       rc::gen::inRange(0, values)),
                        [](const std::tuple<int, int, int, int>& t) {
                            return op{static_cast<kind>(std::get<0>(t)), std::get<1>(t),
                                      std::get<2>(t), std::get<3>(t)};
                        });
}

template <class Hash, class V>
void as_the_model() {
    const auto program = *rc::gen::container<std::vector<op>>(any_op(30, 3, kind::count));
    vole::sync_map<int, V, Hash> m;
    model_map model;
    for (const op& o : program) {
        const answer got = apply(m, o);
        answer wanted = apply(model, o);
        RC_ASSERT(got == wanted);
        RC_ASSERT(m.size() == model.all.size());
    }
    std::map<int, int> all;
    m.range([&](int k, int v) { RC_ASSERT(all.emplace(k, v).second); });
    RC_ASSERT(all == model.all);
}

// All 64 bits of a hash decide where an entry lies: here, keys share none, some, or all of them.
struct any_hash {
    std::size_t operator()(int k) const noexcept { return std::hash<int>()(k); }
};
struct clashing_hash {
    std::size_t operator()(int k) const noexcept { return static_cast<std::size_t>(k % 3); }
};
struct upper_hash {
    std::size_t operator()(int k) const noexcept { return static_cast<std::size_t>(k) << 59; }
};

// ---- linearizability ---------------------------------------------------------------------------

// When an operation was called and when it had returned, by a clock that all share.
struct event {
    op o;
    answer got;
    int called = 0;
    int returned = 0;
};

// Whether some order explains what happened on one key. `next[t]` is how many of goroutine t are ordered. An operation
// may come next unless one that is not ordered yet had returned before it was called.
class explanation {
  public:
    explicit explanation(const std::vector<std::vector<event>>& history)
        : history_(history), next_(history.size()) {}

    bool exists() { return search(std::nullopt); }

  private:
    using state = std::optional<int>;

    bool search(state now) {
        if (!tried_.emplace(next_, now).second) return false;
        bool all = true;
        int first_return = 1 << 30;
        for (std::size_t t = 0; t < history_.size(); ++t) {
            if (next_[t] == history_[t].size()) continue;
            all = false;
            first_return = std::min(first_return, history_[t][next_[t]].returned);
        }
        if (all) return true;
        for (std::size_t t = 0; t < history_.size(); ++t) {
            if (next_[t] == history_[t].size()) continue;
            const event& e = history_[t][next_[t]];
            if (e.called > first_return) continue;
            model_map model;
            if (now) model.all[e.o.key] = *now;
            if (apply(model, e.o) != e.got) continue;
            ++next_[t];
            if (search(model.load(e.o.key))) return true;
            --next_[t];
        }
        return false;
    }

    const std::vector<std::vector<event>>& history_;
    std::vector<std::size_t> next_;
    std::set<std::pair<std::vector<std::size_t>, state>> tried_;
};

// `contains` after `load` would be two operations.
template <class M>
answer apply_one(M& m, const op& o) {
    if (o.what == kind::load) {
        const auto v = m.load(o.key);
        return {v, v.has_value()};
    }
    return apply(m, o);
}

template <class Hash, class V>
std::vector<std::vector<event>> happened(int procs, const std::vector<std::vector<op>>& programs) {
    std::vector<std::vector<event>> history(programs.size());
    run_on(procs, [&] {
        vole::sync_map<int, V, Hash> m;
        for (int k = 1; k < 20; ++k) m.store(k, k);  // neighbours
        std::atomic<int> clock{0};
        std::atomic<std::size_t> ready{0};
        vole::wait_group done;
        for (std::size_t t = 0; t < programs.size(); ++t) {
            done.go([&, t] {
                auto& mine = history[t];
                mine.reserve(programs[t].size());
                ++ready;
                while (ready < programs.size()) vole::gosched();
                for (const op& o : programs[t]) {
                    event e{o, {}, ++clock, 0};
                    e.got = apply_one(m, o);
                    e.returned = ++clock;
                    mine.push_back(e);
                    if (o.b == 0) vole::gosched();
                    if (o.b == 1) m.erase(1 + o.a);  // changes what lies beside it
                }
            });
        }
        done.wait();
    });
    return history;
}

template <class Hash, class V>
void is_linearizable(int procs) {
    // One key: linearizability of a map is that of each of its keys.
    const auto programs = *rc::gen::container<std::vector<std::vector<op>>>(
        4, rc::gen::resize(30, rc::gen::container<std::vector<op>>(any_op(1, 3, kind::clear))));
    for (int again = 0; again < 3; ++again) {
        const auto history = happened<Hash, V>(procs, programs);
        RC_ASSERT(explanation(history).exists());
    }
}

// ---- pool --------------------------------------------------------------------------------------

// As SYNC-61 and SYNC-62 describe it for one P, of which nobody steals.
struct model_pool {
    std::optional<int> mine;
    std::vector<int> others;
    std::vector<int> aged;
    std::set<int> alive;

    void put(int n) {
        alive.insert(n);
        if (!mine) {
            mine = n;
        } else {
            others.push_back(n);
        }
    }
    // Nothing if any of `aged` may come.
    std::optional<int> get() {
        if (mine) return *std::exchange(mine, std::nullopt);
        if (others.empty()) return std::nullopt;
        const int n = others.back();
        others.pop_back();
        return n;
    }
    void shrink() {
        for (const int n : aged) alive.erase(n);
        aged = std::move(others);
        others.clear();
        if (mine) aged.push_back(*std::exchange(mine, std::nullopt));
    }
};

struct living {
    std::set<int>* alive;
    int n;
    living(std::set<int>* all, int k) : alive(all), n(k) { alive->insert(n); }
    living(const living&) = delete;
    living& operator=(const living&) = delete;
    ~living() { alive->erase(n); }
};

void pool_as_the_model() {
    const auto program = *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 20));
    std::set<int> alive;
    std::string wrong;
    run_on(1, [&] {
        vole::pool<living> p;
        model_pool model;
        int made = 0;
        for (const int what : program) {
            if (what < 11) {
                p.put(std::make_unique<living>(&alive, made));
                model.put(made++);
            } else if (what == 19) {
                p.shrink();
                model.shrink();
            } else {
                const auto x = p.get();
                if (const auto wanted = model.get()) {
                    if (x == nullptr || x->n != *wanted) wrong += "order ";
                    model.alive.erase(*wanted);
                } else if (x == nullptr) {
                    if (!model.aged.empty()) wrong += "lost ";
                } else {
                    if (std::erase(model.aged, x->n) != 1) wrong += "invented ";
                    model.alive.erase(x->n);
                }
                // x is destroyed below
            }
            if (alive != model.alive) wrong += "alive ";
        }
    });
    RC_ASSERT(wrong == "");
    RC_ASSERT(alive.empty());
}

}  // namespace

TEMPLATE_TEST_CASE("SYNC-67 property: a map does what a map does", "[sync][sync_map][property]",
                   int, wide_int) {
    CHECK(rc::check("keys of different hashes", as_the_model<any_hash, TestType>));
    CHECK(rc::check("keys of equal hashes", as_the_model<clashing_hash, TestType>));
    CHECK(rc::check("hashes that differ above", as_the_model<upper_hash, TestType>));
}

TEMPLATE_TEST_CASE("SYNC-67 property: operations on one key are linearizable",
                   "[sync][sync_map][property]", int, wide_int) {
    for (const int procs : {1, 2, 4}) {
        CHECK(rc::check("a key alone", [&] { is_linearizable<any_hash, TestType>(procs); }));
        CHECK(rc::check("a key among equal hashes",
                        [&] { is_linearizable<clashing_hash, TestType>(procs); }));
    }
}

TEST_CASE("SYNC-67 property: the check for linearizability can fail",
          "[sync][sync_map][property]") {
    // Stored before the load was called, and not seen.
    const op store{kind::store, 0, 1, 2};
    const op load{kind::load, 0, 0, 2};
    const answer nothing{};
    const answer one{1, true};
    CHECK_FALSE(explanation({{{store, nothing, 1, 2}}, {{load, nothing, 3, 4}}}).exists());
    CHECK(explanation({{{store, nothing, 1, 3}}, {{load, nothing, 2, 4}}}).exists());
    CHECK(explanation({{{store, nothing, 1, 3}}, {{load, one, 2, 4}}}).exists());
    // Seen, then no longer.
    CHECK_FALSE(explanation({{{store, nothing, 1, 6}}, {{load, one, 2, 3}, {load, nothing, 4, 5}}})
                    .exists());
}

TEST_CASE("SYNC-61 property: a pool on one P does what its model does", "[sync][pool][property]") {
    CHECK(rc::check("put, get and shrink", pool_as_the_model));
}
