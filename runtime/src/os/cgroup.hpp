// The CPU quota of the control group this process lives in.
//
// /proc/self/cgroup names the group, /proc/self/mountinfo says where the hierarchy is mounted; the quota
// is in cpu.max (version 2) or cpu.cfs_quota_us and cpu.cfs_period_us (version 1). A quota of a parent
// binds its children too, so the least of the leaf and all visible ancestors counts. Go reads only the
// leaf; a container whose pod carries the limit would then be given too many Ps.
//
// Whatever is missing, unreadable or malformed means "no limit", silently: a program must start on a
// machine without control groups, and nobody wants a message about it.
//
// Invariants: nothing here allocates, throws or takes a lock. Files are opened once and re-read from
// offset 0; a migration to another group is not noticed.
// Stack: a thread's own stack (start-up, sysmon). open() needs about 24 KiB of it; read() only a few
// hundred bytes.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace vole::inline v0::detail {

/// What read() and the parsers below answer where there is no limit.
inline constexpr double no_cpu_quota = -1.0;

enum class cgroup_version : unsigned char { none, v1, v2 };

/// A path in a buffer of its own; what does not fit leaves it empty and makes the call answer false.
class fixed_path {
  public:
    static constexpr std::size_t capacity = 4096;

    [[nodiscard]] bool assign(std::string_view text) noexcept;
    [[nodiscard]] bool append(std::string_view text) noexcept;
    void truncate(std::size_t length) noexcept;

    [[nodiscard]] std::string_view view() const noexcept { return {text_.data(), size_}; }
    [[nodiscard]] const char* c_str() const noexcept { return text_.data(); }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }

  private:
    std::array<char, capacity> text_{};
    std::size_t size_ = 0;
};

/// Which group the process is in: fed the lines of /proc/self/cgroup, without their newlines.
/// A version 1 line that lists exactly the controller "cpu" wins over the version 2 line.
class cgroup_membership {
  public:
    void feed(std::string_view line) noexcept;

    /// none: in no group, or the group has been deleted.
    [[nodiscard]] cgroup_version version() const noexcept { return version_; }
    [[nodiscard]] std::string_view path() const noexcept { return path_.view(); }

  private:
    cgroup_version version_ = cgroup_version::none;
    fixed_path path_;
};

/// Where that group is to be seen: fed the lines of /proc/self/mountinfo. The first mount of the right
/// hierarchy that shows the group wins (a container may have further mounts of other subtrees).
class cgroup_mount {
  public:
    explicit cgroup_mount(const cgroup_membership& member) noexcept : member_(member) {}

    void feed(std::string_view line) noexcept;

    [[nodiscard]] bool found() const noexcept { return found_; }
    /// The mount point, escapes decoded.
    [[nodiscard]] std::string_view point() const noexcept { return point_.view(); }
    /// The group below the mount point: empty, or "/a/b".
    [[nodiscard]] std::string_view relative() const noexcept { return relative_; }

  private:
    const cgroup_membership& member_;
    fixed_path point_;
    std::string_view relative_;
    bool found_ = false;
};

/// "<quota|max> <period>\n" in CPUs.
[[nodiscard]] double parse_cpu_max(std::string_view text) noexcept;
/// The two version 1 files in CPUs; a quota of -1 is no limit.
[[nodiscard]] double parse_cfs(std::string_view quota, std::string_view period) noexcept;

/// The open files of one group and its ancestors. Constant initialisation and no destructor, so that it
/// can be a namespace-scope object that outlives everything; whoever wants the files closed calls close().
class cpu_quota {
  public:
    constexpr cpu_quota() noexcept = default;
    cpu_quota(const cpu_quota&) = delete;
    cpu_quota& operator=(const cpu_quota&) = delete;

    /// Finds and opens the files. `root` is put before every path; only tests pass one.
    void open(const char* root = "") noexcept;
    void close() noexcept;

    /// The least quota in CPUs as of now, or no_cpu_quota.
    [[nodiscard]] double read() const noexcept;

    /// How many groups of the chain have a quota file.
    [[nodiscard]] int levels() const noexcept { return levels_; }

  private:
    // A hierarchy deeper than this is not seen in practice; the outermost groups are left out then.
    static constexpr int max_levels = 32;

    struct level {
        int quota = -1;   // cpu.max or cpu.cfs_quota_us
        int period = -1;  // cpu.cfs_period_us, version 1 only
    };

    void open_level(fixed_path& directory, cgroup_version version) noexcept;

    std::array<level, max_levels> files_{};
    int levels_ = 0;
};

}  // namespace vole::detail
