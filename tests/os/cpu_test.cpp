#include "os/cpu.hpp"

#include <sched.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "support/in_child.hpp"

namespace hardstop::os {
namespace {

// A machine laid out in a directory, as far as quotas go.
class machine {
 public:
  machine() { std::filesystem::create_directories(root_); }

  ~machine() { std::filesystem::remove_all(root_); }

  machine(const machine&) = delete;
  machine& operator=(const machine&) = delete;

  machine& file(const std::string& path, const std::string& text) {
    const std::filesystem::path full{root_ + path};
    std::filesystem::create_directories(full.parent_path());
    std::ofstream{full} << text;
    return *this;
  }

  [[nodiscard]] unsigned quota() const { return cpu_quota(root_); }

 private:
  std::string root_ = testing::TempDir() + "hardstop-machine-" + std::to_string(::getpid());
};

constexpr const char* mounted_v2 = "30 1 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n";
constexpr const char* mounted_v1 =
    "25 1 0:20 / / rw - ext4 /dev/vda rw\n"
    "33 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";

TEST(cpu_quota, is_none_where_nothing_is_mounted) {
  EXPECT_EQ(machine{}.quota(), 0U);
}

TEST(cpu_quota, is_rounded_up) {
  EXPECT_EQ(machine{}
                .file("/proc/self/mountinfo", mounted_v2)
                .file("/proc/self/cgroup", "0::/user.slice\n")
                .file("/sys/fs/cgroup/user.slice/cpu.max", "150000 100000\n")
                .quota(),
            2U);
}

TEST(cpu_quota, of_max_is_none) {
  EXPECT_EQ(machine{}
                .file("/proc/self/mountinfo", mounted_v2)
                .file("/proc/self/cgroup", "0::/a\n")
                .file("/sys/fs/cgroup/a/cpu.max", "max 100000\n")
                .quota(),
            0U);
}

TEST(cpu_quota, is_the_tightest_on_the_way_up) {
  EXPECT_EQ(machine{}
                .file("/proc/self/mountinfo", mounted_v2)
                .file("/proc/self/cgroup", "0::/a/b\n")
                .file("/sys/fs/cgroup/a/cpu.max", "300000 100000\n")
                .file("/sys/fs/cgroup/a/b/cpu.max", "800000 100000\n")
                .quota(),
            3U);
}

TEST(cpu_quota, is_read_from_version_1) {
  EXPECT_EQ(machine{}
                .file("/proc/self/mountinfo", mounted_v1)
                .file("/proc/self/cgroup", "4:memory:/x\n2:cpu,cpuacct:/jobs\n")
                .file("/sys/fs/cgroup/cpu,cpuacct/jobs/cpu.cfs_quota_us", "50000\n")
                .file("/sys/fs/cgroup/cpu,cpuacct/jobs/cpu.cfs_period_us", "100000\n")
                .quota(),
            1U);
}

TEST(cpu_quota, of_minus_one_is_none) {
  EXPECT_EQ(machine{}
                .file("/proc/self/mountinfo", mounted_v1)
                .file("/proc/self/cgroup", "2:cpu,cpuacct:/\n")
                .file("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n")
                .file("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n")
                .quota(),
            0U);
}

TEST(cpu_quota, is_found_in_a_container_that_is_told_its_outer_path) {
  EXPECT_EQ(machine{}
                .file("/proc/self/mountinfo",
                      "30 1 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n")
                .file("/proc/self/cgroup", "0::/docker/abc/inner\n")
                .file("/sys/fs/cgroup/inner/cpu.max", "200000 100000\n")
                .quota(),
            2U);
}

TEST(usable_cpus, follows_the_affinity_mask) {
  EXPECT_GE(usable_cpus(), 1U);
  EXPECT_EQ(test::in_child([] {
              cpu_set_t one;
              CPU_ZERO(&one);
              CPU_SET(static_cast<std::size_t>(::sched_getcpu()), &one);
              HARDSTOP_CHECK(::sched_setaffinity(0, sizeof one, &one) == 0);
              HARDSTOP_CHECK(usable_cpus() == 1);
            }),
            0);
}

}  // namespace
}  // namespace hardstop::os
