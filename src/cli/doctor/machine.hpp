// What is the case on this machine: facts, no opinions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "guardian/containment.hpp"

namespace hardstop::cli {

struct machine_facts {
  std::string kernel;  // "Linux 6.1.0-18-amd64"
  unsigned usable_cpus = 0;

  guardian::containment_report containment;
  // Empty, or why /proc must not be trusted, and the cure.
  std::string proc_trouble;

  // Kernel calls beyond those of containment.kernel.
  bool wait_for_many_futexes = false;  // futex_waitv
  bool clone3 = false;

  // Of /sys/kernel/mm/transparent_hugepage: the word in brackets; empty: not there.
  std::string huge_pages;
  std::string shared_huge_pages;

  std::string cgroup;              // the subtree that was named; may be empty
  std::string cgroup2_mount;       // empty: none is mounted
  bool memory_in_cgroup1 = false;  // so that cgroup v2 cannot limit it

  // Limits of this process; nothing: no limit.
  std::optional<std::uint64_t> open_files;
  std::optional<std::uint64_t> processes;
};

// A few milliseconds; leaves nothing behind.
[[nodiscard]] machine_facts look_at_machine(std::string_view cgroup);

}  // namespace hardstop::cli
