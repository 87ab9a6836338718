// One cgroup v2 leaf per worker, below a subtree that the user was given for it.
//
// A leaf is used once: writing cgroup.kill dooms every process that is later born into it.
// Processes join by writing cgroup.procs themselves, right after their fork.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "os/descriptor.hpp"
#include "os/error.hpp"

namespace hardstop::guardian {

class cgroup_leaf {
 public:
  cgroup_leaf() = default;

  explicit operator bool() const { return static_cast<bool>(directory_); }

  // Where a process that is to join writes "0".
  [[nodiscard]] os::result<os::descriptor> open_processes() const;

  // 0 for no limit. A tree that exceeds it is killed as a whole.
  os::result<void> limit_memory(std::uint64_t bytes);  // NOLINT(modernize-use-nodiscard)

  // SIGKILL to all that are in it; the sweep finds those that got out.
  void kill_all() const;

  // Out-of-memory kills there have been; -1: no memory controller.
  [[nodiscard]] std::int32_t oom_kills() const;

  // Removes it, once it is empty; false if somebody is left in it.
  bool remove();

 private:
  friend class cgroup_subtree;

  cgroup_leaf(os::descriptor directory, std::string path)
      : directory_{std::move(directory)}, path_{std::move(path)} {}

  os::descriptor directory_;
  std::string path_;
};

class cgroup_subtree {
 public:
  cgroup_subtree() = default;
  // ENOTSUP: not a cgroup v2 directory; EACCES: not ours to use.
  static os::result<cgroup_subtree> open(std::string_view path);

  explicit operator bool() const { return !path_.empty(); }

  // Named for the calling process and the number.
  [[nodiscard]] os::result<cgroup_leaf> make_leaf(std::uint64_t number) const;

  // Whether leaves can limit memory: the controller is there, or could be switched on.
  [[nodiscard]] bool limits_memory() const { return limits_memory_; }

  // Removes empty leaves of processes that are gone (a killed guardian's).
  void remove_stale() const;

 private:
  std::string path_;
  bool limits_memory_ = false;
};

}  // namespace hardstop::guardian
