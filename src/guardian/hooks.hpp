// What a guardian leaves to its user: how to fork, and what a worker does.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include "os/descriptor.hpp"
#include "wire/control.hpp"

namespace hardstop::guardian {

// What a new worker holds. Of the library's descriptors nothing else is open in it.
struct worker_birth {
  wire::worker_id worker{};
  wire::start_method start = wire::start_method::fork;
  pid_t guardian_pid = 0;
  os::descriptor spec;  // one open file for all workers: map it or pread it, its offset is shared
  os::descriptor lane;
  os::descriptor results;
  os::descriptor arguments;
  // What takes its output; empty if that is not captured.
  os::descriptor standard_output;
  os::descriptor standard_error;
};

// Called in the guardian with every signal blocked, and in the worker; each has one thread as far
// as the library goes. The worker already is a session of its own, subreaper of its tree, and dies
// with the guardian.
class guardian_hooks {
 public:
  guardian_hooks() = default;
  guardian_hooks(const guardian_hooks&) = delete;
  guardian_hooks& operator=(const guardian_hooks&) = delete;
  virtual ~guardian_hooks() = default;

  // In a new guardian, once, before its hello: drop what a fork copied and must not be used twice,
  // preload what workers should find loaded. Processes started here are left alone until the end.
  // An errno fails the birth, 0 is success. Default: purges stdin, stdout and stderr and resets all
  // signal dispositions, which workers inherit.
  virtual int in_guardian(const os::descriptor& spec);

  // In the guardian, for each worker but in spawn mode: -1 and errno, 0 in the worker, or its pid.
  virtual pid_t fork_worker();

  // In the worker, before run_worker. Default: unblocks all signals.
  virtual void reset_signals();

  // The worker. It ends by _exit or a signal: there are no frames to return to.
  [[noreturn]] virtual void run_worker(worker_birth birth) = 0;
};

}  // namespace hardstop::guardian
