// How a run went, what hardstop exits with because of it, and both as a report.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/run/course.hpp"
#include "cli/run/plan.hpp"
#include "os/pidfd.hpp"

namespace hardstop::cli {

// A process that was killed and has not ended.
struct unconfirmed_process {
  pid_t pid = 0;
  std::string reason{};
};

// Why there was no run, or nobody knows how it went.
struct run_failure {
  enum class kind : std::uint8_t { not_started, supervisor_lost };

  kind what = kind::not_started;
  int exit_code = 0;
  std::string message{};  // a sentence
};

struct run_outcome {
  stop_cause cause = stop_cause::none;
  std::optional<run_failure> failure;      // then the rest says little
  std::optional<os::exit_status> command;  // nothing: not confirmed to have ended
  std::chrono::nanoseconds wall_time{0};   // until everything was gone
  std::chrono::microseconds cpu_time{0};   // of all processes
  std::uint64_t peak_memory = 0;           // bytes
  bool tree_was_measured = false;          // peak_memory is the tree's, not the largest process's
  std::uint32_t processes_stopped = 0;     // ended by our SIGKILL
  std::vector<unconfirmed_process> unconfirmed;
  std::string_view contained_by = "sweep";            // or "cgroup"
  std::optional<std::string_view> memory_limited_by;  // "watch" or "cgroup"
};

// How the process that the user started ends: like coreutils' timeout, it dies by the very signal
// that ended the command, so that a shell tells Ctrl-C from an exit code.
struct run_end {
  int exit_code = 0;
  int signal = 0;  // 0: by exit code
};

[[nodiscard]] run_end end_of(const run_outcome& outcome, timeout_status on_timeout);

// What a shell's $? shows of it.
[[nodiscard]] int shell_status(const run_end& end);

// One line of JSON; docs in the help of `hardstop run`.
[[nodiscard]] std::string to_report(const run_outcome& outcome, const run_plan& plan);

// What a person should know although nobody asked for a report; mostly nothing.
[[nodiscard]] std::string to_message(const run_outcome& outcome, const run_plan& plan);

}  // namespace hardstop::cli
