// Threads that sleep most of the time and must run soon after they wake.
#pragma once

namespace hardstop::os {

// Asks that the calling thread run in short slices, which it may then take from a thread that burns
// the CPU it wakes on: else it would wait there until that one's slice is over, which is
// milliseconds (Linux 6.12 and later; elsewhere nothing happens). Threads and processes that it
// makes inherit it.
void take_short_slices() noexcept;

}  // namespace hardstop::os
