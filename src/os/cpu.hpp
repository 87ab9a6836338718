// How many CPUs this process may really use.
#pragma once

namespace hardstop::os {

// The smallest of: CPUs of the affinity mask, the cgroup's CPU quota (v1 or v2, rounded up); at
// least 1.
[[nodiscard]] unsigned usable_cpus();

}  // namespace hardstop::os
