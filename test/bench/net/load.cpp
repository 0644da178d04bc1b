// net-load: a closed loop of requests on many connections at once, without Vole. Prints one line of
// JSON.
//
//   net-load echo|http --port N --pid SERVER [--conns 64] [--seconds 1] [--warmup 0.3]
//            [--threads 1] [--depth 1]
//   net-load idle --port N --pid SERVER [--conns 20000]      (idle.cpp)
//
// echo: 64 bytes go out on each connection, and out again when they have come back. http: the same
// with GET / and whatever answer it has. --depth: so many requests at once, the next when all are
// answered. Latency: from before the write to after the read. CPU time: of each process, user and
// system, per request. A connection that got no answer in the whole interval is an error.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <string_view>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/epoll.h>

#include "test/bench/net/client.hpp"
#include "test/bench/net/histogram.hpp"
#include "test/bench/net/load.hpp"

namespace net_bench {
namespace {

enum class phase { warm_up, measure, end };
std::atomic<phase> now = phase::warm_up;

constexpr std::size_t echo_bytes = 64;
constexpr std::string_view get = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
constexpr std::string_view good = "HTTP/1.1 200 ";

class connection {
  public:
    connection(const options& o, unsigned number)
        : fd_(connect_to(o.port, number)), echo_(o.mode == "echo"), depth_(o.depth) {
        std::string one(get);
        if (echo_) {
            one = "connection " + std::to_string(number) + " ";
            while (one.size() < echo_bytes) one += static_cast<char>('a' + one.size() % 26);
        }
        for (unsigned i = 0; i < depth_; ++i) request_ += one;
        if (echo_) expected_ = request_.size();
        if (fcntl(fd_, F_SETFL, O_NONBLOCK) != 0) give_up("fcntl");
    }
    ~connection() { close(fd_); }
    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;

    [[nodiscard]] int fd() const { return fd_; }
    [[nodiscard]] unsigned depth() const { return depth_; }
    [[nodiscard]] std::uint64_t sent_at() const { return sent_at_; }

    bool send_request() {
        sent_at_ = ns_of(CLOCK_MONOTONIC);
        got_ = 0;
        return send(fd_, request_.data(), request_.size(), MSG_NOSIGNAL) ==
               static_cast<ssize_t>(request_.size());
    }

    enum class state { waits, answered, failed };

    state receive(char* buffer, std::size_t size) {
        const ssize_t n = recv(fd_, buffer, size, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return state::waits;
        if (n <= 0) return state::failed;
        const std::string_view text(buffer, static_cast<std::size_t>(n));
        if (expected_ == 0) {
            if (!learn(text)) return state::failed;
        } else if (!right(text)) {
            return state::failed;
        }
        got_ += text.size();
        if (expected_ != 0 && got_ > expected_) return state::failed;
        return got_ == expected_ ? state::answered : state::waits;
    }

  private:
    [[nodiscard]] bool right(std::string_view text) const {
        if (got_ + text.size() > expected_) return false;
        if (echo_) return text == std::string_view(request_).substr(got_, text.size());
        return got_ != 0 || text.substr(0, good.size()) == good.substr(0, text.size());
    }

    /// The first answer tells how long all of them are: the header's length and what it says.
    bool learn(std::string_view text) {
        first_ += text;
        const std::size_t end = first_.find("\r\n\r\n");
        if (end == std::string::npos) return first_.size() < 4096;
        const std::size_t field = first_.find("Content-Length: ");
        if (!first_.starts_with(good) || field > end) return false;
        const auto body = std::strtoul(first_.c_str() + field + 16, nullptr, 10);
        expected_ = (end + 4 + body) * depth_;
        return true;
    }

    int fd_;
    bool echo_;
    unsigned depth_;
    std::string request_;
    std::string first_;
    std::size_t expected_ = 0;
    std::size_t got_ = 0;
    std::uint64_t sent_at_ = 0;
};

/// One thread and its share of the connections.
class worker {
  public:
    worker(const options& o, unsigned first, unsigned step) : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
        for (unsigned i = first; i < o.conns; i += step) {
            slot& s = slots_.emplace_back(std::make_unique<connection>(o, i), false);
            epoll_event e{};
            e.events = EPOLLIN;
            e.data.u64 = slots_.size() - 1;
            if (epoll_ctl(epoll_, EPOLL_CTL_ADD, s.c->fd(), &e) != 0) give_up("epoll_ctl");
        }
    }
    ~worker() { close(epoll_); }
    worker(const worker&) = delete;
    worker& operator=(const worker&) = delete;

