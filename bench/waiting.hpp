// How cells wait: without taking a CPU from what they measure, and never for ever.
#pragma once

#include <time.h>

#include <chrono>
#include <cstdint>
#include <string>

#include "cell.hpp"
#include "samples.hpp"

namespace bench {

inline void sleep_for(std::chrono::nanoseconds time) {
  const timespec length{.tv_sec = time.count() / 1'000'000'000,
                        .tv_nsec = time.count() % 1'000'000'000};
  nanosleep(&length, nullptr);
}

// Looks every 50 us.
template <class Condition>
void wait_until(Condition holds, const char* what) {
  const std::int64_t end = now_ns() + 20'000'000'000;
  while (!holds()) {
    if (now_ns() > end) throw wrong(std::string("waited 20 s in vain: ") + what);
    sleep_for(std::chrono::microseconds(50));
  }
}

// Wakes at fixed points in time. A point that was missed is skipped, not made up for.
class pacer {
 public:
  explicit pacer(std::chrono::nanoseconds period) : period_(period.count()), next_(now_ns()) {}

  void wait() {
    const std::int64_t now = now_ns();
    next_ += period_;
    if (next_ < now) next_ = now + period_;
    const timespec until{.tv_sec = next_ / 1'000'000'000, .tv_nsec = next_ % 1'000'000'000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) != 0) {
    }
  }

 private:
  std::int64_t period_;
  std::int64_t next_;
};

}  // namespace bench
