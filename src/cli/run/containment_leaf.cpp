#include "cli/run/containment_leaf.hpp"

#include <utility>

namespace hardstop::cli {

os::result<containment_leaf> containment_leaf::make(const run_plan& plan) {
  auto subtree = guardian::cgroup_subtree::open(plan.cgroup);
  if (!subtree) return subtree.error();
  subtree->remove_stale();
  auto leaf = subtree->make_leaf(0);
  if (!leaf) return leaf.error();
  containment_leaf made;
  made.leaf_ = std::move(*leaf);
  auto processes = made.leaf_.open_processes();
  if (!processes) {
    made.remove();
    return processes.error();
  }
  made.processes_ = std::move(*processes);
  if (plan.memory_limit && subtree->limits_memory()) {
    made.limits_memory_ = made.leaf_.limit_memory(*plan.memory_limit).has_value();
  }
  return made;
}

bool containment_leaf::ran_out_of_memory() const {
  return limits_memory_ && leaf_.oom_kills() > 0;
}

void containment_leaf::kill_all() {
  if (!leaf_ || killed_) return;
  killed_ = true;
  leaf_.kill_all();
}

void containment_leaf::remove() {
  if (leaf_) leaf_.remove();
}

}  // namespace hardstop::cli
