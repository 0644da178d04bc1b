// One call for all who ask for the same at the same time. What all headers of <vole/sync.hpp> have in common is said
// there, but for this one: it allocates, and its destructor frees.
//
// The calls under way are in a sync_map. Who adds one leads it: runs f, takes the call out of the map (if it is still
// that one), closes it, and hands out what came of it. Who finds one joins it, unless it is closed: then it is out of the map
// already, and he looks again. So who has joined is counted, and those who are counted get the result.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include <vole/chan.hpp>
#include <vole/config.hpp>
#include <vole/mutex.hpp>
#include <vole/panic.hpp>
#include <vole/runtime.hpp>
#include <vole/sync_map.hpp>
#include <vole/wait_group.hpp>

namespace vole::inline v0 {

/// Go's singleflight.Group. Several calls with equal keys at the same time run one function, and all get copies of its result.
/// When it is over, the key is forgotten: the next call runs its own.
/// Happens-before: f's return -> the return of every call that gets its result.
template <class K, class V, class Hash = std::hash<K>, class Equal = std::equal_to<K>>
class single_flight {
    static_assert(std::is_copy_constructible_v<V>, "every caller gets a copy");

  public:
    struct result {
        V value;
        bool shared;  ///< more than one caller got it
    };
    /// What call_chan() sends.
    struct outcome {
        std::optional<V> value;    ///< nullopt: there is an error
        std::exception_ptr error;  ///< what f threw, or a runtime_error if it called goexit()
        bool shared = false;

        /// The value; throws the error.
        const V& get() const& {
            if (error != nullptr) std::rethrow_exception(error);
            return *value;
        }
    };

    constexpr single_flight() noexcept = default;
    single_flight(const single_flight&) = delete;
    single_flight& operator=(const single_flight&) = delete;

    /// The result of f(), or of the f of a call that is under way for this key; waits for it. f runs here, with nothing
    /// held: it may use other keys. For its own key it would wait for itself for ever.
    /// What f throws, every caller throws, the same exception; if f calls goexit(), every caller does. Both leave the key
    /// forgotten. Also throws what copies of keys and values throw, and std::bad_alloc.
    template <class F>
        requires std::is_invocable_r_v<V, F> result call(const K& key, F&& f) {
            for (;;) {
                const auto [one, leads] = find_or_lead(key);
                if (leads) {
                    run(key, one, std::forward<F>(f), true);
                    return one->landed();
                }
                if (one->join()) {
                    one->over.wait();
                    return one->landed();
                }
                take_off(key, one);
            }
        }

    /// Does not wait: the outcome comes by the channel, which holds one value and is never closed. f runs in a
    /// goroutine of its own; what it throws, and goexit(), are part of the outcome.
    /// Throws what go() throws, what copies of keys throw, and std::bad_alloc.
    template <class F>
        requires std::is_invocable_r_v<V, std::decay_t<F>> recv_chan<outcome>
        call_chan(const K& key, F&& f) {
            const auto c = make_chan<outcome>(1);
            for (;;) {
                const auto [one, leads] = find_or_lead(key);
                if (leads) {
                    start(key, one, c, std::forward<F>(f));
                    return c;
                }
                if (one->join(c)) return c;
                take_off(key, one);
            }
        }

    /// The next call for this key runs its own function, even if one is under way now, which goes on for those who wait for it.
    void forget(const K& key) { flights_.erase(key); }

  private:
    // One call. Under mu: everything until it is closed. After: it does not change.
    struct flight {
        vole::mutex mu;
        bool closed = false;
        bool shared = false;
        std::optional<V> value;
        std::exception_ptr error;  // neither: goexit
        std::vector<chan<outcome>> chans;
        wait_group over;  // counts one, until then

        flight() { over.add(1); }

        // Another caller. False: it is over.
        bool join() {
            const std::lock_guard hold(mu);
            if (!closed) shared = true;
            return !closed;
        }
        bool join(const chan<outcome>& c) {
            const std::lock_guard hold(mu);
            if (closed) return false;
            chans.push_back(c);
            return shared = true;
        }

        result landed() const {
            if (error != nullptr) std::rethrow_exception(error);
            if (!value.has_value()) goexit();
            return {*value, shared};
        }
        outcome told() const {
            if (value.has_value() || error != nullptr) return {value, error, shared};
            return {std::nullopt,
                    std::make_exception_ptr(runtime_error("singleflight: goexit in the function")),
                    shared};
        }
        void close() {
            const std::lock_guard hold(mu);
            closed = true;
        }
    };
    using flight_ptr = std::shared_ptr<flight>;

    // A call, and whether it is the caller's to lead.
    std::pair<flight_ptr, bool> find_or_lead(const K& key) {
        if (auto found = flights_.load(key)) return {*std::move(found), false};
        auto [one, found] = flights_.load_or_store(key, std::make_shared<flight>());
        return {std::move(one), !found};
    }

    void take_off(const K& key, const flight_ptr& one) { flights_.compare_and_delete(key, one); }

    // However f ends, goexit included, those who have joined go on. They may destroy the group as soon as they do.
    struct landing {
        single_flight* group;
        const K& key;
        const flight_ptr& one;

        ~landing() {
            try {
                group->take_off(key, one);
            } catch (...) {  // from a comparison: then those who find it closed take it off
            }
            one->close();
            one->over.done();
            for (const auto& c : one->chans) tell(c);
        }
        void tell(const chan<outcome>& c) {
            try {
                c.try_send(one->told());
            } catch (...) {  // from a copy of the value
                c.try_send(outcome{std::nullopt, std::current_exception(), one->shared});
            }
        }
    };

    template <class F>
    void run(const K& key, const flight_ptr& one, F&& f, bool rethrows) {
        const landing at_end{this, key, one};
        try {
            if (detail::is_nil_callable(f)) throw runtime_error("call of nil func value");
            one->value.emplace(std::invoke(std::forward<F>(f)));
        } catch (...) {
            one->error = std::current_exception();  // null: goexit
            if (rethrows || one->error == nullptr) throw;
        }
    }

    template <class F>
    void start(const K& key, const flight_ptr& one, const chan<outcome>& c, F&& f) {
        try {
            {
                const std::lock_guard hold(one->mu);
                one->chans.push_back(c);
            }
            go([this, key, one, f = std::decay_t<F>(std::forward<F>(f))]() mutable {
                run(key, one, std::move(f), false);
            });
        } catch (...) {
            const landing at_end{this, key, one};
            one->error = std::current_exception();
            throw;
        }
    }

    sync_map<K, flight_ptr, Hash, Equal> flights_;
};

}  // namespace vole::inline v0
