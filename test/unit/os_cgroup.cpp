// The quota of the control group, against tables of files and against made-up trees of them.
// Cites SCHED-4 to SCHED-7. Nothing of the runtime runs here.
#include <catch2/catch.hpp>

#include "runtime/src/os/cgroup.hpp"

#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <unistd.h>

using namespace vole::detail;

namespace {

template <class Sink>
void feed_lines(Sink& sink, std::string_view text) {
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        sink.feed(text.substr(0, end));
        text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    }
}

struct membership_row {
    const char* what;
    std::string_view text;
    cgroup_version version;
    std::string_view path;
};

constexpr membership_row membership_table[] = {
    {"empty", "", cgroup_version::none, ""},
    {"v2 only", "0::/user.slice/a.scope\n", cgroup_version::v2, "/user.slice/a.scope"},
    {"v2 root", "0::/\n", cgroup_version::v2, "/"},
    {"v2, no newline at the end", "0::/a", cgroup_version::v2, "/a"},
    {"v1", "4:memory:/m\n3:cpu:/c\n", cgroup_version::v1, "/c"},
    {"v1 with a list", "3:cpuacct,cpu:/c\n", cgroup_version::v1, "/c"},
    {"v1, cpu first in the list", "3:cpu,cpuacct:/c\n", cgroup_version::v1, "/c"},
    {"v1 wins over a later v2", "3:cpu,cpuacct:/c\n0::/v2\n", cgroup_version::v1, "/c"},
    {"v1 wins over an earlier v2", "0::/v2\n3:cpu,cpuacct:/c\n", cgroup_version::v1, "/c"},
    {"cpuset and cpuacct are not cpu", "3:cpuset:/s\n2:cpuacct:/t\n0::/v2\n", cgroup_version::v2,
     "/v2"},
    {"named v1 hierarchies only", "1:name=systemd:/\n2:name=cpu:/x\n", cgroup_version::none, ""},
    {"id 0 with a controller is not v2", "0:memory:/m\n", cgroup_version::none, ""},
    {"another id without a controller is not v2", "5::/m\n", cgroup_version::none, ""},
    {"colons in the path", "0::/a:b:c\n", cgroup_version::v2, "/a:b:c"},
    {"spaces in the path", "0::/a b\n", cgroup_version::v2, "/a b"},
    {"deleted", "0::/gone (deleted)\n", cgroup_version::none, ""},
    {"relative path", "0::a\n", cgroup_version::none, ""},
    {"no path", "0::\n", cgroup_version::none, ""},
    {"one colon", "0:/a\n", cgroup_version::none, ""},
    {"no colon", "nonsense\n", cgroup_version::none, ""},
    {"nonsense before the line", "nonsense\n\n::\n0::/a\n", cgroup_version::v2, "/a"},
};

struct mount_row {
    const char* what;
    std::string_view membership;
    std::string_view mountinfo;
    bool found;
    std::string_view point;
    std::string_view relative;
};

