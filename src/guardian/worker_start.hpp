// A worker's first steps, between its fork and its loop.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "guardian/exec_image.hpp"
#include "guardian/hooks.hpp"
#include "os/descriptor.hpp"
#include "wire/control.hpp"

namespace hardstop::guardian {

// What the guardian prepares before it forks, so that the child need not.
struct worker_setup {
  worker_birth birth;
  std::string oom_score;        // for oom_score_adj; empty: leave it
  os::descriptor cgroup_procs;  // of its leaf, if it has one
  os::descriptor failure;       // takes a birth_trouble if a step fails; closed by exec
};

// Why a worker ended before it ran, written into its failure pipe.
struct birth_trouble {
  wire::birth_stage stage = wire::birth_stage::worker;
  int error = 0;
};

// In the forked child. The guardian's frames are below us and its objects are copies: nothing of
// them is destroyed, we leave by _exit.
[[noreturn]] void start_worker(worker_setup setup, guardian_hooks& hooks);
[[noreturn]] void exec_worker(worker_setup setup, exec_image& image);

// In an image executed by exec_worker.
[[noreturn]] void resume_worker(const exec_role& role, guardian_hooks& hooks);

}  // namespace hardstop::guardian
