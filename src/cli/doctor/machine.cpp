#include "cli/doctor/machine.hpp"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>

#include "cli/run/containment_check.hpp"
#include "os/cpu.hpp"
#include "os/futex.hpp"
#include "os/read_file.hpp"

namespace hardstop::cli {
namespace {

std::string kernel_name() {
  utsname names{};
  if (::uname(&names) < 0) return "an unknown kernel";
  return std::string{names.sysname} + ' ' + names.release;
}

std::string text_of(const char* path) {
  return os::read_file(path).value_or({});
}

// "always [madvise] never" means madvise.
std::string chosen_word(const char* path) {
  const auto text = text_of(path);
  const auto open = text.find('[');
  const auto close = text.find(']', open);
  if (open == std::string::npos || close == std::string::npos) return {};
  return text.substr(open + 1, close - open - 1);
}

// Any answer but these comes from the call itself: no argument block is that small.
bool has_clone3() {
  const auto answer = ::syscall(SYS_clone3, nullptr, 0);
  return answer < 0 && errno != ENOSYS && errno != EPERM;
}

std::string cgroup2_mount() {
  std::istringstream mounts{text_of("/proc/self/mounts")};
  std::string device;
  std::string path;
  std::string kind;
  for (std::string rest; mounts >> device >> path >> kind && std::getline(mounts, rest);) {
    if (kind == "cgroup2") return path;
  }
  return {};
}

// Lines of: name, hierarchy (0: version 2), number of cgroups, enabled.
bool memory_in_cgroup1() {
  std::istringstream controllers{text_of("/proc/cgroups")};
  for (std::string line; std::getline(controllers, line);) {
    std::istringstream words{line};
    std::string name;
    if (int hierarchy = 0; words >> name >> hierarchy && name == "memory") return hierarchy != 0;
  }
  return false;
}

std::optional<std::uint64_t> own_limit(decltype(RLIMIT_NOFILE) which) {
  rlimit found{};
  if (::getrlimit(which, &found) < 0 || found.rlim_cur == RLIM_INFINITY) return std::nullopt;
  return found.rlim_cur;
}

}  // namespace

machine_facts look_at_machine(std::string_view cgroup) {
  return {
      .kernel = kernel_name(),
      .usable_cpus = os::usable_cpus(),
      .containment = guardian::probe_containment(cgroup),
      .proc_trouble = why_not_contained().value_or(std::string{}),
      .wait_for_many_futexes = os::can_wait_any(),
      .clone3 = has_clone3(),
      .huge_pages = chosen_word("/sys/kernel/mm/transparent_hugepage/enabled"),
      .shared_huge_pages = chosen_word("/sys/kernel/mm/transparent_hugepage/shmem_enabled"),
      .cgroup = std::string{cgroup},
      .cgroup2_mount = cgroup2_mount(),
      .memory_in_cgroup1 = memory_in_cgroup1(),
      .open_files = own_limit(RLIMIT_NOFILE),
      .processes = own_limit(RLIMIT_NPROC),
  };
}

}  // namespace hardstop::cli
