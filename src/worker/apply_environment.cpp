#include "worker/apply_environment.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <system_error>
#include <vector>

#include "os/signals.hpp"

namespace hardstop::worker {
namespace {

using outcome = std::optional<wire::failure>;

outcome refused(const std::string& option, int code) {
  return wire::failure{
      .type = "hardstop::system_failure",
      .what = "worker_environment: " + option + ": " + std::generic_category().message(code)};
}

outcome redirect(stream how, const std::optional<os::descriptor>& capture, int number,
                 const char* option) {
  switch (how) {
    case stream::inherit:
      return {};
    case stream::null: {
      const os::descriptor null{open("/dev/null", O_RDWR | O_CLOEXEC)};
      if (!null || dup2(null.get(), number) < 0) return refused(option, errno);
      return {};
    }
    case stream::capture:
      if (!capture) return refused(option, EBADF);
      if (dup2(capture->get(), number) < 0) return refused(option, errno);
      return {};
  }
  return {};
}

outcome redirect_all(const environment& wanted, const capture_files& capture) {
  outcome failed = redirect(wanted.standard_input, {}, STDIN_FILENO, "standard_input");
  if (!failed) {
    failed =
        redirect(wanted.standard_output, capture.standard_output, STDOUT_FILENO, "standard_output");
  }
  if (!failed) {
    failed =
        redirect(wanted.standard_error, capture.standard_error, STDERR_FILENO, "standard_error");
  }
  return failed;
}

outcome set_variables(const environment& wanted) {
  if (!wanted.inherit_variables && clearenv() != 0) return refused("variables", errno);
  for (const auto& [name, value] : wanted.variables) {
    const int status = value ? setenv(name.c_str(), value->c_str(), 1) : unsetenv(name.c_str());
    if (status != 0) return refused("variable '" + name + "'", errno);
  }
  return {};
}

outcome set_directory(const environment& wanted) {
  if (wanted.working_directory.empty() || chdir(wanted.working_directory.c_str()) == 0) return {};
  return refused("working_directory '" + wanted.working_directory + "'", errno);
}

outcome set_nice(const environment& wanted) {
  if (!wanted.nice) return {};
  errno = 0;  // -1 is a value, too
  const int present = getpriority(PRIO_PROCESS, 0);
  if (errno != 0 || setpriority(PRIO_PROCESS, 0, present + *wanted.nice) != 0) {
    return refused("nice " + std::to_string(*wanted.nice), errno);
  }
  return {};
}

outcome set_affinity(const environment& wanted) {
  if (wanted.affinity.empty()) return {};
  const auto [lowest, highest] =
      std::minmax_element(wanted.affinity.begin(), wanted.affinity.end());
  constexpr int most_cpus = 1 << 16;
  if (*lowest < 0 || *highest >= most_cpus) return refused("affinity", EINVAL);
  std::vector<cpu_set_t> cpus(static_cast<std::size_t>(*highest) / CPU_SETSIZE + 1);
  const std::size_t size = cpus.size() * sizeof(cpu_set_t);
  for (const int cpu : wanted.affinity) {
    CPU_SET_S(static_cast<std::size_t>(cpu), size, cpus.data());
  }
  if (sched_setaffinity(0, size, cpus.data()) != 0) return refused("affinity", errno);
  return {};
}

rlim_t raised(std::uint64_t limit, std::size_t by) {
  return limit > RLIM_INFINITY - by ? RLIM_INFINITY : limit + by;
}

outcome set_limits(const environment& wanted, std::size_t reserved) {
  for (const resource_limit& limit : wanted.limits) {
    const std::size_t more = limit.resource == RLIMIT_AS ? reserved : 0;
    const rlimit value{.rlim_cur = raised(limit.soft, more), .rlim_max = raised(limit.hard, more)};
    if (setrlimit(static_cast<__rlimit_resource>(limit.resource), &value) != 0) {
      return refused("resource limit " + std::to_string(limit.resource), errno);
    }
  }
  return {};
}

}  // namespace

std::optional<wire::failure> apply(const environment& wanted, const capture_files& capture,
                                   std::size_t reserved) {
  if (auto failed = redirect_all(wanted, capture)) return failed;
  if (auto failed = set_variables(wanted)) return failed;
  if (auto failed = set_directory(wanted)) return failed;
  if (wanted.umask) (void)umask(*wanted.umask);
  if (auto failed = set_nice(wanted)) return failed;
  if (auto failed = set_affinity(wanted)) return failed;
  if (wanted.reset_signals) {
    os::reset_signal_dispositions();
    os::unblock_all_signals();
  }
  // Last: they may leave no room for what comes before.
  return set_limits(wanted, reserved);
}

}  // namespace hardstop::worker
