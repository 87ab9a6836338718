// Memory for jobs: taken under the engine's lock, given back by whoever drops the last reference.
//
// Giving back must not need the lock: a future may die in a callback, in a destructor, in any
// thread. So what comes back is pushed to a list that only ever grows or is taken whole, which a
// compare-and-swap does without the ABA problem.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <new>
#include <vector>

#include "engine/job.hpp"

namespace hardstop::engine {

class job_stock {
 public:
  // Under the engine's lock. The job has one reference.
  job* take() {
    if (free_ == nullptr) free_ = returned_.exchange(nullptr, std::memory_order_acquire);
    if (free_ == nullptr) grow();
    cell* memory = free_;
    free_ = memory->next;
    memory->~cell();
    return ::new (static_cast<void*>(memory)) job();
  }

  // Any thread.
  void give_back(job* which) noexcept {
    which->~job();
    cell* memory =
        ::new (static_cast<void*>(which)) cell{returned_.load(std::memory_order_relaxed)};
    while (!returned_.compare_exchange_weak(memory->next, memory, std::memory_order_release,
                                            std::memory_order_relaxed)) {
    }
  }

 private:
  struct cell {
    cell* next;
  };

  static constexpr std::size_t per_block = 64;

  struct block {
    alignas(job) std::byte bytes[per_block][sizeof(job)];
  };

  void grow() {
    blocks_.push_back(std::make_unique<block>());
    for (auto& place : blocks_.back()->bytes)
      free_ = ::new (static_cast<void*>(place)) cell{free_};
  }

  std::atomic<cell*> returned_{nullptr};
  cell* free_ = nullptr;
  std::vector<std::unique_ptr<block>> blocks_;
};

}  // namespace hardstop::engine
