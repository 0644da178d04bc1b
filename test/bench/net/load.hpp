// What net-load can do.
#pragma once

#include <cstdint>
#include <string>

#include <sys/types.h>

namespace net_bench {

struct options {
    std::string mode;
    std::uint16_t port = 0;
    pid_t pid = 0;
    unsigned conns = 64;
    double seconds = 1;
    double warmup = 0.3;
    unsigned threads = 1;
    unsigned depth = 1;
};

int load(const options& o);  // load.cpp
int idle(const options& o);  // idle.cpp

}  // namespace net_bench
