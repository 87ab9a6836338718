// The front: the process that the user started, and all that callers, shells and terminals see of a
// run. It passes signals on to its supervisor and ends as the supervisor says.
//
// It is what a warden is to a guardian: a subreaper that, should its supervisor be killed, finds
// everything that is left among its children and kills it. A supervisor that somebody stopped is
// woken. As PID 1 it also reaps whoever a container's other processes leave to it.
#pragma once

#include "cli/run/plan.hpp"

namespace hardstop::cli {

// Runs the command; this process ends with it. Returns an exit code where it was not started, or
// where this process cannot die by the signal that the command died by.
[[nodiscard]] int run_in_front(const run_plan& plan);

}  // namespace hardstop::cli
