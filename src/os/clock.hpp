// The one clock that deadlines, latencies and stamps are told in: CLOCK_MONOTONIC, the same in
// every process.
#pragma once

#include <chrono>
#include <cstdint>

namespace hardstop::os {

using clock = std::chrono::steady_clock;
using time_point = clock::time_point;
using duration = clock::duration;

[[nodiscard]] inline time_point now() {
  return clock::now();
}

// How times travel between processes: nanoseconds since the clock's epoch.
[[nodiscard]] inline std::int64_t to_nanoseconds(time_point time) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

[[nodiscard]] inline time_point from_nanoseconds(std::int64_t time) {
  return time_point{std::chrono::nanoseconds{time}};
}

}  // namespace hardstop::os
