// See may_fail.hpp. Locks: none. Stack: any.
#include "runtime/internal/may_fail.hpp"

#include <charconv>

#include <vole/arch/split_note.hpp>

namespace vole::inline v0::detail {

VOLE_FITS_SMALL_STACK;

constinit atomic<bool> faults_planned{false};

namespace {

// Each field by itself: a plan is made before the calls that it is for, or a call more or less does not matter.
struct row {
    atomic<std::uint32_t> made{0}, failed{0};
    atomic<std::uint32_t> first{0}, count{0}, one_in{0}, seed{0};
    atomic<int> error{0};
};
constinit row rows[fallible_count];

constexpr int own_error[] = {
#define VOLE_CALL_ERROR(name, error) error,
    VOLE_FALLIBLE(VOLE_CALL_ERROR)
#undef VOLE_CALL_ERROR
};
constexpr const char* names[] = {
#define VOLE_CALL_TEXT(name, error) #name,
    VOLE_FALLIBLE(VOLE_CALL_TEXT)
#undef VOLE_CALL_TEXT
};

row& row_of(fallible c) noexcept { return rows[static_cast<std::size_t>(c)]; }

// Of the n-th call: a finaliser of MurmurHash3 over both, so that neighbours have nothing in common.
std::uint32_t chance(std::uint32_t seed, std::uint32_t n) noexcept {
    std::uint32_t x = n * 0x9e3779b9U ^ seed * 0x85ebca6bU;
    x = (x ^ (x >> 16)) * 0x85ebca6bU;
    x = (x ^ (x >> 13)) * 0xc2b2ae35U;
    return x ^ (x >> 16);
}

template <class N>
bool number(std::string_view& rest, N& out) noexcept {
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), out);
    if (error != std::errc{}) return false;
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    return true;
}

bool follows(std::string_view& rest, char c) noexcept {
    if (!rest.starts_with(c)) return false;
    rest.remove_prefix(1);
    return true;
}

bool parse(std::string_view rest, fault_plan& out) noexcept {
    if (follows(rest, '@')) {
        if (!number(rest, out.first) || out.first == 0) return false;
        if (follows(rest, 'x') && (!number(rest, out.count) || out.count == 0)) return false;
    } else if (follows(rest, '%')) {
        if (!number(rest, out.one_in) || out.one_in == 0) return false;
        if (follows(rest, '/') && !number(rest, out.seed)) return false;
    } else {
        return false;
    }
    if (follows(rest, ':') && (!number(rest, out.error) || out.error == 0)) return false;
    return rest.empty();
}

struct named_plan {
    fallible row{};
    fault_plan plan;
};

bool parse_named(std::string_view text, named_plan& out) noexcept {
    const std::string_view name = text.substr(0, text.find_first_of("@%"));
    for (std::size_t i = 0; i < fallible_count; ++i) {
        if (name != names[i]) continue;
        out.row = static_cast<fallible>(i);
        return parse(text.substr(name.size()), out.plan);
    }
    return false;
}

// The first of them; the rest stays in text.
std::string_view next_of(std::string_view& text) noexcept {
    const std::size_t plus = text.find('+');
    const std::string_view one = text.substr(0, plus);
    text = plus == std::string_view::npos ? std::string_view{} : text.substr(plus + 1);
    return one;
}

}  // namespace

void plan_fault(fallible c, const fault_plan& plan) noexcept {
    row& r = row_of(c);
    r.first.store(0, memory_order_relaxed);
    r.one_in.store(0, memory_order_relaxed);
    r.made.store(0, memory_order_relaxed);
    r.failed.store(0, memory_order_relaxed);
    r.count.store(plan.count, memory_order_relaxed);
    r.seed.store(plan.seed, memory_order_relaxed);
    const int error = plan.error != 0 ? plan.error : own_error[static_cast<std::size_t>(c)];
    r.error.store(error, memory_order_relaxed);
    r.one_in.store(plan.one_in, memory_order_relaxed);
    r.first.store(plan.first, memory_order_relaxed);
    faults_planned.store(true, memory_order_seq_cst);
}

bool are_faults(std::string_view text) noexcept {
    if (text.ends_with('+')) return false;
    do {
        named_plan ignored;
        if (!parse_named(next_of(text), ignored)) return false;
    } while (!text.empty());
    return true;
}

void plan_faults(std::string_view text) noexcept {
    do {
        named_plan one;
        if (parse_named(next_of(text), one)) plan_fault(one.row, one.plan);
    } while (!text.empty());
}

void plan_no_faults() noexcept {
    faults_planned.store(false, memory_order_seq_cst);
    for (row& r : rows) {
        r.first.store(0, memory_order_relaxed);
        r.one_in.store(0, memory_order_relaxed);
    }
}

call_counts counts_of(fallible c) noexcept {
    const row& r = row_of(c);
    return {r.made.load(memory_order_relaxed), r.failed.load(memory_order_relaxed)};
}

const char* name_of(fallible c) noexcept { return names[static_cast<std::size_t>(c)]; }

int fault_of(fallible c) noexcept {
    row& r = row_of(c);
    const std::uint32_t n = r.made.fetch_add(1, memory_order_relaxed) + 1;
    const std::uint32_t first = r.first.load(memory_order_relaxed);
    const std::uint32_t one_in = r.one_in.load(memory_order_relaxed);
    const bool planned = first != 0 && n >= first && n - first < r.count.load(memory_order_relaxed);
    const bool drawn = one_in != 0 && chance(r.seed.load(memory_order_relaxed), n) % one_in == 0;
    if (!planned && !drawn) return 0;
    r.failed.fetch_add(1, memory_order_relaxed);
    return errno = r.error.load(memory_order_relaxed);
}

}  // namespace vole::inline v0::detail
