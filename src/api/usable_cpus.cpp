#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include <hardstop/options.hpp>

namespace hardstop {

namespace {

int cpus_by_affinity() {
  // The kernel refuses a mask smaller than its own, whose size nobody tells.
  for (std::size_t words = 16; words <= 4096; words *= 2) {
    std::vector<unsigned long> mask(words);
    const std::size_t size = words * sizeof(unsigned long);
    auto* set = reinterpret_cast<cpu_set_t*>(mask.data());
    if (::sched_getaffinity(0, size, set) == 0) return CPU_COUNT_S(size, set);
    if (errno != EINVAL) break;
  }
  return static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
}

// cpu.max holds "max 100000" or "150000 100000": microseconds of CPU time per period.
std::optional<double> quota_v2(const std::filesystem::path& group) {
  std::ifstream file(group / "cpu.max");
  double quota = 0;
  double period = 0;
  if (!(file >> quota >> period) || quota <= 0 || period <= 0) return std::nullopt;
  return quota / period;
}

std::optional<double> quota_v1(const std::filesystem::path& group) {
  std::ifstream quota_file(group / "cpu.cfs_quota_us");
  std::ifstream period_file(group / "cpu.cfs_period_us");
  double quota = 0;
  double period = 0;
  if (!(quota_file >> quota) || !(period_file >> period) || quota <= 0 || period <= 0) {
    return std::nullopt;
  }
  return quota / period;
}

using quota_reader = std::optional<double> (*)(const std::filesystem::path&);

// A group is limited by every group above it. Within a cgroup namespace the path may begin above
// the mounted root, and then only the root itself is there to read.
void tighten(double& cpus, const std::filesystem::path& mount, std::string path,
             quota_reader read) {
  while (true) {
    if (const auto quota = read(mount / path)) cpus = std::min(cpus, *quota);
    if (path.empty()) return;
    const auto slash = path.rfind('/');
    path.resize(slash == std::string::npos ? 0 : slash);
  }
}

double cpus_by_quota(double cpus) {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(std::min(second + 2, line.size()));
    if (controllers.empty()) {
      tighten(cpus, "/sys/fs/cgroup", path, quota_v2);
    } else if ((',' + controllers + ',').find(",cpu,") != std::string::npos) {
      tighten(cpus, "/sys/fs/cgroup/cpu", path, quota_v1);
    }
  }
  return cpus;
}

}  // namespace

int usable_cpus() noexcept {
  try {
    const int cpus = std::max(cpus_by_affinity(), 1);
    return std::max(static_cast<int>(std::ceil(cpus_by_quota(cpus))), 1);
  } catch (...) {
    return 1;  // no memory for a path; nothing better is known
  }
}

}  // namespace hardstop
