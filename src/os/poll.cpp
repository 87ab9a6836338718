#include "os/poll.hpp"

#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "os/clock.hpp"

namespace hardstop::os {

bool poll_until(const descriptor& handle, short events, std::chrono::milliseconds limit) {
  const auto deadline = now() + limit;
  auto left = limit;
  for (;;) {
    pollfd entry{.fd = handle.get(), .events = events, .revents = 0};
    const int ready = ::poll(&entry, 1, limit.count() < 0 ? -1 : static_cast<int>(left.count()));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
    if (limit.count() >= 0) {
      left = std::max(std::chrono::milliseconds{0},
                      std::chrono::ceil<std::chrono::milliseconds>(deadline - now()));
    }
  }
}

}  // namespace hardstop::os
