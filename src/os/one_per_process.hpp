// Something of which each process has one: a forked child makes its own.
#pragma once

#include <atomic>
#include <cstdint>

#include "os/same_process.hpp"

namespace hardstop::os {

// Made on the first use, and on the first after a fork: what was inherited has no threads. Never
// freed, as others may use it after everything else. Constant-initialized: keep it in static
// storage. Thread-safe.
template <class T>
class one_per_process {
 public:
  [[nodiscard]] T& get() {
    owned* found = present_.load(std::memory_order_acquire);
    const std::uint64_t generation = process_generation();
    if (found != nullptr && found->generation == generation) return found->it;
    auto* const fresh = new owned{.generation = generation, .it = {}};
    if (present_.compare_exchange_strong(found, fresh, std::memory_order_acq_rel)) return fresh->it;
    delete fresh;  // another thread of this process was quicker
    return present_.load(std::memory_order_acquire)->it;
  }

 private:
  struct owned {
    std::uint64_t generation;
    T it;
  };

  std::atomic<owned*> present_{nullptr};
};

}  // namespace hardstop::os
