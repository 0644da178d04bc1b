// kqueue(2) and kevent(2) over epoll: as much as net/src/kqueue.cpp needs of them, so that it can run on Linux.
//
// What is emulated: EVFILT_READ and EVFILT_WRITE, by edge (EV_CLEAR) or by level, EV_ADD, EV_DELETE, EV_EOF, a limit of
// time, one event for each filter; there must be room for two or for none. Real kernels differ in ways that this cannot show: above all in what exactly sets
// EV_EOF, in `data` and `fflags`, and in what they say of files, terminals and FIFOs.
#pragma once

#include <cstdint>
#include <ctime>

struct kevent {
    std::uintptr_t ident;
    short filter;
    unsigned short flags;
    unsigned int fflags;
    std::intptr_t data;
    void* udata;
};

// As FreeBSD numbers them.
enum : int { EVFILT_READ = -1, EVFILT_WRITE = -2 };
enum : int {
    EV_ADD = 0x0001,
    EV_DELETE = 0x0002,
    EV_CLEAR = 0x0020,
    EV_ERROR = 0x4000,
    EV_EOF = 0x8000
};

inline void EV_SET(struct kevent* k, std::uintptr_t ident, int filter, int flags,
                   unsigned int fflags, std::intptr_t data, void* udata) noexcept {
    *k = {ident, static_cast<short>(filter), static_cast<unsigned short>(flags), fflags, data,
          udata};
}

int kqueue() noexcept;

// A function of a struct's name, as the real one: a system's header may do that without a warning.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
/// Applies the changes, then waits for events if there is room for any. -1 and errno if a change cannot be applied and there
/// is no room; else that is an event with EV_ERROR.
int kevent(int kq, const struct kevent* changes, int nchanges, struct kevent* events, int nevents,
           const timespec* limit) noexcept;
#pragma GCC diagnostic pop
