// Stopping whole process trees, whatever their members do to escape (G2).
//
// For a single-threaded process that is a subreaper (or PID 1) and alone reaps its children; it
// knows nothing of pools. The argument: a process that has lost its parent becomes our child, so
// every living member of a dead tree has an ancestor among our children. Kill and reap every child
// that is not spared, until a list of our children shows no other: then nothing of the dead trees
// is left. The list can be trusted because nobody but we take anything off it. Processes that fork
// faster than they are killed one generation after the other are first frozen, subtree by subtree,
// with SIGSTOP until one more walk finds nothing new.
//
// Nothing here blocks, but stop_tree; a look takes a few hundred microseconds at most, so that many
// trees can be swept between other duties.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "os/clock.hpp"
#include "os/error.hpp"
#include "os/pidfd.hpp"
#include "os/proc.hpp"
#include "wire/control.hpp"

namespace hardstop::guardian {

// A child that has ended and was reaped.
struct corpse {
  pid_t pid = 0;
  os::exit_status status;
  std::chrono::microseconds cpu_time{0};  // with that of the children it had waited for
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

// SIGKILL to the process and, if it leads one, its group. It must be our own child, not yet reaped.
void kill_root(pid_t pid);

class tree_sweep {
 public:
  struct limits {
    std::chrono::microseconds freeze_after{1500};  // of killing one generation after the other
    std::chrono::milliseconds patience{2};         // between looks, should no SIGCHLD come
    std::chrono::seconds weary_after{5};           // without news: only the unkillable are left
    std::chrono::seconds weary_patience{1};        // between looks then
  };

  // A child of ours that nobody spared.
  struct stray {
    pid_t session = 0;             // when first seen: tells which tree it is from, unless it left
    std::uint64_t first_look = 0;  // number of the look that first saw it
  };

  tree_sweep() : tree_sweep{limits{}} {}

  explicit tree_sweep(limits chosen) : limits_{chosen} {}

  // A root was killed: from now on freeze_after counts, unless it does already.
  void begin();

  // One look at our children: those not in `spared` are killed, and their trees in the end. Call
  // after every SIGCHLD, having reaped whatever ended, and when the returned time comes (max: no
  // need).
  os::time_point look(std::span<const pid_t> spared);

  // How many looks there have been.
  [[nodiscard]] std::uint64_t looks() const { return looks_; }

  // By pid, what the last look saw and forget() was not told of since. Empty after a look: every
  // dead tree is gone.
  [[nodiscard]] const std::unordered_map<pid_t, stray>& strays() const { return strays_; }

  // Takes a reaped child off the list; nullopt: it was no stray.
  std::optional<stray> forget(pid_t reaped);

 private:
  void kill_strays(std::span<const pid_t> spared);
  void freeze();
  void walk_from(pid_t parent);
  void end_of_walk();

  // What the walk does with the processes it meets.
  enum class walk : std::uint8_t { stopping, killing };

  [[nodiscard]] os::result<void> list_own_children();

  limits limits_;
  std::optional<os::own_children> own_children_;  // opened by the first look
  std::uint64_t looks_ = 0;
  std::unordered_map<pid_t, stray> strays_;
  std::vector<pid_t> children_;
  std::optional<os::time_point> busy_since_;
  os::time_point last_news_;

  walk walk_ = walk::stopping;
  std::size_t walks_ = 0;              // since freezing began; 0: not freezing
  std::vector<pid_t> to_visit_;        // this walk: whose children are still to be listed
  std::unordered_set<pid_t> stopped_;  // sent SIGSTOP
  std::size_t restless_ = 0;           // this walk: newly found, or not yet at rest
};

// Stops a command and its whole tree in place, for a process with nothing else to do: kills `root`
// (0: it has ended) and every other child, and sweeps until nothing is left or the time is up.
struct stopped_tree {
  std::optional<corpse> root;
  std::uint32_t processes_stopped = 0;    // ended by SIGKILL, the root included
  std::chrono::microseconds cpu_time{0};  // of all that were reaped
  std::uint64_t peak_memory = 0;          // of the largest
  std::vector<survivor> survivors;        // empty: nothing is left
};

[[nodiscard]] stopped_tree stop_tree(pid_t root, std::chrono::milliseconds limit);

}  // namespace hardstop::guardian
