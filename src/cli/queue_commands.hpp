// The subcommands that work on a durable queue, one file each, and what they have in common.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

#include "cli/commands.hpp"
#include <hardstop/queue.hpp>

namespace hardstop::cli {

void add_enqueue_command(CLI::App& app, invocation& call);
void add_jobs_command(CLI::App& app, invocation& call);
// cancel and requeue
void add_settling_commands(CLI::App& app, invocation& call);
void add_recover_command(CLI::App& app, invocation& call);

// The queue in that file, which must be there: a mistyped path shall not make one. Throws
// queue_failure.
[[nodiscard]] queue existing_queue(const std::string& path, const queue_options& options = {});

// The state that is called so. Throws CLI::ValidationError.
[[nodiscard]] queued_state to_state(const std::string& name);

}  // namespace hardstop::cli
