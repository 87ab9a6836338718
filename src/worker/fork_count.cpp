#include "worker/fork_count.hpp"

#include <pthread.h>

#include <atomic>

namespace hardstop::worker {
namespace {

std::atomic<std::uint64_t> forks{0};

// Before the fork: a job whose thread is killed half-way has forked, too.
void before_fork() {
  forks.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

std::uint64_t forks_so_far() {
  static const int registered = pthread_atfork(before_fork, nullptr, nullptr);
  (void)registered;
  // Relaxed: a fork by a thread that the job has not joined may count for the next attempt, too
  // late for anybody who needs it.
  return forks.load(std::memory_order_relaxed);
}

}  // namespace hardstop::worker
