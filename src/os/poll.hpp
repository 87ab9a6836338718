// Waiting for one descriptor, for so long and no longer, however often a signal interrupts.
#pragma once

#include <chrono>

#include "os/descriptor.hpp"

namespace hardstop::os {

// True once one of `events` (POLLIN, POLLOUT), an error or a hang-up is there. Negative: for ever.
[[nodiscard]] bool poll_until(const descriptor& handle, short events,
                              std::chrono::milliseconds limit);

}  // namespace hardstop::os
