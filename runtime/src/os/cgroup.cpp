// See cgroup.hpp. Locks: none. Stack: a thread's own.
#include "runtime/src/os/cgroup.hpp"

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <system_error>
#include <unistd.h>

#include "runtime/internal/os.hpp"

namespace vole::inline v0::detail {
namespace {

/// Splits at the first `separator`: returns what stands before it and leaves the rest in `text`.
/// Without a separator everything is returned and nothing is left.
std::string_view take_until(std::string_view& text, char separator) noexcept {
    const std::size_t at = text.find(separator);
    const std::string_view head = text.substr(0, at);
    text = at == std::string_view::npos ? std::string_view{} : text.substr(at + 1);
    return head;
}

/// True if the comma list contains exactly "cpu": neither "cpuset" nor "cpuacct" will do.
bool lists_cpu(std::string_view list) noexcept {
    while (!list.empty()) {
        if (take_until(list, ',') == "cpu") {
            return true;
        }
    }
    return false;
}

/// A path whose components lead out of the mount can not be reached from the mount point.
bool leaves_the_mount(std::string_view path) noexcept {
    while (!path.empty()) {
        if (take_until(path, '/') == "..") {
            return true;
        }
    }
    return false;
}

/// The kernel writes space, tab, newline and backslash in mountinfo as a backslash and three octal
/// digits. Anything else after a backslash is malformed.
bool decode_escapes(std::string_view text, fixed_path& out) noexcept {
    if (!out.assign({})) {
        return false;
    }
    while (!text.empty()) {
        if (text.front() != '\\') {
            const std::string_view plain = text.substr(0, text.find('\\'));
            if (!out.append(plain)) {
                return false;
            }
            text.remove_prefix(plain.size());
            continue;
        }
        if (text.size() < 4) {
            return false;
        }
        unsigned value = 0;
        for (const char digit : text.substr(1, 3)) {
            if (digit < '0' || digit > '7') {
                return false;
            }
            value = value * 8 + static_cast<unsigned>(digit - '0');
        }
        if (value == 0 || value > 0xff) {
            return false;
        }
        const char decoded = static_cast<char>(static_cast<unsigned char>(value));
        if (!out.append({&decoded, 1})) {
            return false;
        }
        text.remove_prefix(4);
    }
    return true;
}

/// The value of a one-line file. Its newline must be there: the kernel always writes it, so without it
/// the number may have been cut.
bool take_line(std::string_view text, std::string_view& line) noexcept {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos || end + 1 != text.size()) {
        return false;
    }
    line = text.substr(0, end);
    return true;
}

/// A decimal number and nothing else.
bool parse_number(std::string_view text, std::int64_t& value) noexcept {
    const char* const last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data(), last, value);
    return error == std::errc{} && end == last && !text.empty();
}

double quota_in_cpus(std::int64_t quota, std::int64_t period) noexcept {
    if (quota <= 0 || period <= 0) {
        return no_cpu_quota;
    }
    return static_cast<double>(quota) / static_cast<double>(period);
}

int open_file(const char* path) noexcept {
    for (;;) {
        const int fd = os::open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0 || errno != EINTR) {
            return fd;
        }
    }
}

ssize_t read_some(int fd, char* buffer, std::size_t size) noexcept {
    for (;;) {
        const ssize_t n = os::read(fd, buffer, size);
        if (n >= 0 || errno != EINTR) {
            return n;
        }
    }
}

/// Feeds the lines of a file to `sink`. A line longer than the buffer is left out as a whole (mount
/// options of overlay file systems are the usual case; they do not concern us).
template <class Sink>
void for_each_line(const char* path, Sink& sink) noexcept {
    const int fd = open_file(path);
    if (fd < 0) {
        return;
    }
    std::array<char, 8192> buffer;  // filled by read; clearing it first would be waste
    std::size_t filled = 0;
    bool skipping = false;
    for (;;) {
        const ssize_t n = read_some(fd, buffer.data() + filled, buffer.size() - filled);
        if (n <= 0) {
            break;
        }
        filled += static_cast<std::size_t>(n);
        std::size_t start = 0;
        for (;;) {
            const void* newline = std::memchr(buffer.data() + start, '\n', filled - start);
            if (newline == nullptr) {
                break;
            }
            const std::size_t end =
                static_cast<std::size_t>(static_cast<const char*>(newline) - buffer.data());
            if (!skipping) {
                sink.feed({buffer.data() + start, end - start});
            }
            skipping = false;
            start = end + 1;
        }
        filled -= start;
        std::memmove(buffer.data(), buffer.data() + start, filled);
        if (filled == buffer.size()) {
            skipping = true;
            filled = 0;
        }
    }
    if (filled != 0 && !skipping) {
        sink.feed({buffer.data(), filled});  // a last line without its newline
    }
    os::close(fd);
}

