// Starting the command: forked by its supervisor, placed, contained, executed.
#pragma once

#include <sys/types.h>

#include <csignal>
#include <optional>

#include "cli/run/outcome.hpp"
#include "cli/run/plan.hpp"
#include "os/descriptor.hpp"
#include "os/error.hpp"

namespace hardstop::cli {

struct launched_command {
  pid_t pid = 0;
  os::descriptor failure;  // readable: why it was not executed; closed: it was
};

// `mask` is what the user's process blocked; `cgroup_processes` may be empty. The command keeps
// every descriptor that the user left open, but ours, and dies with its supervisor.
[[nodiscard]] os::result<launched_command> launch(const run_plan& plan, const sigset_t& mask,
                                                  const os::descriptor& cgroup_processes);

// What the failure descriptor has to say. Nothing (yet): it was executed, or is being.
[[nodiscard]] std::optional<run_failure> why_not_executed(const os::descriptor& failure,
                                                          const run_plan& plan);

}  // namespace hardstop::cli
