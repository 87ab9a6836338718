// Jobs that begin and end when the test wants them to.
#pragma once

#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <stop_token>

#include "support/board.hpp"

namespace scenario {

struct gates {
  support::counter begun;  // jobs that came to their gate
  support::counter open;   // jobs pass when it has reached their number
  std::atomic<std::uint32_t> turns;
  std::array<std::atomic<int>, 1024> order;  // numbers of jobs, in the order in which they passed
  support::counter passed;                   // that stand in it
  support::pid_list<64> pids;
};

using gates_ref = support::board_ref<gates>;

// Waits at the gate, then tells its turn.
inline int pass(gates_ref ref, int number, unsigned opened_at) {
  auto& seen = *ref.visit().release();  // for the worker's life: many of these run in one
  seen.begun.add();
  if (!seen.open.wait_for(opened_at)) throw std::runtime_error("the gate never opened");
  seen.order[seen.turns++ % seen.order.size()] = number;
  seen.passed.add();
  return number;
}

[[noreturn]] inline void linger(gates_ref ref) {
  auto& seen = ref.join();
  seen.pids.add();
  seen.begun.add();
  for (;;)
    ::pause();
}

}  // namespace scenario
