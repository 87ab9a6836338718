// Python's seconds as the engine's durations.
#pragma once

#include <algorithm>
#include <chrono>

namespace hardstop::python {

// More than a century is a century: what is infinite would not fit. Not for NaN.
inline std::chrono::nanoseconds to_duration(double seconds) {
  constexpr double longest = 4e9;
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::duration<double>(std::min(seconds, longest)));
}

}  // namespace hardstop::python
