// What this machine lets a pool guarantee, why not more, and how to get more.
//
// Three separate questions, since each has its own cure: can every process of a job be killed, can
// memory be limited, can a kill by the kernel's OOM killer be told from others.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hardstop {

enum class kill_containment : std::uint8_t {
  none,    ///< jobs cannot be contained here; pools refuse to start
  sweep,   ///< process group, subreaper and a walk of the tree: complete, a little slower
  cgroup,  ///< the same, helped by cgroup.kill
};

enum class memory_containment : std::uint8_t {
  worker,  ///< the worker process is watched; what it starts is not counted
  tree,    ///< the kernel limits the whole tree (memory.max)
};

enum class oom_attribution : std::uint8_t {
  guess,  ///< a SIGKILL that we did not send: "possibly the OOM killer"
  exact,  ///< memory.events of the worker's cgroup tells
};

/// One answer with its reason.
template <class Level>
struct containment_answer {
  Level level{};
  std::string explanation{};  ///< what this means and what stands in the way of more
  std::string cure{};         ///< what to change to get more; empty if there is no more
};

/// See process_pool::containment() and `hardstop doctor`. A plain value.
struct containment_report {
  containment_answer<kill_containment> kill{};
  containment_answer<memory_containment> memory{};
  containment_answer<hardstop::oom_attribution> oom_attribution{};

  /// The report in a few lines of text.
  [[nodiscard]] std::string describe() const;
};

[[nodiscard]] std::string_view to_string(kill_containment level) noexcept;
[[nodiscard]] std::string_view to_string(memory_containment level) noexcept;
[[nodiscard]] std::string_view to_string(oom_attribution level) noexcept;

}  // namespace hardstop
