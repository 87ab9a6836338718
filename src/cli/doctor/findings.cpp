#include "cli/doctor/findings.hpp"

#include <utility>

namespace hardstop::cli {
namespace {

std::string refusal_of(const machine_facts& facts) {
  if (!facts.proc_trouble.empty()) return facts.proc_trouble;
  if (!facts.containment.refusal.empty()) return facts.containment.refusal;
  const bool named_in_vain =
      !facts.cgroup.empty() && facts.containment.kill != wire::kill_containment::cgroup;
  return named_in_vain ? facts.containment.kill_advice : std::string{};
}

// What stands in the way of a memory controller on this machine in particular.
std::string cgroup_obstacle(const machine_facts& facts) {
  if (facts.memory_in_cgroup1) {
    return " On this machine the memory controller is bound to cgroup v1: boot with "
           "cgroup_no_v1=memory, or systemd.unified_cgroup_hierarchy=1.";
  }
  if (facts.cgroup2_mount.empty()) {
    return " No cgroup v2 hierarchy is mounted here (mount -t cgroup2 none /sys/fs/cgroup).";
  }
  return {};
}

finding kill_finding(const machine_facts& facts) {
  finding found{.name = "kill"};
  if (!refusal_of(facts).empty()) {
    found.how = grade::missing;
    found.value = "none";
    found.meaning = refusal_of(facts);
  } else if (facts.containment.kill == wire::kill_containment::cgroup) {
    found.value = "cgroup";
    found.meaning = "Trees are killed at one stroke by their cgroup, and swept besides.";
  } else {
    found.how = grade::limited;
    found.value = "sweep";
    found.meaning = "Trees are killed completely: daemons, orphans and fork bombs included.";
    found.cure = facts.containment.kill_advice;
  }
  return found;
}

finding memory_finding(const machine_facts& facts) {
  if (facts.containment.memory == wire::memory_containment::cgroup) {
    return {.name = "memory",
            .value = "cgroup",
            .meaning = "The kernel limits the memory of whole trees.",
            .cure = {}};
  }
  return {.name = "memory",
          .how = grade::limited,
          .value = "watch",
          .meaning = "A pool looks at its workers, `hardstop run --memory` at the whole tree.",
          .cure = facts.containment.memory_advice + cgroup_obstacle(facts)};
}

finding oom_finding(const machine_facts& facts) {
  if (facts.containment.oom == wire::oom_attribution::cgroup) {
    return {.name = "out of memory",
            .value = "exact",
            .meaning = "A kill by the kernel for lack of memory is told from others.",
            .cure = {}};
  }
  return {.name = "out of memory",
          .how = grade::limited,
          .value = "guess",
          .meaning = facts.containment.oom_advice,
          .cure = "The same as for memory."};
}

finding kernel_finding(const char* name, bool there, grade without, const char* meaning,
                       const char* cure) {
  finding found{.name = name, .value = there ? "yes" : "no", .meaning = meaning};
  if (!there) {
    found.how = without;
    found.cure = cure;
  }
  return found;
}

std::vector<finding> kernel_findings(const machine_facts& facts) {
  const auto& kernel = facts.containment.kernel;
  constexpr auto profile = "Use a newer kernel, or a container profile that allows the call.";
  return {
      kernel_finding("/proc", facts.proc_trouble.empty(), grade::missing,
                     "Children are found in /proc/PID/task/TID/children.",
                     facts.proc_trouble.c_str()),
      kernel_finding("pidfd", kernel.pidfd, grade::missing,
                     "Signals reach the very process that is meant, never a recycled number.",
                     "Needs Linux 5.3, and a container profile that allows pidfd_open and "
                     "pidfd_send_signal."),
      kernel_finding("waitid(P_PIDFD)", kernel.pidfd_wait, grade::missing,
                     "Ends of processes are waited for without guessing.", "Needs Linux 5.4."),
      kernel_finding("memfd sealing", kernel.memfd_sealing, grade::missing,
                     "Shared memory that no worker can shrink under its client.",
                     "Needs Linux 3.17, and a container profile that allows memfd_create."),
      kernel_finding("PIDFD_GET_INFO", kernel.pidfd_exit_info, grade::limited,
                     "Tells how a process ended although somebody else has reaped it.",
                     "Needs Linux 6.15. Without it a host that reaps everybody's children hides "
                     "why a guardian died."),
      kernel_finding(
          "futex_waitv", facts.wait_for_many_futexes, grade::limited,
          "One sleep for many workers. Without it a busy client wakes every millisecond.", profile),
      kernel_finding("invisible birth", kernel.invisible_clone, grade::limited,
                     "Pools are born without the host seeing a child: no SIGCHLD, nothing to wait "
                     "for.",
                     "A sandbox refuses clone(CLONE_VM | CLONE_VFORK | CLONE_FILES): the host will "
                     "see one short-lived child for each pool."),
      kernel_finding("clone3", facts.clone3, grade::good,
                     "Not needed: births use clone, which container profiles allow.", ""),
  };
}

finding huge_page_finding(const char* name, const std::string& value, const char* file,
                          const char* meaning) {
  finding found{.name = name, .value = value.empty() ? "not there" : value, .meaning = meaning};
  if (value.empty() || value == "never" || value == "deny") {
    found.how = grade::limited;
    const char* const word = std::string_view{file} == "enabled" ? "madvise" : "advise";
    found.cure = value.empty() ? "This kernel was built without transparent huge pages."
                               : std::string{"As root: echo "} + word +
                                     " > /sys/kernel/mm/transparent_hugepage/" + file;
  }
  return found;
}

finding limit_finding(const char* name, const std::optional<std::uint64_t>& limit,
                      std::uint64_t enough, const char* meaning, const char* cure) {
  finding found{
      .name = name, .value = limit ? std::to_string(*limit) : "unlimited", .meaning = meaning};
  if (limit && *limit < enough) {
    found.how = grade::limited;
    found.cure = cure;
  }
  return found;
}

std::vector<finding> setting_findings(const machine_facts& facts) {
  constexpr std::uint64_t enough_files = 256;
  constexpr std::uint64_t enough_processes = 512;
  return {
      huge_page_finding("huge pages", facts.huge_pages, "enabled",
                        "With the pool option `huge_pages`, killing and forking workers that hold "
                        "much memory is 20 to 50 times faster."),
      huge_page_finding("shared huge pages", facts.shared_huge_pages, "shmem_enabled",
                        "Large arguments and results are mapped faster."),
      limit_finding("open files", facts.open_files, enough_files,
                    "A pool needs about six descriptors for each worker.",
                    "Raise it with ulimit -n."),
      limit_finding("processes", facts.processes, enough_processes,
                    "Counted over all processes of this user.", "Raise it with ulimit -u."),
  };
}

}  // namespace

diagnosis diagnose(const machine_facts& facts) {
  return {
      .refusal = refusal_of(facts),
      .containment = {kill_finding(facts), memory_finding(facts), oom_finding(facts)},
      .kernel = kernel_findings(facts),
      .settings = setting_findings(facts),
  };
}

}  // namespace hardstop::cli
