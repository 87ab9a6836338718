#include "os/slice.hpp"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace hardstop::os {

namespace {

// struct sched_attr of sched_setattr(2), its first version, which glibc has since 2.41 only.
struct scheduling {
  std::uint32_t size = sizeof(scheduling);
  std::uint32_t policy = 0;
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime = 0;  // nanoseconds; of an ordinary thread: its slice
  std::uint64_t deadline = 0;
  std::uint64_t period = 0;
};

constexpr std::uint64_t shortest_slice = 100'000;  // nanoseconds: the kernel's least

}  // namespace

void take_short_slices() noexcept {
  scheduling how;
  if (::syscall(SYS_sched_getattr, 0, &how, sizeof how, 0) != 0) return;
  if (how.policy != SCHED_OTHER) return;  // somebody has decided otherwise
  how.runtime = shortest_slice;
  // Refused by old kernels, maybe; then nothing is different.
  static_cast<void>(::syscall(SYS_sched_setattr, 0, &how, 0));
}

}  // namespace hardstop::os
