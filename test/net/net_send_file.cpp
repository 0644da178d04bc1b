// Sending files. Cites NET-37.
//
// To sockets and pipes of the system it is done by sendfile(2), else by way of a buffer. Nobody may see a difference.
#include "test/net/copy_support.hpp"

#include <sys/mman.h>

namespace vole::test {

using namespace copies;

namespace {

copied sending(net::conn& to, int file, std::uint64_t limit = net::copy_all) {
    copied c;
    c.n = net::send_file(to, file, limit, c.ec);
    c.ec = seen({0, c.ec}).ec;
    return c;
}

// A file of n bytes of the stream.
class file {
  public:
    file(std::uint64_t seed, std::uint64_t n) : fd_(::memfd_create("file", MFD_CLOEXEC)) {
        for (std::uint64_t at = 0; at < n;) {
            const auto piece = bytes_from(
                seed, at, static_cast<std::size_t>(std::min<std::uint64_t>(n - at, 1 << 20)));
            if (::write(fd_, piece.data(), piece.size()) != static_cast<ssize_t>(piece.size())) {
                throw std::system_error(errno, std::system_category(), "write");
            }
            at += piece.size();
        }
        move_to(0);
    }
    ~file() { ::close(fd_); }
    file(const file&) = delete;
    file& operator=(const file&) = delete;
    int fd() const { return fd_; }
    void move_to(std::int64_t at) { ::lseek(fd_, at, SEEK_SET); }
    std::uint64_t offset() const { return static_cast<std::uint64_t>(::lseek(fd_, 0, SEEK_CUR)); }

  private:
    int fd_;
};

}  // namespace

TEST_CASE("NET-37 a file: all, a part, from where it stands", "[net][copy]") {
    const std::string text = everywhere([](findings& ok) {
        for (const kind& k : kinds) {
            const file f(20, some);
            line to = k.make();
            reader r(to.out, 20);
            std::uint64_t sum = 0;
            for (const std::uint64_t limit : {0U, 1U, 4097U, 65'536U, 100'000U}) {
                const copied c = sending(to.in, f.fd(), limit);
                ok.equal(c.n, limit);
                ok(!c.ec);
                sum += limit;
                ok.equal(f.offset(), sum);
            }
            const copied rest = sending(to.in, f.fd(), some * 2);
            ok.equal(rest.n, some - sum);
            ok(!rest.ec);
            ok.equal(f.offset(), some);
            ok.equal(sending(to.in, f.fd()).n, 0U);
            to.in.close();
            ok.equal(r.get().right, some);
            ok(!r.get().wrong);
        }
    });
    CHECK(text == "");
}

TEST_CASE("NET-37 a large file", "[net][copy]") {
    const std::uint64_t n = scaled(std::uint64_t{40} << 20, some) + 1;
    const file f(21, n);
    const leaves_nothing check;
    for (const int procs : {1, 2}) {
        findings ok;
        run_on(procs, [&] {
            for (const kind& k : kinds) {
                line to = k.make();
                ::lseek(f.fd(), 0, SEEK_SET);
                reader r(to.out, 21);
                const copied c = sending(to.in, f.fd());
                ok.equal(c.n, n);
                ok(!c.ec);
                to.in.close();
                ok.equal(r.get().right, n);
                ok(!r.get().wrong);
            }
        });
        INFO("on " << procs);
        CHECK(ok.text() == "");
    }
    CHECK(check.text() == "");
}

TEST_CASE("NET-37 a deadline in the middle of a file: the offset says how much has gone",
          "[net][copy]") {
    const std::string text = everywhere([](findings& ok) {
        const file f(22, std::uint64_t{16} << 20);
        for (const kind& k : kinds) {
            line to = k.make();
            ::lseek(f.fd(), 0, SEEK_SET);
            to.in.set_write_deadline(past);
            copied c = sending(to.in, f.fd());
            ok.equal(c.n, 0U);
            ok(c.ec == errc::timeout);
            ok.equal(f.offset(), 0U);
            to.in.set_write_deadline(in(50ms));
            c = sending(to.in, f.fd());
            ok(c.ec == errc::timeout);
            ok(k.buffered || c.n == 0);
            ok.equal(f.offset(), c.n);
            // It goes on from there.
            to.in.set_write_deadline(never);
            reader r(to.out, 22);
            const copied more = sending(to.in, f.fd(), 1000);
            ok.equal(more.n, 1000U);
            to.in.close();
            ok.equal(r.get().right, c.n + 1000);
            ok(!r.get().wrong);
        }
    });
    CHECK(text == "");
}

TEST_CASE("NET-37 a file to somebody who goes away", "[net][copy]") {
    const std::string text = everywhere([](findings& ok) {
        const file f(23, std::uint64_t{16} << 20);
        for (const kind& k : kinds) {
            for (const bool own : {false, true}) {
                line to = k.make();
                ::lseek(f.fd(), 0, SEEK_SET);
                background s([&] {
                    const copied it = sending(to.in, f.fd());
                    return result{static_cast<std::size_t>(it.n), it.ec};
                });
                s.parked();
                (own ? to.in : to.out).close();
                const result r = s.get();
                if (own) {
                    ok(r.ec == errc::closed || r.ec == errc::pipe_closed, r.ec.message());
                } else {
                    ok(r.ec == std::errc::broken_pipe || r.ec == std::errc::connection_reset,
                       r.ec.message());
                }
                ok.equal(f.offset(), r.n);
            }
        }
    });
    CHECK(text == "");
}

TEST_CASE("NET-37 files that the system cannot send, and what is no file", "[net][copy]") {
    const std::string text = everywhere([](findings& ok) {
        for (const kind& k : kinds) {
            line to = k.make();
            // Made as it is read: its size is 0.
            const int made = ::open("/proc/self/status", O_RDONLY | O_CLOEXEC);
            wait_group reading;
            std::string got_text;
            reading.go([&] {
                for (result r; (r = read_of(to.out, 4096)).n != 0;) got_text += r.text;
            });
            const copied c = sending(to.in, made);
            ::close(made);
            ok(c.n > 100 && !c.ec, k.name);
            const int write_only = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
            ok(sending(to.in, write_only).ec == std::errc::bad_file_descriptor, k.name);
            ::close(write_only);
            ok(sending(to.in, -1).ec == std::errc::bad_file_descriptor, k.name);
            // A pipe is none; it works all the same.
            int ends[2];
            ok.equal(::pipe2(ends, O_CLOEXEC), 0);
            ok.equal(::write(ends[1], "piped", 5), ssize_t{5});
            ::close(ends[1]);
            const copied piped = sending(to.in, ends[0]);
            ::close(ends[0]);
            ok.equal(piped.n, 5U);
            to.in.close();
            reading.wait();
            ok.equal(got_text.size(), c.n + 5);
            ok(got_text.starts_with("Name:") && got_text.ends_with("piped"), k.name);
        }
    });
    CHECK(text == "");
}

}  // namespace vole::test
