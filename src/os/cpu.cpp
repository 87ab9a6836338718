#include "os/cpu.hpp"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <sstream>
#include <string_view>
#include <vector>

#include "os/read_file.hpp"

namespace hardstop::os {
namespace {

// A mounted cgroup hierarchy: `path` shows the subtree that begins at `root` of the hierarchy.
struct hierarchy {
  std::string root;
  std::string path;
};

bool has_item(std::string_view list, std::string_view item) {
  while (!list.empty()) {
    const auto end = std::min(list.find(','), list.size());
    if (list.substr(0, end) == item) return true;
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return false;
}

// The mount of the unified hierarchy (controller empty) or of the one with that controller.
std::optional<hierarchy> find_hierarchy(const std::string& mounts, std::string_view controller) {
  std::istringstream lines{mounts};
  for (std::string line; std::getline(lines, line);) {
    // 36 35 98:0 /root /mount/point options [more]... - type source super-options
    std::istringstream words{line};
    std::string skip;
    hierarchy found;
    words >> skip >> skip >> skip >> found.root >> found.path;
    while (words >> skip && skip != "-") {
    }
    std::string type;
    std::string options;
    words >> type >> skip >> options;
    if (controller.empty() ? type == "cgroup2"
                           : type == "cgroup" && has_item(options, controller)) {
      return found;
    }
  }
  return std::nullopt;
}

// This process's group in the hierarchy, as /proc/self/cgroup tells: "4:cpu,cpuacct:/path".
std::optional<std::string> find_group(const std::string& groups, std::string_view controller) {
  std::istringstream lines{groups};
  for (std::string line; std::getline(lines, line);) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const auto controllers = std::string_view{line}.substr(first + 1, second - first - 1);
    if (controller.empty() ? controllers.empty() : has_item(controllers, controller)) {
      return line.substr(second + 1);
    }
  }
  return std::nullopt;
}

// The quota of one group in CPUs; nullopt: none.
std::optional<double> quota_at(const std::string& directory, std::string_view controller) {
  std::string quota;
  std::string period;
  if (controller.empty()) {
    const auto text = read_file((directory + "/cpu.max").c_str());
    if (!text) return std::nullopt;
    std::istringstream{*text} >> quota >> period;
  } else {
    const auto quota_text = read_file((directory + "/cpu.cfs_quota_us").c_str());
    const auto period_text = read_file((directory + "/cpu.cfs_period_us").c_str());
    if (!quota_text || !period_text) return std::nullopt;
    quota = *quota_text;
    period = *period_text;
  }
  double numerator = 0;
  double denominator = 0;
  if (!(std::istringstream{quota} >> numerator)) return std::nullopt;  // "max"
  if (!(std::istringstream{period} >> denominator)) return std::nullopt;
  if (numerator <= 0 || denominator <= 0) return std::nullopt;
  return numerator / denominator;
}

// The tightest quota from this process's group upwards.
std::optional<double> quota_in(const std::string& root, const std::string& mounts,
                               const std::string& groups, std::string_view controller) {
  const auto mounted = find_hierarchy(mounts, controller);
  auto group = find_group(groups, controller);
  if (!mounted || !group) return std::nullopt;
  // A container sees its own subtree mounted, but may be told its path from the machine's root.
  if (mounted->root != "/" && group->starts_with(mounted->root)) {
    group->erase(0, mounted->root.size());
  }
  std::optional<double> tightest;
  const auto top = root + mounted->path;
  for (std::string path = *group;;) {
    const auto here = quota_at(std::string{top}.append(path), controller);
    if (here && (!tightest || *here < *tightest)) tightest = here;
    const auto slash = path.rfind('/');
    if (path.empty() || slash == std::string::npos) return tightest;
    path.erase(slash);
  }
}

unsigned affinity_cpus() {
  // More CPUs than a cpu_set_t holds make the call fail with EINVAL: try larger ones.
  for (std::size_t cpus = CPU_SETSIZE; cpus <= CPU_SETSIZE * std::size_t{1024}; cpus *= 2) {
    std::vector<cpu_set_t> set(cpus / CPU_SETSIZE);
    const auto size = set.size() * sizeof(cpu_set_t);
    if (::sched_getaffinity(0, size, set.data()) == 0) {
      return static_cast<unsigned>(CPU_COUNT_S(size, set.data()));
    }
  }
  return 1;
}

}  // namespace

unsigned cpu_quota(const std::string& root) {
  const auto mounts = read_file((root + "/proc/self/mountinfo").c_str());
  const auto groups = read_file((root + "/proc/self/cgroup").c_str());
  if (!mounts || !groups) return 0;
  auto quota = quota_in(root, *mounts, *groups, "");
  const auto quota_v1 = quota_in(root, *mounts, *groups, "cpu");
  if (quota_v1 && (!quota || *quota_v1 < *quota)) quota = quota_v1;
  return quota ? std::max(1U, static_cast<unsigned>(std::ceil(*quota))) : 0;
}

unsigned usable_cpus() {
  const auto allowed = std::max(1U, affinity_cpus());
  const auto quota = cpu_quota();
  return quota == 0 ? allowed : std::min(allowed, quota);
}

}  // namespace hardstop::os
