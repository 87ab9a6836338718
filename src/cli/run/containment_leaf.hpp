// The cgroup of one run, below the subtree the user was given. Empty where none was named.
#pragma once

#include "cli/run/plan.hpp"
#include "guardian/cgroup.hpp"
#include "os/descriptor.hpp"
#include "os/error.hpp"

namespace hardstop::cli {

class containment_leaf {
 public:
  containment_leaf() = default;
  // With the plan's memory limit, where the subtree has the controller.
  static os::result<containment_leaf> make(const run_plan& plan);

  // What a process that is to join writes "0" to; empty without a leaf.
  [[nodiscard]] const os::descriptor& processes() const { return processes_; }

  [[nodiscard]] bool limits_memory() const { return limits_memory_; }

  [[nodiscard]] bool ran_out_of_memory() const;
  void kill_all();
  void remove();

 private:
  guardian::cgroup_subtree subtree_;
  guardian::cgroup_leaf leaf_;
  os::descriptor processes_;
  bool limits_memory_ = false;
  bool killed_ = false;
};

}  // namespace hardstop::cli
