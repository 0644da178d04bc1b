// /proc/self/cgroup, /proc/self/mountinfo and the files of a quota: from the kernel, but also from whatever a container
// puts in their place. Once line by line, once as the files that cpu_quota::open reads.
#include "test/fuzz/target.hpp"

#include "runtime/src/os/cgroup.hpp"

#include <cmath>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

using namespace vole::detail;
using vole::fuzz::must_hold;

namespace {

template <class Sink>
void feed_lines(Sink& sink, std::string_view text) {
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        // A copy: reading beyond the line is seen.
        const std::string line(text.substr(0, end));
        sink.feed(line);
        text.remove_prefix(end == text.npos ? text.size() : end + 1);
    }
}

void check_quota(double cpus) {
    must_hold(cpus == no_cpu_quota || (std::isfinite(cpus) && cpus > 0), "a quota is positive");
}

bool leads_up(std::string_view path) {
    for (std::size_t at = path.find(".."); at != path.npos; at = path.find("..", at + 1)) {
        const bool begins = at == 0 || path[at - 1] == '/';
        const bool ends = at + 2 == path.size() || path[at + 2] == '/';
        if (begins && ends) return true;
    }
    return false;
}

void check_mount(const cgroup_membership& member, std::string_view mountinfo) {
    cgroup_mount mount(member);
    feed_lines(mount, mountinfo);
    if (!mount.found()) return;
    must_hold(member.version() != cgroup_version::none, "who is in no group has no mount");
    must_hold(mount.point().starts_with('/'), "a mount point is absolute");
    const std::string_view below = mount.relative();
    must_hold(below.empty() || below.starts_with('/'), "the way to the group begins with /");
    must_hold(!below.ends_with('/'), "the way to the group does not end in /");
    must_hold(!leads_up(below), "the way to the group does not lead out of the mount");
    must_hold(member.path().find(below) != std::string_view::npos, "the way is a part of the path");
}

/// A folder of our own, made once, with room for the files.
const std::string& root() {
    static const std::string folder = [] {
        std::string made = (std::filesystem::temp_directory_path() / "vole-fuzz-XXXXXX").string();
        must_hold(::mkdtemp(made.data()) != nullptr, "there is a folder for temporary files");
        for (const char* sub : {"/proc", "/proc/self", "/m"}) ::mkdir((made + sub).c_str(), 0700);
        return made;
    }();
    return folder;
}

struct cleaner {
    cleaner() { root(); }  // which then is there as long as this
    ~cleaner() {
        for (const char* file : {"/proc/self/cgroup", "/proc/self/mountinfo", "/m/cpu.max",
                                 "/m/cpu.cfs_quota_us", "/m/cpu.cfs_period_us"})
            ::unlink((root() + file).c_str());
        for (const char* sub : {"/m", "/proc/self", "/proc", ""}) ::rmdir((root() + sub).c_str());
    }
};

void write_file(const char* name, std::string_view text) {
    const int fd = ::open((root() + name).c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    must_hold(fd >= 0, "the folder can be written");
    const ssize_t n = ::write(fd, text.data(), text.size());
    ::close(fd);
    must_hold(n == static_cast<ssize_t>(text.size()), "the folder has room");
}

struct seen_in_files {
    int levels;
    double cpus;
    friend bool operator==(const seen_in_files&, const seen_in_files&) = default;
};

/// `before` stands at the beginning of the two files that are read line by line, and means nothing.
seen_in_files read_files(const std::vector<std::string_view>& part, const std::string& before) {
    write_file("/proc/self/cgroup", before + std::string(part[0]));
    write_file("/proc/self/mountinfo", before + std::string(part[1]));
    cpu_quota quota;
    quota.open(root().c_str());
    const seen_in_files seen{quota.levels(), quota.read()};
    must_hold(seen.levels >= 0 && seen.levels <= 32, "the chain of groups has an end");
    check_quota(seen.cpus);
    quota.close();
    must_hold(quota.levels() == 0, "what is closed is empty");
    return seen;
}

/// Mount points below /m are there; others are mostly not.
void check_files(const std::vector<std::string_view>& part, std::size_t number) {
    static const cleaner last;
    write_file("/m/cpu.max", part[2]);
    write_file("/m/cpu.cfs_quota_us", part[2]);
    write_file("/m/cpu.cfs_period_us", part[3]);
    const seen_in_files plain = read_files(part, "");
    // So that lines lie across the end of the buffer, or behind one that is longer than it: that one is left out, what
    // its second half says as well.
    constexpr std::size_t buffer = 8192;
    std::string many;
    while (many.size() < buffer - number % 300) many += "some line\n";
    const std::string full(buffer, 'x');
    for (const std::string& before :
         {many, full.substr(number % 200) + "\n", full + full + full + "\n", full + "0::/nowhere\n",
          full + "36 35 0:30 / /nowhere rw - cgroup2 cgroup2 rw\n"})
        must_hold(read_files(part, before) == plain, "what stands before a line does not matter");
}

}  // namespace

/// Membership, mounts, quota and period.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto part = vole::fuzz::sections(vole::fuzz::text_of(data, size), 4);
    cgroup_membership member;
    feed_lines(member, part[0]);
    must_hold((member.version() == cgroup_version::none) == member.path().empty(),
              "a group has a path");
    must_hold(member.path().empty() || member.path().starts_with('/'),
              "a group's path is absolute");
    check_mount(member, part[1]);
    check_quota(parse_cpu_max(part[2]));
    check_quota(parse_cfs(part[2], part[3]));
    // A hundred times slower than all before it: for some inputs only, always the same.
    std::size_t number = size;
    for (const char c : vole::fuzz::text_of(data, size))
        number = number * 31 + static_cast<unsigned char>(c);
    if (number % 16 == 0) check_files(part, number / 16);
    return 0;
}
