// Adding up what is told of processes when they are reaped, and killing and reaping until nobody is
// left. Shared by the supervisor and the front, each of which is a subreaper.
#pragma once

#include <sys/types.h>

#include <optional>
#include <span>

#include "cli/run/outcome.hpp"
#include "guardian/tree_sweep.hpp"
#include "os/clock.hpp"

namespace hardstop::cli {

class reaping {
 public:
  explicit reaping(pid_t command) : command_{command} {}

  // Reaps all that have ended.
  void reap();

  // Kills all children and, should that not be enough, their trees. Call after every reap() and at
  // the time returned; max: nobody is left.
  [[nodiscard]] os::time_point sweep(std::span<const pid_t> spared = {});

  // Also of what no sweep() has seen yet.
  [[nodiscard]] const std::optional<os::exit_status>& command_status() const { return status_; }

  // Times, counts, memory and who is left.
  void add_to(run_outcome& outcome) const;

 private:
  pid_t command_;
  bool sweeping_ = false;
  guardian::tree_sweep sweep_;
  std::optional<os::exit_status> status_;
  std::chrono::microseconds cpu_time_{0};
  std::uint64_t peak_memory_ = 0;
  std::uint32_t processes_stopped_ = 0;
};

}  // namespace hardstop::cli
