// How many CPUs this process may really use.
#pragma once

#include <string>

namespace hardstop::os {

// The smaller of the affinity mask and the cgroups' CPU quota; at least 1.
[[nodiscard]] unsigned usable_cpus();

// CPUs that the quota of this process's cgroup, or of one above it, amounts to, rounded up; 0: no
// quota. Versions 1 and 2. `root` goes before every path (tests lay out their own machine there).
[[nodiscard]] unsigned cpu_quota(const std::string& root = {});

}  // namespace hardstop::os
