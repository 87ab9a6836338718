// The guardian: forks workers, contains them, kills and confirms, and sees that nothing outlives
// its client.
//
// One process per pool with one thread and one loop, the child of a warden. It sees spawn, kill and
// exit, never a job. It ends, after killing everything, when its client, its warden or the control
// socket goes, or when dismissed. It arms no deadly parent-death signal: a killed warden must leave
// it time to sweep.
#pragma once

#include <string>
#include <vector>

#include "guardian/hooks.hpp"
#include "os/descriptor.hpp"
#include "os/pidfd.hpp"
#include "os/seqpacket.hpp"
#include "wire/control.hpp"

namespace hardstop::guardian {

struct guardian_start {
  os::seqpacket control;
  os::pidfd client;
  os::pidfd warden;
  wire::configure settings;
  os::descriptor spec;
  std::vector<std::string> exec_argv;  // spawn mode: the image that every worker executes
  std::vector<int> inherited;          // spawn mode: descriptors of the host that workers keep
};

// In the process forked for it, which it never leaves.
[[noreturn]] void run_guardian(guardian_start start, guardian_hooks& hooks);

}  // namespace hardstop::guardian
