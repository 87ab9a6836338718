#include "os/same_process.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>

#include "os/clock.hpp"

namespace hardstop::os {
namespace {

using generation_cell = std::atomic<std::uint64_t>;

// Where the number lives: a page of its own, so that the kernel wipes nothing else. Set once; a
// lock here could be held by another thread at the moment of a fork.
std::atomic<generation_cell*> cell{nullptr};

// Stands in where the kernel cannot wipe: then every call asks for the pid.
generation_cell unwiped{0};

generation_cell* make_cell() {
  const auto size = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  void* const page =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  generation_cell* made = &unwiped;
  if (page != MAP_FAILED) {
    if (madvise(page, size, MADV_WIPEONFORK) == 0) {
      made = new (page) generation_cell{0};
    } else {
      munmap(page, size);
    }
  }
  generation_cell* expected = nullptr;
  // Release, so that whoever sees the pointer sees the zero behind it.
  if (cell.compare_exchange_strong(expected, made, std::memory_order_acq_rel)) return made;
  if (made != &unwiped) munmap(page, size);
  return expected;
}

}  // namespace

std::uint64_t process_generation() noexcept {
  generation_cell* known = cell.load(std::memory_order_acquire);
  if (known == nullptr) known = make_cell();
  if (known == &unwiped) return static_cast<std::uint64_t>(getpid());
  // Relaxed: the number itself is all there is to know.
  std::uint64_t number = known->load(std::memory_order_relaxed);
  if (number != 0) return number;
  // The time of the first question. A descendant asks later than its ancestors did, and so gets
  // another number.
  const auto fresh = static_cast<std::uint64_t>(to_nanoseconds(now()));
  if (known->compare_exchange_strong(number, fresh, std::memory_order_relaxed)) return fresh;
  return number;
}

}  // namespace hardstop::os
