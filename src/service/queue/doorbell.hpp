// Waking those who wait for a change of a file, in this process and in others, without looking at
// the file all the time.
//
// Who has committed something that others wait for rings: sets the file's times to now. The kernel
// tells every watch on the file (inotify, IN_ATTRIB), some 20 µs later. SQLite itself never does
// that, so that those who commit what nobody waits for (the end of a job) wake nobody.
#pragma once

#include <chrono>
#include <string>

#include "os/descriptor.hpp"

namespace hardstop::storage {

// Opens nothing (see make_file). Any thread. What fails is only late: waiters look once a second.
void ring(const std::string& path) noexcept;

// One waiter's ear. heard() and wait() by one thread at a time; interrupt() by any.
class doorbell {
 public:
  // Listens from the first forget_rings() on. Where the kernel has no watch to give
  // (fs.inotify.max_user_instances), it never rings.
  explicit doorbell(std::string path);

  // Forgets what has rung so far. To be called before looking: what rings afterwards is not missed.
  void forget_rings();

  // True: interrupted, which stays so until somebody is told. False: it rang, or the time is over.
  [[nodiscard]] bool wait(std::chrono::nanoseconds limit);

  // The same, deaf to the bell: what rings meanwhile is heard by the next wait().
  [[nodiscard]] bool pause(std::chrono::nanoseconds limit);

  void interrupt() noexcept;

 private:
  [[nodiscard]] bool wait_for(const os::descriptor& bell, std::chrono::nanoseconds limit);

  std::string path_;
  os::descriptor watch_;
  os::descriptor interruption_;
};

}  // namespace hardstop::storage
