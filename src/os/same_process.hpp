// Whether this is still the process that it was: what a pid cannot tell cheaply, and what fork
// handlers cannot tell after a raw clone().
#pragma once

#include <cstdint>

namespace hardstop::os {

// A number of this process, never 0, that no ancestor and no descendant of it has (other processes
// may). Keep it, compare later: a different number means that this is a forked copy. Costs a load.
// The number lives in a page that the kernel wipes in forked children (MADV_WIPEONFORK), however
// they were forked; children that share memory (vfork) count as the same process. Thread-safe, and
// safe in a forked child of a threaded process.
std::uint64_t process_generation() noexcept;

}  // namespace hardstop::os