/// The whole of a small file from offset 0, as the kernel renders it now; empty if it can not be had.
std::string_view reread(int fd, std::array<char, 64>& buffer) noexcept {
    for (;;) {
        const ssize_t n = os::pread(fd, buffer.data(), buffer.size(), 0);
        if (n >= 0) {
            return {buffer.data(), static_cast<std::size_t>(n)};
        }
        if (errno != EINTR) {
            return {};
        }
    }
}

}  // namespace

bool fixed_path::assign(std::string_view text) noexcept {
    truncate(0);
    return append(text);
}

bool fixed_path::append(std::string_view text) noexcept {
    if (text.size() >= capacity - size_) {
        truncate(0);
        return false;
    }
    if (!text.empty()) {
        std::memmove(text_.data() + size_, text.data(), text.size());
    }
    size_ += text.size();
    text_[size_] = '\0';
    return true;
}

void fixed_path::truncate(std::size_t length) noexcept {
    if (length <= size_) {
        size_ = length;
        text_[size_] = '\0';
    }
}

void cgroup_membership::feed(std::string_view line) noexcept {
    // "id:controllers:path"; the path may contain colons itself.
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) {
        return;
    }
    const std::string_view id = line.substr(0, first);
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const std::string_view path = line.substr(second + 1);

    cgroup_version found = cgroup_version::none;
    if (lists_cpu(controllers)) {
        found = cgroup_version::v1;
    } else if (id == "0" && controllers.empty()) {
        found = cgroup_version::v2;
    }
    if (found == cgroup_version::none || version_ == cgroup_version::v1 || version_ == found) {
        return;
    }
    constexpr std::string_view deleted = " (deleted)";
    if (path.empty() || path.front() != '/' || path.ends_with(deleted) || !path_.assign(path)) {
        path_.truncate(0);
        version_ = cgroup_version::none;
        return;
    }
    version_ = found;
}

void cgroup_mount::feed(std::string_view line) noexcept {
    // 36 35 98:0 /root /mount/point rw,noatime shared:1 master:2 - type source super,options
    if (found_ || member_.version() == cgroup_version::none) {
        return;
    }
    constexpr std::string_view separator = " - ";
    const std::size_t middle = line.find(separator);
    if (middle == std::string_view::npos) {
        return;
    }
    std::string_view tail = line.substr(middle + separator.size());
    const std::string_view type = take_until(tail, ' ');
    take_until(tail, ' ');  // the source means nothing here
    const std::string_view super_options = tail;
    const bool matches = member_.version() == cgroup_version::v1
                             ? type == "cgroup" && lists_cpu(super_options)
                             : type == "cgroup2";
    if (!matches) {
        return;
    }

    std::string_view head = line.substr(0, middle);
    take_until(head, ' ');  // mount id
    take_until(head, ' ');  // parent id
    take_until(head, ' ');  // device
    const std::string_view root_text = take_until(head, ' ');
    const std::string_view point_text = take_until(head, ' ');
    if (point_text.empty() || point_text.front() != '/') {
        return;
    }

    // The mount may show only a subtree (a container without a namespace of its own): then the group's
    // path begins with the mount's root, and what follows it is the way from the mount point.
    fixed_path& root = point_;  // borrowed: the mount point is decoded into it below
    if (!decode_escapes(root_text, root)) {
        root.truncate(0);
        return;
    }
    std::string_view relative = member_.path();
    if (root.view() != "/") {
        const std::size_t length = root.view().size();
        if (!relative.starts_with(root.view()) ||
            (relative.size() > length && relative[length] != '/')) {
            root.truncate(0);
            return;
        }
        relative.remove_prefix(length);
    }
    while (!relative.empty() && relative.back() == '/') {
        relative.remove_suffix(1);
    }
    if (leaves_the_mount(relative) || !decode_escapes(point_text, point_)) {
        point_.truncate(0);
        return;
    }
    relative_ = relative;
    found_ = true;
}