    void run() {
        for (slot& s : slots_) go_on(s, s.c->send_request());
        std::array<epoll_event, 256> events;
        while (now.load(std::memory_order_relaxed) != phase::end) {
            const int n = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 20);
            for (int i = 0; i < n; ++i)
                receive(slots_[events[static_cast<std::size_t>(i)].data.u64]);
        }
    }

    void add_to(histogram& latency, std::uint64_t& errors) const {
        latency.add(latency_);
        for (const slot& s : slots_) errors += s.c == nullptr || !s.answered;
    }

  private:
    struct slot {
        slot(std::unique_ptr<connection> conn, bool a) : c(std::move(conn)), answered(a) {}
        std::unique_ptr<connection> c;  // empty when it has failed
        bool answered;                  // in the interval that is measured
    };

    void go_on(slot& s, bool fine) {
        if (!fine) s.c.reset();
    }

    void receive(slot& s) {
        const auto state = s.c->receive(buffer_.data(), buffer_.size());
        if (state == connection::state::waits) return;
        if (state == connection::state::answered &&
            now.load(std::memory_order_relaxed) == phase::measure) {
            const std::uint64_t took = ns_of(CLOCK_MONOTONIC) - s.c->sent_at();
            for (unsigned i = 0; i < s.c->depth(); ++i) latency_.add(took);
            s.answered = true;
        }
        go_on(s, state == connection::state::answered && s.c->send_request());
    }

    int epoll_;
    std::vector<slot> slots_;
    histogram latency_;
    std::array<char, 65536> buffer_;
};

void sleep_for(double seconds) {
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

}  // namespace

int load(const options& o) {
    std::vector<std::unique_ptr<worker>> workers;
    for (unsigned i = 0; i < o.threads; ++i) {
        workers.push_back(std::make_unique<worker>(o, i, o.threads));
    }
    std::vector<std::thread> threads;
    for (auto& w : workers) threads.emplace_back([&w] { w->run(); });

    struct {
        std::uint64_t wall, server, client;
    } at[2];
    sleep_for(o.warmup);
    for (auto& t : at) {
        t = {ns_of(CLOCK_MONOTONIC), cpu_of(o.pid), ns_of(CLOCK_PROCESS_CPUTIME_ID)};
        now = &t == at ? phase::measure : phase::end;
        if (&t == at) sleep_for(o.seconds);
    }
    for (auto& t : threads) t.join();

    histogram latency;
    std::uint64_t errors = 0;
    for (const auto& w : workers) w->add_to(latency, errors);
    const auto requests = static_cast<double>(std::max<std::uint64_t>(latency.count(), 1));
    const auto us = [&](double part) {
        return static_cast<double>(latency.percentile(part)) / 1e3;
    };
    const auto each = [&](auto field) {
        return static_cast<double>(at[1].*field - at[0].*field) / requests;
    };
    using times = std::remove_reference_t<decltype(at[0])>;
    std::printf("{\"requests\": %.0f, \"rate\": %.1f, \"p50_us\": %.2f, \"p99_us\": %.2f, "
                "\"max_us\": %.2f, \"server_ns\": %.1f, \"client_ns\": %.1f, \"errors\": %ju}\n",
                requests, 1e9 / each(&times::wall), us(0.5), us(0.99), us(1), each(&times::server),
                each(&times::client), static_cast<std::uintmax_t>(errors));
    return 0;
}

}  // namespace net_bench

namespace {

[[noreturn]] void usage() {
    std::fputs("usage: net-load echo|http|idle --port N --pid N [--conns N] [--seconds S]\n"
               "                [--warmup S] [--threads N] [--depth N]\n",
               stderr);
    std::exit(2);
}

}  // namespace

int main(int argc, char** argv) {
    net_bench::options o;
    if (argc < 2 || argc % 2 != 0) usage();
    o.mode = argv[1];
    for (int i = 2; i < argc; i += 2) {
        const std::string_view name = argv[i];
        const double value = std::strtod(argv[i + 1], nullptr);
        const auto whole = static_cast<unsigned>(value);
        if (name == "--port") {
            o.port = static_cast<std::uint16_t>(whole);
        } else if (name == "--pid") {
            o.pid = static_cast<pid_t>(whole);
        } else if (name == "--conns") {
            o.conns = whole;
        } else if (name == "--seconds") {
            o.seconds = value;
        } else if (name == "--warmup") {
            o.warmup = value;
        } else if (name == "--threads") {
            o.threads = std::max(whole, 1U);
        } else if (name == "--depth") {
            o.depth = std::max(whole, 1U);
        } else {
            usage();
        }
    }
    if (o.port == 0 || o.pid == 0) usage();
    if (o.mode == "idle") return net_bench::idle(o);
    if (o.mode != "echo" && o.mode != "http") usage();
    return net_bench::load(o);
}
