// How a pool's warden and guardian come into the world without their host noticing (G10).
//
//   client ──helper (shares our memory, gone at once)── warden ── guardian ── workers
//
// The warden is orphaned at birth, so the host has no child: no SIGCHLD, nothing in waitpid(-1). A
// host that is PID 1, a subreaper, or itself one of our workers adopts what is orphaned: there the
// engine must call `reap()` on the pidfds it holds (warden, guardian, workers) when they become
// readable; elsewhere that does nothing.
//
// Both live by the client's pidfd and by the control socket; whichever of client, guardian or
// warden dies first, and however, the others see it and kill everything that is left.
//
// A job may stop them (SIGSTOP). A stopped guardian is resumed by its warden. A stopped warden is
// resumed by the guardian with the next kill; and the engine must send it SIGCONT when it has lost
// its guardian, or nobody would sweep. Out of reach: a job that stops both at once while its client
// is being killed.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "guardian/hooks.hpp"
#include "os/descriptor.hpp"
#include "os/error.hpp"
#include "os/pidfd.hpp"
#include "os/seqpacket.hpp"
#include "wire/control.hpp"

namespace hardstop::guardian {

using wire::birth_stage;
using wire::start_method;

struct birth_plan {
  start_method start = start_method::fork;

  // fork: what guardian and workers run; must outlive the guardian, that is: for ever.
  guardian_hooks* hooks = nullptr;

  // forkserver and spawn: program and arguments of the fresh image, which must call `serve`
  // (guardian/role.hpp) before anything else. One more argument is appended, by which it knows its
  // role.
  std::vector<std::string> exec_argv;
  // Added to (or replacing what is in) its environment, e.g. GLIBC_TUNABLES.
  std::vector<std::pair<std::string, std::string>> exec_environment;

  // forkserver and spawn: descriptors of the host that the fresh image and its workers keep, under
  // their numbers. Everything else is closed there, but standard input, output and error.
  std::vector<int> exec_inherited;

  // Handed unread to hooks.in_guardian and to every worker. May be empty.
  os::descriptor spec;

  std::string cgroup;  // a delegated cgroup v2 subtree; empty: none
  std::chrono::milliseconds start_timeout{30'000};
  std::chrono::milliseconds confirm_within{1000};
  int oom_score_raise = 300;
};

// Why there is no guardian, and what can be done about it.
struct birth_failure {
  birth_stage stage = birth_stage::fork;
  os::error cause;      // code 0: no errno tells
  std::string message;  // what happened, where, and the cure, in sentences
};

// A born guardian. Everything is close-on-exec; destroying `control` dismisses it the hard way (it
// sweeps and exits).
struct born {
  os::seqpacket control;
  os::pidfd warden;
  os::pidfd guardian;
  wire::hello facts;
};

// Gives birth and waits for the guardian's hello, at most for start_timeout. From any thread; the
// calling thread is the one that forks, which matters to hosts with fork hooks or a GIL. On failure
// nothing is left behind.
os::result<born, birth_failure> give_birth(const birth_plan& plan);

// The two halves, for a caller who would rather not wait in place.
struct birth_in_progress {
  os::seqpacket control;
  os::pidfd warden;  // empty until hello if births must be visible (HARDSTOP_BIRTH=fork)
  // For the message, should it fail.
  start_method start = start_method::fork;
  std::string program;
  int threads_at_fork = 0;
};

os::result<birth_in_progress, birth_failure> begin_birth(const birth_plan& plan);
// Waits for hello; on failure kills what was begun.
os::result<born, birth_failure> await_birth(birth_in_progress begun,
                                            std::chrono::milliseconds limit);

}  // namespace hardstop::guardian