constexpr mount_row mount_table[] = {
    {"v2", "0::/a/b\n", "35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n",
     true, "/sys/fs/cgroup", "/a/b"},
    {"v2, in the root group", "0::/\n", "35 24 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
     true, "/sys/fs/cgroup", ""},
    {"no optional fields", "0::/a\n", "35 24 0:30 / /m rw - cgroup2 none rw\n", true, "/m", "/a"},
    {"several optional fields", "0::/a\n",
     "35 24 0:30 / /m rw shared:1 master:2 propagate_from:3 - cgroup2 none rw\n", true, "/m", "/a"},
    {"no newline at the end", "0::/a\n", "35 24 0:30 / /m rw - cgroup2 none rw", true, "/m", "/a"},
    {"v1", "2:cpu,cpuacct:/a\n",
     "30 24 0:26 / /c/memory rw - cgroup cgroup rw,memory\n"
     "31 24 0:27 / /c/cpu rw - cgroup cgroup rw,cpu,cpuacct\n",
     true, "/c/cpu", "/a"},
    {"v1 and v2 mounted, v1 has cpu", "2:cpu:/a\n0::/b\n",
     "30 24 0:26 / /c/unified rw - cgroup2 cgroup2 rw\n31 24 0:27 / /c/cpu rw - cgroup cgroup "
     "rw,cpu\n",
     true, "/c/cpu", "/a"},
    {"v1 and v2 mounted, cpu belongs to v2", "2:memory:/a\n0::/b\n",
     "31 24 0:27 / /c/memory rw - cgroup cgroup rw,memory\n"
     "30 24 0:26 / /c/unified rw - cgroup2 cgroup2 rw\n",
     true, "/c/unified", "/b"},
    {"cpuset is not cpu", "2:cpu:/a\n", "31 24 0:27 / /c/cpuset rw - cgroup cgroup rw,cpuset\n",
     false, "", ""},
    {"no mount of the kind", "0::/a\n", "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n", false, "", ""},
    {"in no group", "", "35 24 0:30 / /m rw - cgroup2 none rw\n", false, "", ""},
    {"escapes", "0::/a\n", "35 24 0:30 / /a\\040b\\011c\\012d\\134e rw - cgroup2 none rw\n", true,
     "/a b\tc\nd\\e", "/a"},
    {"broken escape", "0::/a\n", "35 24 0:30 / /a\\04 rw - cgroup2 none rw\n", false, "", ""},
    {"escape that is not octal", "0::/a\n", "35 24 0:30 / /a\\089b rw - cgroup2 none rw\n", false,
     "", ""},
    {"too few fields", "0::/a\n", "35 24 0:30 - cgroup2 none rw\n", false, "", ""},
    {"no separator", "0::/a\n", "35 24 0:30 / /m rw cgroup2 none rw\n", false, "", ""},
    {"the mount shows a subtree", "2:cpu:/docker/x/inner\n",
     "31 24 0:27 /docker/x /c/cpu ro - cgroup cgroup rw,cpu\n", true, "/c/cpu", "/inner"},
    {"the mount shows exactly our group", "2:cpu:/docker/x\n",
     "31 24 0:27 /docker/x /c/cpu ro - cgroup cgroup rw,cpu\n", true, "/c/cpu", ""},
    {"a name is not a prefix of a longer one", "2:cpu:/docker/xy\n",
     "31 24 0:27 /docker/x /c/cpu ro - cgroup cgroup rw,cpu\n", false, "", ""},
    {"the second mount shows our group", "0::/b/c\n",
     "31 24 0:27 /a /other rw - cgroup2 none rw\n32 24 0:27 / /m rw - cgroup2 none rw\n", true,
     "/m", "/b/c"},
    {"our group lies outside the mount", "0::/../sibling\n",
     "35 24 0:30 / /m rw - cgroup2 none rw\n", false, "", ""},
};

struct value_row {
    std::string_view text;
    double cpus;
};

constexpr value_row cpu_max_table[] = {
    {"max 100000\n", no_cpu_quota},
    {"50000 100000\n", 0.5},
    {"200000 100000\n", 2.0},
    {"210000 100000\n", 2.1},
    {"1000 1000000\n", 0.001},
    {"", no_cpu_quota},
    {"\n", no_cpu_quota},
    {"100000\n", no_cpu_quota},
    {"100000 \n", no_cpu_quota},
    {" 100000\n", no_cpu_quota},
    {"100000 100000", no_cpu_quota},  // cut
    {"100000 100000\nmore\n", no_cpu_quota},
    {"100000 0\n", no_cpu_quota},
    {"0 100000\n", no_cpu_quota},
    {"-1 100000\n", no_cpu_quota},
    {"100000 -5\n", no_cpu_quota},
    {"abc 100000\n", no_cpu_quota},
    {"100000 abc\n", no_cpu_quota},
    {"100000 100000 7\n", no_cpu_quota},
    {"99999999999999999999 100000\n", no_cpu_quota},
};

