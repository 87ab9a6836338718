// The warden: stands above the guardian and does one thing. When the guardian is gone, however it
// went, it kills what is left and exits.
//
// It shares no fate with anybody: its own session and name, no parent-death signal, no descriptor
// of the host's but the standard three. Having one child it need not poll: SIGCHLD tells it that
// the guardian ended, or that a job has stopped it, which it undoes. A client that is gone while
// its guardian does not act on it (a preload that hangs) makes it kill the guardian.
#pragma once

#include <string>
#include <vector>

#include "guardian/hooks.hpp"
#include "os/pidfd.hpp"
#include "os/seqpacket.hpp"

namespace hardstop::guardian {

struct warden_start {
  os::seqpacket control;  // the guardian's end
  os::pidfd client;
  std::vector<std::string> exec_argv;  // of an executed image; see guardian_start
  std::vector<int> inherited;
};

// In the process born for it: makes itself a warden and forks the guardian. Whatever library
// objects a fork has copied are dead matter from here on.
[[noreturn]] void run_warden(warden_start start, guardian_hooks& hooks);

}  // namespace hardstop::guardian
