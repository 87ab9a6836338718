// Lets a villain do its worst and shows that only itself is hurt.
//
//   int busy_loop(villains::lair_ref ref) { … }
//
//   int main(int argc, char** argv) {
//     return villains::drive<&busy_loop>(argc, argv, {.stops = {villains::stop::kill}});
//   }
//
// For every way of stopping it that a plan names, the villain runs in a pool next to two neighbours
// that compute and one job that has children in the background. When its outcome is seen:
//   G1  it is the one the plan expects
//   G2  no process that carries the villain's mark is left in /proc
//   G4  the neighbours go on and their results are right, the background job has all its children
//       and their exit codes, the pool runs further jobs
// and after the last one
//   G5  the pool's end leaves no process, and its cgroup is empty.
//
// Arguments: fork | forkserver | spawn, then optionally cgroup.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "villains/stage.hpp"
#include <hardstop/init.hpp>
#include <hardstop/pool.hpp>

namespace villains {

enum class stop {
  kill,     // the driver cancels with cancel_mode::kill when the villain is at its worst
  grace,    // the same, asking first
  timeout,  // its own deadline
  itself,   // nobody stops it: it ends, or is found out
};

// Empty if the outcome is right, else what is wrong.
using verdict = std::function<std::string(const hardstop::outcome&)>;

struct plan {
  std::vector<stop> stops{stop::kill, stop::timeout};
  // For stop::itself.
  verdict expected{};
  // The villain takes the whole pool with it: its guardian, say. Then jobs that had started say so,
  // and the pool starts anew.
  bool spares_neighbours = true;
  // Its worker may be killed for what it does before anybody stops it.
  bool may_be_found_out = false;
  // Of the tree, that the outcome must count as stopped.
  unsigned processes = 1;
  std::uint64_t max_memory = 0;
  std::chrono::milliseconds timeout{150};
};

verdict died_by_signal(int signal);
verdict died_by_exit(int code);
verdict has_kind(hardstop::outcome_kind kind);

// One run of the villain under its options: what is left of its future's type.
struct attempt {
  std::function<hardstop::cancel_result(hardstop::cancel_mode)> cancel;
  std::function<hardstop::outcome()> outcome;
};

using villain_submitter =
    std::function<attempt(hardstop::process_pool&, const hardstop::job_options&, const lair_ref&)>;

int play(int argc, char** argv, const plan& plan, const villain_submitter& submit);

template <auto Villain>
int drive(int argc, char** argv, const plan& plan) {
  hardstop::init(argc, argv);
  return play(argc, argv, plan,
              [](hardstop::process_pool& pool, const hardstop::job_options& options,
                 const lair_ref& ref) -> attempt {
                auto future = std::make_shared<decltype(pool.submit<Villain>(options, ref))>(
                    pool.submit<Villain>(options, ref));
                return {.cancel =
                            [future](hardstop::cancel_mode how) {
                              return future->cancel(how, std::chrono::milliseconds{20});
                            },
                        .outcome = [future] { return future->outcome(); }};
              });
}

// For villains: for ever, doing nothing.
[[noreturn]] inline void linger() {
  for (;;)
    ::pause();
}

}  // namespace villains