/// A directory that takes the place of "/", gone with the object.
class fake_root {
  public:
    fake_root() {
        std::string name = (std::filesystem::temp_directory_path() / "vole-cgroup-XXXXXX").string();
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        path_ = name;
    }
    ~fake_root() { std::filesystem::remove_all(path_); }
    fake_root(const fake_root&) = delete;
    fake_root& operator=(const fake_root&) = delete;

    void write(const std::string& name, std::string_view text) const {
        const std::filesystem::path file = path_ + name;
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file, std::ios::trunc) << text;
    }
    const char* c_str() const { return path_.c_str(); }
    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

/// Opens, closes at the end of the test.
struct open_quota {
    explicit open_quota(const fake_root& root) { q.open(root.c_str()); }
    ~open_quota() { q.close(); }
    open_quota(const open_quota&) = delete;
    open_quota& operator=(const open_quota&) = delete;
    cpu_quota q;
};

constexpr std::string_view v2_mount = "35 24 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
constexpr std::string_view v1_mount = "31 24 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";

int open_descriptors() {
    int count = 0;
    for ([[maybe_unused]] const auto& entry :
         std::filesystem::directory_iterator("/proc/self/fd")) {
        ++count;
    }
    return count;
}

}  // namespace

TEST_CASE("SCHED-6 /proc/self/cgroup: which group", "[unit][cgroup]") {
    for (const auto& row : membership_table) {
        INFO(row.what);
        cgroup_membership member;
        feed_lines(member, row.text);
        CHECK(member.version() == row.version);
        CHECK(member.path() == row.path);
    }
}

TEST_CASE("SCHED-6 /proc/self/mountinfo: where it is mounted", "[unit][cgroup]") {
    for (const auto& row : mount_table) {
        INFO(row.what);
        cgroup_membership member;
        feed_lines(member, row.membership);
        cgroup_mount mount(member);
        feed_lines(mount, row.mountinfo);
        CHECK(mount.found() == row.found);
        CHECK(mount.point() == row.point);
        CHECK(mount.relative() == row.relative);
    }
}

TEST_CASE("SCHED-6 a path that fits no buffer is no group", "[unit][cgroup]") {
    const std::string text = "0::/" + std::string(5000, 'x');
    cgroup_membership member;
    member.feed(text);
    CHECK(member.version() == cgroup_version::none);
    CHECK(member.path().empty());
}

TEST_CASE("SCHED-5 values of version 2", "[unit][cgroup]") {
    for (const auto& row : cpu_max_table) {
        INFO(row.text);
        CHECK(parse_cpu_max(row.text) == row.cpus);
    }
}

TEST_CASE("SCHED-5 values of version 1", "[unit][cgroup]") {
    CHECK(parse_cfs("150000\n", "100000\n") == 1.5);
    CHECK(parse_cfs("-1\n", "100000\n") == no_cpu_quota);
    CHECK(parse_cfs("150000", "100000\n") == no_cpu_quota);
    CHECK(parse_cfs("150000\n", "") == no_cpu_quota);
    CHECK(parse_cfs("150000\n", "0\n") == no_cpu_quota);
    CHECK(parse_cfs("", "") == no_cpu_quota);
    CHECK(parse_cfs("max\n", "100000\n") == no_cpu_quota);
}

TEST_CASE("SCHED-6 no files at all: no limit", "[unit][cgroup]") {
    const fake_root root;
    const open_quota o(root);
    CHECK(o.q.levels() == 0);
    CHECK(o.q.read() == no_cpu_quota);
}

TEST_CASE("SCHED-6 the least of the leaf and all visible ancestors counts", "[unit][cgroup]") {
    const fake_root root;
    root.write("/proc/self/cgroup", "0::/pod/container/leaf\n");
    root.write("/proc/self/mountinfo", v2_mount);
    root.write("/sys/fs/cgroup/pod/cpu.max", "150000 100000\n");
    root.write("/sys/fs/cgroup/pod/container/cpu.max", "max 100000\n");
    root.write("/sys/fs/cgroup/pod/container/leaf/cpu.max", "400000 100000\n");
    const open_quota o(root);
    CHECK(o.q.levels() == 3);
    CHECK(o.q.read() == 1.5);
}

