#include "guardian/containment.hpp"

#include "guardian/birth_message.hpp"
#include "guardian/cgroup.hpp"

namespace hardstop::guardian {
namespace {

constexpr const char* name_a_subtree =
    "Name a delegated cgroup v2 subtree (pool option `cgroup`): with systemd, run under a unit "
    "with "
    "Delegate=yes and name a directory below its cgroup that holds no process.";

std::string refusal_of(const containment_report& report) {
  if (report.proc != os::proc_support::complete) return cure_for(report.proc);
  if (!report.kernel.pidfd || !report.kernel.pidfd_wait) {
    return "This kernel, or a sandbox around this process, refuses pidfds (pidfd_open, "
           "pidfd_send_signal, waitid with P_PIDFD), and a bare pid may be recycled before a kill "
           "arrives. Use Linux 5.4 or later, and a container profile that allows them.";
  }
  if (!report.kernel.memfd_sealing) {
    return "This kernel, or a sandbox around this process, refuses memfd_create with sealing, "
           "which "
           "lanes are made of. Use Linux 3.17 or later, and a container profile that allows it.";
  }
  return {};
}

// Tries one leaf as a worker's would be made.
void probe_subtree(std::string_view path, containment_report& report) {
  const auto subtree = cgroup_subtree::open(path);
  if (!subtree) {
    report.kill_advice = "The cgroup subtree cannot be used (" + subtree.error().message() +
                         "), so pools that name it will not start. " + name_a_subtree;
    return;
  }
  constexpr std::uint64_t probe_number = ~std::uint64_t{0};
  auto leaf = subtree->make_leaf(probe_number);
  if (!leaf || !leaf->open_processes()) {
    report.kill_advice =
        "No leaf can be made in the cgroup subtree. " + std::string{name_a_subtree};
  } else {
    report.kill = wire::kill_containment::cgroup;
    if (leaf->oom_kills() >= 0) {
      report.memory = wire::memory_containment::cgroup;
      report.oom = wire::oom_attribution::cgroup;
    }
  }
  if (leaf) leaf->remove();
}

void advise(containment_report& report, bool has_subtree) {
  if (report.kill == wire::kill_containment::sweep && report.kill_advice.empty()) {
    report.kill_advice =
        std::string{
            "Trees are stopped by sweeping, which is complete, but a fork bomb takes "
            "milliseconds longer than with cgroup.kill. "} +
        name_a_subtree;
  }
  if (report.memory == wire::memory_containment::watch) {
    report.memory_advice =
        std::string{
            "Memory limits are watched by polling each worker, which lets a fast job "
            "overshoot and does not count what its children use. "} +
        (has_subtree ? "The subtree named lacks the memory controller: enable it for the subtree "
                       "(echo +memory into its parent's cgroup.subtree_control), or boot with the "
                       "memory controller in cgroup v2."
                     : name_a_subtree);
    report.oom_advice =
        "A worker killed by the kernel for lack of memory is told apart only by a memory cgroup; "
        "here it is reported as \"SIGKILL not sent by us, possibly the OOM killer\".";
  }
}

}  // namespace

containment_report probe_containment(std::string_view cgroup) {
  containment_report report;
  report.kernel = os::probe_kernel();
  report.proc = os::probe_proc();
  report.refusal = refusal_of(report);
  if (!cgroup.empty()) probe_subtree(cgroup, report);
  advise(report, !cgroup.empty());
  return report;
}

}  // namespace hardstop::guardian
