// The supervisor: starts the command, contains it, stops it and all it started, and reports.
//
//   your shell ── front (what you started) ── supervisor ── command ── whatever it starts
//
// One process, one thread, one loop; a subreaper, so that whoever loses its parent below becomes
// its child, in a process group of its own, so that neither the terminal nor a kill(0) of the
// command hits it. It outlives a killed front just long enough to kill everything; should it be
// killed itself, the front, a subreaper too, does so in its place.
#pragma once

#include <csignal>
#include <vector>

#include "cli/run/outcome.hpp"
#include "cli/run/plan.hpp"
#include "cli/run/report_file.hpp"
#include "os/pidfd.hpp"
#include "os/seqpacket.hpp"

namespace hardstop::cli {

struct supervisor_start {
  const run_plan* plan = nullptr;
  os::pidfd front;
  os::seqpacket end;  // where the front waits for a run_end
  report_file report;
  sigset_t passed_on{};          // all of them, and SIGCHLD, are blocked
  sigset_t command_mask{};       // what the command shall find blocked
  std::vector<int> inherited{};  // descriptors that are the command's alone
};

// In the process forked for it, which it never leaves.
[[noreturn]] void supervise(supervisor_start start);

}  // namespace hardstop::cli
