#include "cli/run/reaping.hpp"

#include <algorithm>
#include <csignal>
#include <string>

namespace hardstop::cli {
namespace {

std::string describe(const guardian::survivor& survivor) {
  switch (survivor.reason) {
    case wire::survival::uninterruptible:
      return "it sleeps uninterruptibly in the kernel";
    case wire::survival::traced:
      return "process " + std::to_string(survivor.tracer) + " traces it and holds its corpse";
    case wire::survival::permission:
      return "it runs as another user and may not be signalled";
    case wire::survival::ending:
      return "the kernel is still taking it apart";
    case wire::survival::none:
      break;
  }
  return "unknown";
}

}  // namespace

void reaping::reap() {
  while (const auto ended = guardian::reap_any()) {
    (void)sweep_.forget(ended->pid);
    if (ended->pid == command_) status_ = ended->status;
    if (sweeping_ && ended->status.signal == SIGKILL) ++processes_stopped_;
    cpu_time_ += ended->cpu_time;
    peak_memory_ = std::max(peak_memory_, ended->peak_memory);
  }
}

os::time_point reaping::sweep(std::span<const pid_t> spared) {
  if (!sweeping_) {
    sweeping_ = true;
    sweep_.begin();
    if (command_ > 1 && !status_) guardian::kill_root(command_);
  }
  const auto next = sweep_.look(spared);
  return sweep_.strays().empty() ? os::time_point::max() : next;
}

void reaping::add_to(run_outcome& outcome) const {
  outcome.command = status_;
  outcome.cpu_time = cpu_time_;
  outcome.peak_memory = std::max(outcome.peak_memory, peak_memory_);
  outcome.processes_stopped = processes_stopped_;
  for (const auto& [pid, seen] : sweep_.strays()) {
    outcome.unconfirmed.push_back(
        {.pid = pid, .reason = describe(guardian::explain_survivor(pid))});
  }
}

}  // namespace hardstop::cli
