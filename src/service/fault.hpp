// Named points between two steps that a crash may fall between, where tests kill the process.
#pragma once

#include <atomic>
#include <string_view>

namespace hardstop::serving {

using fault_hook = void (*)(std::string_view point);

// Null, except in tests. Called in whichever thread comes by.
inline std::atomic<fault_hook> the_fault_hook{nullptr};

inline void fault_point(std::string_view point) {
  if (const fault_hook hook = the_fault_hook.load(std::memory_order_relaxed)) hook(point);
}

}  // namespace hardstop::serving
