#include "cli/run/outcome.hpp"

#include <csignal>

#include "cli/exit_codes.hpp"
#include "cli/json.hpp"
#include "cli/quantity.hpp"

namespace hardstop::cli {
namespace {

bool was_killed(const run_outcome& outcome) {
  // Not confirmed: killed all the same.
  return !outcome.command || outcome.command->signal == SIGKILL;
}

run_end own_end(const run_outcome& outcome) {
  if (!outcome.command) return {.exit_code = exit_killed};
  return {.exit_code = outcome.command->code, .signal = outcome.command->signal};
}

// A signal that somebody else sent is died by; one that was a consequence of ours is a number.
run_end end_after_stop(const run_outcome& outcome) {
  if (was_killed(outcome)) return {.exit_code = exit_killed};
  if (outcome.command->signal != 0) {
    return {.exit_code = exit_signal_offset + outcome.command->signal};
  }
  return own_end(outcome);
}

std::string_view why(const run_outcome& outcome) {
  if (outcome.failure) {
    const bool started = outcome.failure->what == run_failure::kind::supervisor_lost;
    return started ? "supervisor_lost" : "not_started";
  }
  switch (outcome.cause) {
    case stop_cause::timeout:
      return "timed_out";
    case stop_cause::memory_limit:
      return "memory_limit";
    case stop_cause::stop_signal:
      return "stopped";
    case stop_cause::front_lost:
      return "hardstop_killed";
    case stop_cause::none:
      break;
  }
  return outcome.command && outcome.command->signal != 0 ? "signalled" : "exited";
}

double to_seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>{time}.count();
}

json_list list_of(const std::vector<std::string>& words) {
  json_list list;
  for (const auto& word : words)
    list.add(word);
  return list;
}

json_list list_of(const std::vector<unconfirmed_process>& processes) {
  json_list list;
  for (const auto& each : processes)
    list.add(json_object{}.add("pid", each.pid).add("reason", each.reason));
  return list;
}

}  // namespace

run_end end_of(const run_outcome& outcome, timeout_status on_timeout) {
  if (outcome.failure) return {.exit_code = outcome.failure->exit_code};
  switch (outcome.cause) {
    case stop_cause::none:
      return own_end(outcome);
    case stop_cause::memory_limit:
    case stop_cause::front_lost:
      return {.exit_code = exit_killed};
    case stop_cause::stop_signal:
      return end_after_stop(outcome);
    case stop_cause::timeout:
      break;
  }
  const auto end = end_after_stop(outcome);
  const bool preserved = on_timeout == timeout_status::preserved || was_killed(outcome);
  return preserved ? end : run_end{.exit_code = exit_timed_out};
}

int shell_status(const run_end& end) {
  return end.signal != 0 ? exit_signal_offset + end.signal : end.exit_code;
}

std::string to_report(const run_outcome& outcome, const run_plan& plan) {
  const auto& command = outcome.command;
  const bool by_signal = command && command->signal != 0;
  std::optional<int> code;
  std::optional<int> signal;
  std::optional<std::string> name;
  if (by_signal) {
    signal = command->signal;
    name = signal_name(command->signal);
  } else if (command) {
    code = command->code;
  }
  std::optional<std::string> error;
  if (outcome.failure) error = outcome.failure->message;

  json_object report;
  report.add("why", why(outcome))
      .add("exit_status", shell_status(end_of(outcome, plan.on_timeout)))
      .add("exit_code", code)
      .add("signal", signal)
      .add("signal_name", name)
      .add("core_dumped", command && command->core_dumped)
      .add("wall_seconds", to_seconds(outcome.wall_time))
      .add("cpu_seconds", to_seconds(outcome.cpu_time))
      .add("peak_memory_bytes", outcome.peak_memory)
      .add("peak_memory_of", outcome.tree_was_measured ? "tree" : "largest process")
      .add("memory_limited_by", outcome.memory_limited_by)
      .add("processes_stopped", outcome.processes_stopped)
      .add("unconfirmed", list_of(outcome.unconfirmed))
      .add("contained_by", outcome.contained_by)
      .add("error", error)
      .add("command", list_of(plan.command));
  return report.text();
}

std::string to_message(const run_outcome& outcome, const run_plan& plan) {
  std::string message;
  if (outcome.failure) message += "hardstop run: " + outcome.failure->message + '\n';
  if (outcome.cause == stop_cause::memory_limit) {
    message += "hardstop run: killed, because it used more memory than --memory allows (" +
               describe_size(plan.memory_limit.value_or(0)) + ").\n";
  }
  for (const auto& each : outcome.unconfirmed) {
    message += "hardstop run: process " + std::to_string(each.pid) +
               " was killed, but has not ended: " + each.reason + ".\n";
  }
  return message;
}

}  // namespace hardstop::cli