TEST_CASE("SCHED-6 a leaf without the file inherits the limit of its parent", "[unit][cgroup]") {
    const fake_root root;
    root.write("/proc/self/cgroup", "0::/a/b\n");
    root.write("/proc/self/mountinfo", v2_mount);
    root.write("/sys/fs/cgroup/cpu.max", "700000 100000\n");
    root.write("/sys/fs/cgroup/a/cpu.max", "300000 100000\n");
    const open_quota o(root);
    CHECK(o.q.levels() == 2);
    CHECK(o.q.read() == 3.0);
}

TEST_CASE("SCHED-7 files are opened once and re-read", "[unit][cgroup]") {
    const fake_root root;
    root.write("/proc/self/cgroup", "0::/a\n");
    root.write("/proc/self/mountinfo", v2_mount);
    root.write("/sys/fs/cgroup/a/cpu.max", "300000 100000\n");
    const open_quota o(root);
    CHECK(o.q.read() == 3.0);
    root.write("/sys/fs/cgroup/a/cpu.max", "max 100000\n");
    CHECK(o.q.read() == no_cpu_quota);
    root.write("/sys/fs/cgroup/a/cpu.max", "50000 100000\n");
    CHECK(o.q.read() == 0.5);
    root.write("/sys/fs/cgroup/a/cpu.max", "");
    CHECK(o.q.read() == no_cpu_quota);
    // Another group would not be noticed.
    root.write("/proc/self/cgroup", "0::/b\n");
    root.write("/sys/fs/cgroup/a/cpu.max", "250000 100000\n");
    CHECK(o.q.read() == 2.5);
}

