// Starts, feeds nothing to, listens to and outlives a child process. Ordinary threads only; no locks.
#include "test/support/subprocess.hpp"

#include "test/support/scale.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <string_view>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace vole::test {
namespace {

constexpr const char* child_mark = "VOLE_TEST_CHILD";

[[noreturn]] void fail(int error, const std::string& what) {
    throw std::system_error(error, std::generic_category(), what);
}

/// A pipe whose ends close themselves.
struct pipe_pair {
    int read_end = -1;
    int write_end = -1;
    pipe_pair() {
        int fds[2];
        if (::pipe2(fds, O_CLOEXEC) != 0) fail(errno, "pipe");
        read_end = fds[0];
        write_end = fds[1];
    }
    ~pipe_pair() {
        close_write();
        ::close(read_end);
    }
    pipe_pair(const pipe_pair&) = delete;
    pipe_pair& operator=(const pipe_pair&) = delete;
    void close_write() {
        if (write_end >= 0) ::close(write_end);
        write_end = -1;
    }
};

std::string own_path() {
    std::string path(4096, '\0');
    const ssize_t n = ::readlink("/proc/self/exe", path.data(), path.size());
    if (n < 0) fail(errno, "readlink /proc/self/exe");
    path.resize(static_cast<std::size_t>(n));
    return path;
}

/// Words between blanks; '...' and "..." keep theirs, a backslash the next character.
std::vector<std::string> split_words(std::string_view text) {
    std::vector<std::string> words;
    std::string word;
    bool inside = false;
    char quote = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (quote != 0) {
            if (c == quote)
                quote = 0;
            else
                word += c;
        } else if (c == '\'' || c == '"') {
            quote = c;
            inside = true;
        } else if (c == ' ' || c == '\t' || c == '\n') {
            if (inside) words.push_back(std::exchange(word, {}));
            inside = false;
        } else {
            if (c == '\\' && i + 1 < text.size()) ++i;
            word += text[i];
            inside = true;
        }
    }
    if (inside) words.push_back(word);
    return words;
}

std::vector<std::string> wrapper() {
    const char* text = std::getenv("VOLE_TEST_WRAPPER");
    if (text == nullptr) text = std::getenv("MESON_EXE_WRAPPER");
    return text != nullptr ? split_words(text) : std::vector<std::string>{};
}

/// A test case's name as Catch2's command line wants it: some characters mean something there.
std::string escaped(const std::string& name) {
    std::string text;
    for (const char c : name) {
        if (c == '\\' || c == ',' || c == '[' || c == ']' || c == '"') text += '\\';
        text += c;
    }
    return text;
}

std::vector<std::string> environment(const std::vector<std::string>& changes) {
    std::vector<std::string> env;
    const auto name_of = [](std::string_view entry) { return entry.substr(0, entry.find('=')); };
    for (char** e = environ; *e != nullptr; ++e) {
        const bool changed = std::any_of(changes.begin(), changes.end(), [&](const std::string& c) {
            return name_of(c) == name_of(*e);
        });
        if (!changed) env.emplace_back(*e);
    }
    env.insert(env.end(), changes.begin(), changes.end());
    return env;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
    std::vector<char*> p;
    for (auto& s : strings) p.push_back(s.data());
    p.push_back(nullptr);
    return p;
}

}  // namespace

std::string subprocess_result::text() const {
    std::string s = timed_out     ? "killed at its time limit"
                    : signal != 0 ? "ended by signal " + std::to_string(signal)
                                  : "exit status " + std::to_string(exit_status);
    return s + "\n--- standard output\n" + out + "--- standard error\n" + err;
}

bool is_subprocess() { return std::getenv(child_mark) != nullptr; }

subprocess_result run_in_subprocess(std::vector<std::string> command, bool wrap,
                                    subprocess_options options) {
    using clock = std::chrono::steady_clock;
    if (wrap) {
        auto words = wrapper();
        command.insert(command.begin(), words.begin(), words.end());
    }
    auto env = environment(options.env);
    auto argv = pointers(command);
    auto envp = pointers(env);

    pipe_pair out;
    pipe_pair err;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out.write_end, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, err.write_end, STDERR_FILENO);
    pid_t pid = 0;
    const int error = ::posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), envp.data());
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) fail(error, "start of " + command.front());
    out.close_write();
    err.close_write();

    subprocess_result result;
    const auto limit = options.limit.count() > 0 ? options.limit : patience();
    const auto end = clock::now() + limit;
    std::array<pollfd, 2> fds{pollfd{out.read_end, POLLIN, 0}, pollfd{err.read_end, POLLIN, 0}};
    std::array<std::string*, 2> sinks{&result.out, &result.err};
    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - clock::now());
        if (left.count() <= 0) {
            if (result.timed_out) break;  // a grandchild holds the pipe: it is not waited for
            result.timed_out = true;
            ::kill(pid, SIGKILL);
        }
        const int n = ::poll(fds.data(), fds.size(),
                             result.timed_out ? 1000 : static_cast<int>(left.count()) + 1);
        if (n < 0 && errno != EINTR) fail(errno, "poll");
        if (n <= 0) continue;
        for (std::size_t i = 0; i < fds.size(); ++i) {
            if (fds[i].fd < 0 || fds[i].revents == 0) continue;
            char buffer[4096];
            const ssize_t got = ::read(fds[i].fd, buffer, sizeof buffer);
            if (got > 0)
                sinks[i]->append(buffer, static_cast<std::size_t>(got));
            else if (got == 0 || errno != EINTR)
                fds[i].fd = -1;
        }
    }
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) fail(errno, "waitpid");
    }
    if (WIFEXITED(status)) result.exit_status = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
    return result;
}

subprocess_result run_case_in_subprocess(const std::string& name, subprocess_options options) {
    options.env.push_back(std::string(child_mark) + "=1");
    // Without a case of that name Catch2 would say that all is well.
    return run_in_subprocess({own_path(), escaped(name), "--warn", "NoTests"}, true,
                             std::move(options));
}

}  // namespace vole::test
