// A TCP proxy in straight-line code: each connection is dialled on to a target, and two goroutines copy, one each way. What
// one end sends, the other gets: its end as well, while the opposite direction goes on.
//
//     tools/vole run test/examples/proxy --listen 127.0.0.1:8081 --target 127.0.0.1:8080
#include <atomic>
#include <chrono>
#include <exception>
#include <iostream>
#include <string>
#include <system_error>

#include <vole/vole.hpp>

#include "../serving/flags.hpp"
#include "../serving/serve.hpp"
#include "../serving/signals.hpp"

using vole::clock;
namespace net = vole::net;

namespace {

struct settings {
    std::string target;
    clock::duration dial = std::chrono::seconds(5);
    clock::duration idle = std::chrono::minutes(5);
    clock::duration write = std::chrono::seconds(30);
};

/// Two connections that are joined.
class pair {
  public:
    pair(net::conn& client, net::conn& target, const settings& s)
        : client_(client), target_(target), settings_(s) {}

    void run() {
        vole::wait_group up;
        up.go([this] { pump(target_, client_); });
        pump(client_, target_);
        up.wait();
    }

  private:
    /// Copies until there is no more, and passes that on. Nothing of it comes into memory of ours: net::copy splices.
    void pump(net::conn& to, net::conn& from) {
        std::error_code ec;
        while (true) {
            // Now and then the deadline stops a copy that waits for something to read: so an idle pair is told from one
            // with much to say in one direction only. Nothing is lost by that; the next copy goes on.
            const clock::time_point look_at = clock::now() + settings_.idle / 2;
            from.set_read_deadline(look_at, ec);
            if (!ec) to.set_write_deadline(look_at + settings_.write, ec);
            if (ec) break;
            if (net::copy(to, from, net::copy_all, ec) > 0) last_active_ = clock::now();
            if (!ec) {  // the end
                to.close_write(ec);
                return;
            }
            const clock::time_point now = clock::now();
            if (!net::is_timeout(ec) || now >= look_at + settings_.write ||
                now - last_active_.load() >= settings_.idle)
                break;
        }
        // Broken, idle for too long, or told to stop: the other direction must end as well.
        client_.close(ec);
        target_.close(ec);
    }

    net::conn& client_;
    net::conn& target_;
    const settings& settings_;
    std::atomic<clock::time_point> last_active_ = clock::now();  // as far as known
};

}  // namespace

int main(int argc, char** argv) try {
    serving::options options;
    settings s;
    serving::flags("proxy")
        .add("listen", &options.listen, "HOST:PORT; port 0 (the default): any that is free")
        .add("target", &s.target, "HOST:PORT to connect to")
        .add("max-connections", &options.max_connections, "at the same time (10000)")
        .add("dial", &s.dial, "seconds that connecting may take (5)")
        .add("idle", &s.idle,
             "seconds after which a silent pair is cut, or up to twice as late (300)")
        .add("write", &s.write, "seconds that a receiver may keep us waiting (30)")
        .add("grace", &options.grace, "seconds for what is open when it is told to end (5)")
        .parse(argc, argv);

    serving::stop_signals signals;
    vole::run([&] {
        const vole::context ctx = signals.context();
        net::listener listener = serving::listen(options);
        serving::serve(listener, ctx, options, [&](net::conn& client, serving::session&) {
            net::dialer how;
            how.timeout = s.dial;
            std::error_code ec;
            net::conn target = how.dial("tcp", s.target, ctx, ec);
            if (ctx.err()) return;  // told to stop in the meantime
            if (ec) {
                std::cerr << "proxy: " + s.target + ": " + ec.message() + '\n';
                return;
            }
            pair(client, target, s).run();
        });
    });
    return 0;
} catch (const std::exception& e) {
    std::cerr << "proxy: " << e.what() << '\n';
    return 1;
}
