// Something that a forked child must not inherit, and makes anew when it needs it: what has locks,
// threads or a database open.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "os/same_process.hpp"

namespace hardstop::storage {

// Made on the first use, and on the first in each forked child, where what was inherited is leaked:
// its mutexes may be held by threads that are not there. Thread-safe.
template <class T>
class process_local {
 public:
  explicit process_local(std::function<std::unique_ptr<T>()> make) : make_(std::move(make)) {}

  process_local(const process_local&) = delete;
  process_local& operator=(const process_local&) = delete;

  ~process_local() {
    const auto* const last = present_.load(std::memory_order_acquire);
    if (last != nullptr && last->generation == os::process_generation()) delete last;
  }

  [[nodiscard]] T& get() {
    owned* found = present_.load(std::memory_order_acquire);
    const std::uint64_t generation = os::process_generation();
    if (found != nullptr && found->generation == generation) return *found->it;
    auto fresh = std::make_unique<owned>(generation, make_());
    if (present_.compare_exchange_strong(found, fresh.get(), std::memory_order_acq_rel)) {
      return *fresh.release()->it;
    }
    return *present_.load(std::memory_order_acquire)->it;  // another thread was quicker
  }

  // Null if this process has not made its own.
  [[nodiscard]] T* present() const noexcept {
    const auto* const found = present_.load(std::memory_order_acquire);
    if (found == nullptr || found->generation != os::process_generation()) return nullptr;
    return found->it.get();
  }

 private:
  struct owned {
    owned(std::uint64_t of, std::unique_ptr<T> made) : generation(of), it(std::move(made)) {}

    std::uint64_t generation;
    std::unique_ptr<T> it;
  };

  std::function<std::unique_ptr<T>()> make_;
  std::atomic<owned*> present_{nullptr};
};

}  // namespace hardstop::storage
