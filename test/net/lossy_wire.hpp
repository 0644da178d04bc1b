// A slow wire that loses packets, between two networks of this process's own.
//
// Each network is a namespace with a TUN device; a thread carries packets from one device to the other, late, and drops some.
// So it needs root and /dev/net/tun, and no module for shaping traffic, which many kernels lack.
#pragma once

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <deque>
#include <fcntl.h>
#include <functional>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <vector>

namespace vole::test {

class lossy_wire {
  public:
    static constexpr std::uint32_t here = 0x0a'3d'00'01;   // 10.61.0.1
    static constexpr std::uint32_t there = 0x0a'3d'00'02;  // 10.61.0.2

    struct quality {
        std::chrono::milliseconds delay;  // each way
        int loss_percent;
    };

    /// The calling thread moves to the one network, and every thread that it starts from now on. `over_there` is called by a
    /// thread in the other one; sockets that it makes stay there. Throws std::system_error if the system does not allow it.
    lossy_wire(quality q, const std::function<void()>& over_there) : quality_(q) {
        ends_[0] = network(here, there);
        int error = 0;
        std::thread([&] {
            try {
                ends_[1] = network(there, here);
                over_there();
            } catch (const std::system_error& e) {
                error = e.code().value();
            }
        }).join();
        if (error != 0) throw std::system_error(error, std::system_category(), "the other network");
        thread_ = std::thread([this] { carry(); });
    }
    ~lossy_wire() {
        over_ = true;
        if (thread_.joinable()) thread_.join();
        for (const int fd : ends_) ::close(fd);
    }
    lossy_wire(const lossy_wire&) = delete;
    lossy_wire& operator=(const lossy_wire&) = delete;

    /// Nothing comes through any more; or again.
    void cut(bool on) { cut_ = on; }
    int carried() const { return carried_; }
    int lost() const { return lost_; }

  private:
    using clock = std::chrono::steady_clock;

    static void must(bool done, const char* what) {
        if (!done) throw std::system_error(errno, std::system_category(), what);
    }

    static void set_address(ifreq r, int control, unsigned long what, std::uint32_t address) {
        sockaddr_in a{};
        a.sin_family = AF_INET;
        a.sin_addr.s_addr = htonl(address);
        std::memcpy(&r.ifr_addr, &a, sizeof a);
        must(::ioctl(control, what, &r) == 0, "address");
    }

    // A new one for this thread. Gives the device.
    static int network(std::uint32_t own, std::uint32_t peer) {
        must(::unshare(CLONE_NEWNET) == 0, "unshare");
        const int tun = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
        must(tun >= 0, "/dev/net/tun");
        ifreq r{};
        r.ifr_flags = IFF_TUN | IFF_NO_PI;
        std::strcpy(r.ifr_name, "wire");
        must(::ioctl(tun, TUNSETIFF, &r) == 0, "TUNSETIFF");
        const int control = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        set_address(r, control, SIOCSIFADDR, own);
        set_address(r, control, SIOCSIFDSTADDR, peer);
        r.ifr_flags = IFF_UP | IFF_RUNNING | IFF_POINTOPOINT;
        must(::ioctl(control, SIOCSIFFLAGS, &r) == 0, "up");
        ::close(control);
        return tun;
    }

    struct packet {
        clock::time_point due;
        std::vector<char> bytes;
    };

    void carry() {
        std::array<std::deque<packet>, 2> on_the_way;  // by the end they come from
        std::uint64_t random = 88172645463325252U;
        const auto percent = [&random] {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            return static_cast<int>(random % 100);
        };
        std::array<char, 2048> room;
        while (!over_) {
            std::array<pollfd, 2> both{pollfd{ends_[0], POLLIN, 0}, pollfd{ends_[1], POLLIN, 0}};
            ::poll(both.data(), both.size(), 1);
            const auto now = clock::now();
            for (std::size_t i = 0; i < 2; ++i) {
                for (ssize_t n = 0; (n = ::read(ends_[i], room.data(), room.size())) > 0;) {
                    if (cut_ || percent() < quality_.loss_percent) {
                        ++lost_;
                    } else {
                        on_the_way[i].push_back(
                            {now + quality_.delay, {room.data(), room.data() + n}});
                    }
                }
                auto& queue = on_the_way[i];
                for (; !queue.empty() && queue.front().due <= now; queue.pop_front()) {
                    const auto& bytes = queue.front().bytes;
                    if (::write(ends_[1 - i], bytes.data(), bytes.size()) > 0) ++carried_;
                }
            }
        }
    }

    quality quality_;
    std::array<int, 2> ends_{-1, -1};
    std::atomic<bool> over_{false};
    std::atomic<bool> cut_{false};
    std::atomic<int> carried_{0};
    std::atomic<int> lost_{0};
    std::thread thread_;
};

}  // namespace vole::test
