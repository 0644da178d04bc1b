// What goes over the wire, the same for every side; go/main.go has it once more in Go.
//
//   echo   what comes is sent back
//   hello  HTTP as the benchmarks need it and no further: a request ends with an empty line, and each
//          is answered with the same text
//
// A server reads up to buffer_bytes at a time and answers all of it with one write. It prints the
// port it listens on as its first line, and lives until its standard input is closed or SIGTERM.
#pragma once

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include <string.h>
#include <unistd.h>

namespace net_bench {

inline constexpr std::size_t buffer_bytes = 4096;
inline constexpr std::string_view end_of_request = "\r\n\r\n";
inline constexpr std::string_view hello =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!";
inline constexpr std::size_t most_requests = buffer_bytes / end_of_request.size();

/// Answers to as many requests as one buffer can hold.
inline const std::string& all_answers() {
    static const std::string text = [] {
        std::string s;
        for (std::size_t i = 0; i < most_requests; ++i) s += hello;
        return s;
    }();
    return text;
}

struct requests {
    std::size_t count;
    std::size_t bytes;  // with what belongs to them; what is behind is the beginning of another one
};

inline requests find_requests(const char* text, std::size_t size) {
    requests found{0, 0};
    while (const void* at = memmem(text + found.bytes, size - found.bytes, end_of_request.data(),
                                   end_of_request.size())) {
        ++found.count;
        found.bytes =
            static_cast<std::size_t>(static_cast<const char*>(at) - text) + end_of_request.size();
    }
    return found;
}

inline void say_port(unsigned port) {
    std::printf("%u\n", port);
    std::fflush(stdout);
}

/// Which of the two a server is to be. Called otherwise, it says how, and ends with 2.
inline bool wants_echo(int argc, char** argv) {
    const std::string_view mode = argc == 2 ? argv[1] : "";
    if (mode != "echo" && mode != "hello") {
        std::fprintf(stderr, "usage: %s echo|hello\n", argv[0]);
        std::exit(2);
    }
    return mode == "echo";
}

/// For a thread of its own.
inline void end_with_input() {
    char c;
    while (read(STDIN_FILENO, &c, 1) > 0) {
    }
    _exit(0);
}

}  // namespace net_bench