double parse_cpu_max(std::string_view text) noexcept {
    std::string_view line;
    if (!take_line(text, line)) {
        return no_cpu_quota;
    }
    const std::string_view quota_text = take_until(line, ' ');
    std::int64_t quota = 0;
    std::int64_t period = 0;
    if (!parse_number(line, period) || !parse_number(quota_text, quota)) {
        return no_cpu_quota;  // "max" is not a number and is meant to end here
    }
    return quota_in_cpus(quota, period);
}

double parse_cfs(std::string_view quota_text, std::string_view period_text) noexcept {
    std::string_view quota_line;
    std::string_view period_line;
    std::int64_t quota = 0;
    std::int64_t period = 0;
    if (!take_line(quota_text, quota_line) || !take_line(period_text, period_line) ||
        !parse_number(quota_line, quota) || !parse_number(period_line, period)) {
        return no_cpu_quota;
    }
    return quota_in_cpus(quota, period);
}

void cpu_quota::open_level(fixed_path& directory, cgroup_version version) noexcept {
    // Every part is tried within the same buffer; the directory is what stands there afterwards too.
    const std::size_t length = directory.view().size();
    const auto open_in = [&](std::string_view name) noexcept {
        if (length + name.size() >= fixed_path::capacity || !directory.append(name)) {
            return -1;
        }
        const int fd = open_file(directory.c_str());
        directory.truncate(length);
        return fd;
    };

    level opened;
    if (version == cgroup_version::v2) {
        opened.quota = open_in("/cpu.max");
        if (opened.quota < 0) {
            return;
        }
    } else {
        opened.quota = open_in("/cpu.cfs_quota_us");
        if (opened.quota < 0) {
            return;
        }
        opened.period = open_in("/cpu.cfs_period_us");
        if (opened.period < 0) {
            os::close(opened.quota);
            return;
        }
    }
    files_[static_cast<std::size_t>(levels_)] = opened;
    ++levels_;
}

void cpu_quota::open(const char* root) noexcept {
    close();
    const std::string_view prefix = root;
    fixed_path path;

    cgroup_membership member;
    if (!path.assign(prefix) || !path.append("/proc/self/cgroup")) {
        return;
    }
    for_each_line(path.c_str(), member);
    if (member.version() == cgroup_version::none) {
        return;
    }

    cgroup_mount mount(member);
    if (!path.assign(prefix) || !path.append("/proc/self/mountinfo")) {
        return;
    }
    for_each_line(path.c_str(), mount);
    if (!mount.found() || !path.assign(prefix) || !path.append(mount.point()) ||
        !path.append(mount.relative())) {
        return;
    }

    // From the leaf up to the mount point. A group that lacks the file (the controller is not enabled
    // there, or it is the root) sets no limit of its own, but its ancestors may.
    const std::size_t top = prefix.size() + mount.point().size();
    while (levels_ < max_levels) {
        open_level(path, member.version());
        if (path.view().size() <= top) {
            break;
        }
        path.truncate(path.view().rfind('/'));
        if (path.view().size() < top) {
            path.truncate(0);
            break;
        }
    }
}

void cpu_quota::close() noexcept {
    for (int i = 0; i < levels_; ++i) {
        level& l = files_[static_cast<std::size_t>(i)];
        os::close(l.quota);
        if (l.period >= 0) {
            os::close(l.period);
        }
        l = level{};
    }
    levels_ = 0;
}

double cpu_quota::read() const noexcept {
    double least = no_cpu_quota;
    for (int i = 0; i < levels_; ++i) {
        const level& l = files_[static_cast<std::size_t>(i)];
        std::array<char, 64> quota_buffer;
        std::array<char, 64> period_buffer;
        const std::string_view quota = reread(l.quota, quota_buffer);
        const double here =
            l.period < 0 ? parse_cpu_max(quota) : parse_cfs(quota, reread(l.period, period_buffer));
        if (here >= 0 && (least < 0 || here < least)) {
            least = here;
        }
    }
    return least;
}

}  // namespace vole::detail
