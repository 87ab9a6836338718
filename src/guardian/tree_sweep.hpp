// Stopping whole process trees, whatever their members do to escape (G2).
//
// For a single-threaded process that is a subreaper (or PID 1) and alone reaps its children; it
// knows nothing of pools. The argument: a process that has lost its parent becomes our child, so
// every living member of a dead tree has an ancestor among our children. Kill and reap every child
// that is not known to be alive by right, until a list of our children shows no other: then nothing
// of the dead trees is left. Processes that fork faster than they are killed are first frozen,
// subtree by subtree, with SIGSTOP until one more walk finds nothing new.
//
// No call blocks or takes more than a few hundred microseconds, so that many trees can be swept
// between other duties.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "os/clock.hpp"
#include "os/error.hpp"
#include "os/pidfd.hpp"
#include "wire/control.hpp"

namespace hardstop::guardian {

// A child that has ended and was reaped.
struct corpse {
  pid_t pid = 0;
  os::exit_status status;
  std::chrono::microseconds cpu_time{0};  // with the children it had waited for
  std::uint64_t peak_memory = 0;          // bytes; of a forked process with what it inherited
};

// Reaps one ended child, of any kind; nullopt: none has ended.
[[nodiscard]] std::optional<corpse> reap_any();

// Why a process is still there.
struct survivor {
  wire::survival reason = wire::survival::none;
  pid_t pid = 0;
  pid_t tracer = 0;
};

[[nodiscard]] survivor explain_survivor(pid_t pid);

// SIGKILL to the process and, if it leads one, its group. `pid` must be our own child, not yet
// reaped.
void kill_tree_root(pid_t pid);

class tree_sweep {
 public:
  struct limits {
    std::chrono::microseconds freeze_after{1500};  // of killing one generation after the other
    std::chrono::milliseconds patience{2};         // between looks when no SIGCHLD comes
    std::chrono::milliseconds idle_patience{100};  // once only the unkillable are left
  };

  tree_sweep() : tree_sweep{limits{}} {}

  explicit tree_sweep(limits chosen) : limits_{chosen} {}

  // A child of ours that nobody spared.
  struct stray {
    pid_t pid = 0;
    std::uint64_t start_time = 0;
    pid_t session = 0;  // when first seen
    os::time_point first_seen;
  };

  // One look at our children: those not in `spared` are killed. Call after every SIGCHLD (having
  // reaped), and when `next_look` comes. All spared trees are left in peace.
  struct progress {
    os::time_point next_look = os::time_point::max();  // max: nothing to do
  };

  progress look(std::span<const pid_t> spared);

  // Those seen by the last look and not yet reported reaped. Empty right after a look: every dead
  // tree is gone.
  [[nodiscard]] std::span<const stray> strays() const { return strays_; }

  // Takes a reaped child off the list; nullopt if it was no stray.
  std::optional<stray> forget(pid_t reaped);

 private:
  struct frozen;
  void freeze_step(std::span<const pid_t> spared);

  limits limits_;
  std::vector<stray> strays_;
  std::vector<pid_t> children_;
  std::vector<pid_t> to_walk_;  // freeze: processes whose children are still to be listed
  std::vector<pid_t> frozen_;   // freeze: processes already sent SIGSTOP
  std::size_t found_in_walk_ = 0;
  std::optional<os::time_point> busy_since_;
};

// Stops a command's whole tree in place, for a process with nothing else to do: kills `root` (0: it
// has ended already) and sweeps until nothing is left or the time is up.
struct sweep_outcome {
  std::optional<corpse> root;
  std::uint32_t processes_stopped = 0;
  std::chrono::microseconds cpu_time{0};
  std::uint64_t peak_memory = 0;
  std::vector<survivor> survivors;
};

[[nodiscard]] sweep_outcome stop_tree(pid_t root, std::chrono::milliseconds limit);

}  // namespace hardstop::guardian