TEST_CASE("SCHED-6 version 1, with its parents", "[unit][cgroup]") {
    const fake_root root;
    root.write("/proc/self/cgroup", "3:cpu,cpuacct:/docker/x\n0::/elsewhere\n");
    root.write("/proc/self/mountinfo", std::string(v2_mount) + std::string(v1_mount));
    root.write("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    root.write("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    root.write("/sys/fs/cgroup/cpu/docker/cpu.cfs_quota_us", "600000\n");
    root.write("/sys/fs/cgroup/cpu/docker/cpu.cfs_period_us", "200000\n");
    root.write("/sys/fs/cgroup/cpu/docker/x/cpu.cfs_quota_us", "250000\n");
    root.write("/sys/fs/cgroup/cpu/docker/x/cpu.cfs_period_us", "50000\n");
    const open_quota o(root);
    CHECK(o.q.levels() == 3);
    CHECK(o.q.read() == 3.0);
}

TEST_CASE("SCHED-6 version 1 without the period file: no limit", "[unit][cgroup]") {
    const fake_root root;
    root.write("/proc/self/cgroup", "3:cpu:/x\n");
    root.write("/proc/self/mountinfo", v1_mount);
    root.write("/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "600000\n");
    const open_quota o(root);
    CHECK(o.q.levels() == 0);
    CHECK(o.q.read() == no_cpu_quota);
}

TEST_CASE("SCHED-6 escaped mount point", "[unit][cgroup]") {
    const fake_root root;
    root.write("/proc/self/cgroup", "0::/a");
    root.write("/proc/self/mountinfo", "35 24 0:30 / /odd\\040place rw - cgroup2 none rw");
    root.write("/odd place/a/cpu.max", "100000 100000\n");
    const open_quota o(root);
    CHECK(o.q.read() == 1.0);
}

TEST_CASE("SCHED-6 over-long lines are passed over", "[unit][cgroup]") {
    const fake_root root;
    root.write("/proc/self/cgroup", "0::/a\n");
    root.write("/sys/fs/cgroup/a/cpu.max", "100000 100000\n");
    const std::string overlay =
        "20 1 0:20 / / rw - overlay overlay rw,lowerdir=" + std::string(30000, 'l') + "\n";

    root.write("/proc/self/mountinfo", overlay + std::string(v2_mount) + overlay);
    {
        const open_quota o(root);
        CHECK(o.q.read() == 1.0);
    }
    // The line we need is itself too long: no limit.
    root.write("/proc/self/mountinfo", "35 24 0:30 / /sys/fs/cgroup rw - cgroup2 none rw," +
                                           std::string(30000, 'o') + "\n");
    {
        const open_quota o(root);
        CHECK(o.q.read() == no_cpu_quota);
    }
}

TEST_CASE("SCHED-6 lines at every distance from the end of a read", "[unit][cgroup]") {
    const fake_root root;
    root.write("/proc/self/cgroup", "0::/a\n");
    root.write("/sys/fs/cgroup/a/cpu.max", "100000 100000\n");
    for (std::size_t pad = 8100; pad < 8260; ++pad) {
        root.write("/proc/self/mountinfo", std::string(pad, 'p') + "\n" + std::string(v2_mount));
        const open_quota o(root);
        REQUIRE(o.q.read() == 1.0);
    }
}

TEST_CASE("SCHED-6 a deleted group and an unreadable file are no limit", "[unit][cgroup]") {
    const fake_root root;
    root.write("/proc/self/mountinfo", v2_mount);
    root.write("/sys/fs/cgroup/cpu.max", "100000 100000\n");
    root.write("/proc/self/cgroup", "0::/gone (deleted)\n");
    {
        const open_quota o(root);
        CHECK(o.q.read() == no_cpu_quota);
    }
    root.write("/proc/self/cgroup", "0::/a\n");
    std::filesystem::remove(root.path() + "/sys/fs/cgroup/cpu.max");
    std::filesystem::create_directories(root.path() + "/sys/fs/cgroup/a/cpu.max");  // not a file
    {
        const open_quota o(root);
        CHECK(o.q.read() == no_cpu_quota);
    }
}

TEST_CASE("SCHED-6 deep hierarchies and long names stay inside the buffers", "[unit][cgroup]") {
    const fake_root root;
    root.write("/proc/self/mountinfo", v2_mount);
    std::string path;
    for (int i = 0; i < 40; ++i) {
        path += "/level" + std::to_string(i);
        root.write("/sys/fs/cgroup" + path + "/cpu.max", "500000 100000\n");
    }
    root.write("/proc/self/cgroup", "0::" + path + "\n");
    root.write("/sys/fs/cgroup" + path + "/cpu.max", "200000 100000\n");
    {
        const open_quota o(root);
        CHECK(o.q.levels() == 32);
        CHECK(o.q.read() == 2.0);
    }
    for (std::size_t length = 4060; length < 4100; ++length) {
        root.write("/proc/self/cgroup", "0::/" + std::string(length, 'x') + "\n");
        const open_quota o(root);
        CHECK(o.q.read() == no_cpu_quota);
    }
}

TEST_CASE("SCHED-7 descriptors are close-on-exec and given back", "[unit][cgroup]") {
    const fake_root root;
    root.write("/proc/self/cgroup", "0::/a\n");
    root.write("/proc/self/mountinfo", v2_mount);
    root.write("/sys/fs/cgroup/a/cpu.max", "100000 100000\n");
    const int before = open_descriptors();
    cpu_quota q;
    q.open(root.c_str());
    CHECK(open_descriptors() == before + 1);
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code ignored;
        const auto target = std::filesystem::read_symlink(entry.path(), ignored).string();
        if (target.starts_with(root.path())) {
            const int flags = ::fcntl(std::stoi(entry.path().filename().string()), F_GETFD);
            CHECK((flags & FD_CLOEXEC) != 0);
        }
    }
    q.open(root.c_str());  // opening again does not leak
    CHECK(open_descriptors() == before + 1);
    q.close();
    CHECK(open_descriptors() == before);
    CHECK(q.read() == no_cpu_quota);
}

TEST_CASE("SCHED-6 the machine's own files", "[unit][cgroup]") {
    cpu_quota q;
    q.open();
    const double quota = q.read();
    CHECK((quota == no_cpu_quota || quota > 0));
    q.close();
}
