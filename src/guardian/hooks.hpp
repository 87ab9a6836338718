// What a guardian leaves to its user: how to fork, and what a worker does.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include "os/descriptor.hpp"
#include "wire/control.hpp"

namespace hardstop::guardian {

// What a new worker holds. Nothing else of the library's descriptors is open in it.
struct worker_birth {
  wire::worker_id worker{};
  wire::start_method start = wire::start_method::fork;
  pid_t guardian_pid = 0;
  os::descriptor
      spec;  // one open file shared by all workers: map it or pread it, its offset is common
  os::descriptor lane;
  os::descriptor results;
  os::descriptor arguments;
  os::descriptor capture;  // empty if its output is not captured
};

// Calls arrive in the guardian or the worker, each single-threaded as far as the library goes, with
// every signal blocked in the guardian.
class guardian_hooks {
 public:
  guardian_hooks() = default;
  guardian_hooks(const guardian_hooks&) = delete;
  guardian_hooks& operator=(const guardian_hooks&) = delete;
  virtual ~guardian_hooks() = default;

  // Once in a new guardian, before its hello: drop what a fork copied and must not be used twice
  // (unflushed stdio), preload what workers should find loaded. Processes started here are left
  // alone until the end. An errno fails the birth; 0 is success.
  virtual int in_guardian(const os::descriptor& spec);

  // In the guardian, for each worker, in fork and forkserver mode: -1 and errno, 0 in the worker,
  // or its pid.
  virtual pid_t fork_worker();

  // In the worker, after its session, its parent-death signal and its descriptors are in order:
  // signal dispositions and mask. Default: everything reset, nothing blocked.
  virtual void reset_signals();

  // The worker. Must end by _exit or a signal: returning to the guardian's frames is not possible.
  [[noreturn]] virtual void run_worker(worker_birth birth) = 0;
};

}  // namespace hardstop::guardian
