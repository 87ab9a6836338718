#include "service/queue/doorbell.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <ctime>
#include <utility>

#include "os/clock.hpp"
#include <hardstop/errors.hpp>

namespace hardstop::storage {
namespace {

using std::chrono::nanoseconds;

os::descriptor watch(const std::string& path) {
  os::descriptor made{::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)};
  if (made && ::inotify_add_watch(made.get(), path.c_str(), IN_ATTRIB) < 0) made.reset();
  return made;
}

}  // namespace

void ring(const std::string& path) noexcept {
  const std::array<timespec, 2> now{timespec{.tv_sec = 0, .tv_nsec = UTIME_NOW},
                                    timespec{.tv_sec = 0, .tv_nsec = UTIME_NOW}};
  (void)::utimensat(AT_FDCWD, path.c_str(), now.data(), 0);
}

doorbell::doorbell(std::string path)
    : path_(std::move(path)), interruption_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!interruption_) {
    throw system_failure({errno, std::generic_category()}, "making an event to wait for");
  }
}

void doorbell::forget_rings() {
  if (!watch_) watch_ = watch(path_);
  std::array<char, 4096> events;
  while (watch_ && ::read(watch_.get(), events.data(), events.size()) > 0) {
  }
}

bool doorbell::wait(nanoseconds limit) {
  return wait_for(watch_, limit);
}

bool doorbell::pause(nanoseconds limit) {
  return wait_for(os::descriptor{}, limit);
}

bool doorbell::wait_for(const os::descriptor& bell, nanoseconds limit) {
  const auto deadline = os::now() + limit;
  for (;;) {
    const auto left = std::max(nanoseconds{0}, nanoseconds{deadline - os::now()});
    const timespec time{.tv_sec = left.count() / 1'000'000'000,
                        .tv_nsec = left.count() % 1'000'000'000};
    // A descriptor that is none is negative, and left out.
    std::array<pollfd, 2> ears{pollfd{.fd = interruption_.get(), .events = POLLIN, .revents = 0},
                               pollfd{.fd = bell.get(), .events = POLLIN, .revents = 0}};
    const int ready = ::ppoll(ears.data(), ears.size(), &time, nullptr);
    if (ready < 0 && errno == EINTR) continue;
    std::uint64_t times = 0;
    return (ears[0].revents & POLLIN) != 0 &&
           ::read(interruption_.get(), &times, sizeof times) == sizeof times;
  }
}

void doorbell::interrupt() noexcept {
  const std::uint64_t once = 1;
  (void)!::write(interruption_.get(), &once, sizeof once);
}

}  // namespace hardstop::storage
