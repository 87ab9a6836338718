// The workers a guardian has, and the trees of those that are ending.
//
// A worker leaves the table when it and everything it started are confirmed gone, or when the time
// for that is up. Several sweeps go on at once; see tree_sweep.hpp for why they come to an end.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "guardian/cgroup.hpp"
#include "guardian/tree_sweep.hpp"
#include "os/clock.hpp"
#include "os/descriptor.hpp"
#include "wire/control.hpp"

namespace hardstop::guardian {

struct tracked_worker {
  wire::worker_id id{};
  pid_t pid = 0;
  std::uint64_t memory_at_birth = 0;
  cgroup_leaf leaf;
  os::descriptor failure;  // where it says why it could not start

  // Since when it is to be gone: a kill was asked for, or it ended.
  std::optional<os::time_point> ending_since;
  std::optional<corpse> end;  // once reaped
  // The last look before it was reaped: strays first seen by earlier ones cannot be its.
  std::uint64_t ended_after_look = 0;
  // Of strays reaped on its account.
  std::uint32_t strays_stopped = 0;
  std::chrono::microseconds strays_cpu_time{0};
  std::uint64_t strays_peak_memory = 0;
};

class worker_table {
 public:
  explicit worker_table(std::chrono::milliseconds confirm_within)
      : confirm_within_{confirm_within} {}

  // Children of the guardian that are no workers and are to live until stop_all.
  void leave_alone(std::vector<pid_t> children) { left_alone_ = std::move(children); }

  void add(tracked_worker worker) { workers_.push_back(std::move(worker)); }

  [[nodiscard]] bool knows(wire::worker_id id) const;

  // SIGKILL now; `advance` tells when it is gone. Nothing if it is unknown or ending already.
  void stop(wire::worker_id id);
  void stop_all();

  // Reaps what has ended and goes on with the sweeps; returns who is gone. Call after each SIGCHLD
  // and when next_wake comes.
  [[nodiscard]] std::vector<wire::gone> advance();

  // max: nothing to wait for but signals.
  [[nodiscard]] os::time_point next_wake() const;

  // No workers, and nothing left of any.
  [[nodiscard]] bool empty() const { return workers_.empty() && sweep_.strays().empty(); }

 private:
  void begin_ending(tracked_worker& worker);
  void reap();
  void bury(const corpse& ended);
  [[nodiscard]] bool may_belong(pid_t pid, const tree_sweep::stray& found,
                                const tracked_worker& to) const;
  [[nodiscard]] bool tree_is_gone(const tracked_worker& worker) const;
  [[nodiscard]] wire::gone account_for(tracked_worker& worker, os::time_point now) const;
  void name_survivors(const tracked_worker& worker, wire::gone& account) const;
  void remove_leaves();

  std::chrono::milliseconds confirm_within_;
  std::vector<tracked_worker> workers_;
  std::vector<pid_t> left_alone_;
  std::vector<cgroup_leaf> old_leaves_;  // not yet removable
  tree_sweep sweep_;
  os::time_point next_look_ = os::time_point::max();
};

}  // namespace hardstop::guardian
