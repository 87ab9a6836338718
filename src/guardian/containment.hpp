// What this machine can promise: how trees are killed, how memory is limited, who can tell an
// out-of-memory kill.
#pragma once

#include <string>
#include <string_view>

#include "os/kernel.hpp"
#include "os/proc.hpp"
#include "wire/control.hpp"

namespace hardstop::guardian {

struct containment_report {
  // Empty: pools can start. Else why not, and the cure, in sentences.
  std::string refusal;

  wire::kill_containment kill = wire::kill_containment::sweep;
  wire::memory_containment memory = wire::memory_containment::watch;
  wire::oom_attribution oom = wire::oom_attribution::guess;
  // Why not better, and what to change, in sentences; one entry for each that is not at its best.
  std::string kill_advice;
  std::string memory_advice;
  std::string oom_advice;

  os::kernel_features kernel;
  os::proc_support proc = os::proc_support::complete;
};

// Probes this machine; `cgroup` is the delegated subtree a pool would use, or empty. Makes and
// removes one leaf there, and one helper process that the host does not see. About a millisecond.
[[nodiscard]] containment_report probe_containment(std::string_view cgroup);

}  // namespace hardstop::guardian
