// What a villain, its neighbours and the driver share while it plays.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "support/board.hpp"

namespace villains {

// The villain's own. Whoever joins it, and all it forks, must be gone when the outcome is seen.
struct lair {
  support::counter at_its_worst;  // once it is set, the villain is stopped
  support::counter processes;     // ever made, where it counts them
  std::atomic<int> alive;         // at least as many as are: bombs bound themselves by it
  support::pid_list<1024> pids;   // of those that said so
};

inline constexpr int neighbours = 2;
inline constexpr int children = 4;

// The neighbours'. Nothing of it may be touched by a villain's end.
struct street {
  std::array<support::counter, neighbours>
      steps;  // each works on for as long as it is not released
  std::array<std::atomic<std::int64_t>, neighbours> longest_gap;  // between two steps, ns
  support::pid_list<16> pids;  // of the background job's children
  support::counter released;
};

using lair_ref = support::board_ref<lair>;
using street_ref = support::board_ref<street>;

}  // namespace villains
