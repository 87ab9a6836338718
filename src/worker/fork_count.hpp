// Whether a job used fork(): its child may then read the job's arguments long after it has ended.
#pragma once

#include <cstdint>

namespace hardstop::worker {

// Counts from the first call on. vfork and posix_spawn do not count: their children exec, which
// ends what they could see.
std::uint64_t forks_so_far();

}  // namespace hardstop::worker
