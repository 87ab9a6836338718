// How late a deadline is: from the moment a job's time is over to its last instruction, which the
// job itself stamps into shared memory until it dies; and, by the pool's own statistics, to the
// SIGKILL.
#include <signal.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <semaphore>
#include <system_error>

#include "cell.hpp"
#include "cells.hpp"
#include "child.hpp"
#include "os/descriptor.hpp"
#include "samples.hpp"
#include "shared_memory.hpp"
#include "two_workers.hpp"
#include "waiting.hpp"
#include <hardstop/pool.hpp>

namespace bench {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::nanoseconds limit = 3ms;

struct witness {
  std::atomic<std::int64_t> began{0};
  std::atomic<std::int64_t> last{0};
};

witness* the_witness = nullptr;

[[noreturn]] void burn() {
  the_witness->began = now_ns();
  for (;;)
    the_witness->last.store(now_ns(), std::memory_order_relaxed);
}

[[noreturn]] void burn_deaf() {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, nullptr);
  burn();
}

std::int64_t lateness() {
  // A job that was not running when its time was over made no stamp after it.
  return std::max<std::int64_t>(the_witness->last - the_witness->began - limit.count(), 0);
}

template <auto Job>
figures measure(effort how_much, hardstop::process_pool& pool) {
  const int rounds = times(how_much, 20, 300);
  the_witness = &share<witness>();
  warm_up(pool);
  samples taken(static_cast<std::size_t>(rounds));
  for (int i = 0; i < rounds; ++i) {
    the_witness->began = 0;
    const auto job = pool.submit<Job>({.timeout = limit});
    if (job.outcome().kind() != hardstop::outcome_kind::timed_out) {
      throw wrong("a job that never ends was not timed out: " + job.outcome().describe());
    }
    taken.add(lateness());
    settle(pool);
  }
  figures found;
  taken.tell(found);
  const hardstop::latency_histogram told = pool.stats().deadline_late;
  found["sent_p50"] = static_cast<double>(told.percentile(0.5).count());
  found["sent_p99"] = static_cast<double>(told.percentile(0.99).count());
  return found;
}

}  // namespace

figures deadline_hardstop(effort how_much) {
  hardstop::process_pool pool(two_workers());
  return measure<&burn>(how_much, pool);
}

figures deadline_deaf_hardstop(effort how_much) {
  hardstop::process_pool pool(two_workers());
  return measure<&burn_deaf>(how_much, pool);
}

// The first piece of news that comes out of the pool holds its reader, and with it the thread that
// runs the client's callbacks, until all is measured.
figures deadline_stuck_hardstop(effort how_much) {
  std::binary_semaphore measured(0);
  std::atomic<bool> stuck(false);
  hardstop::pool_options options = two_workers();
  options.on_event = [&](const hardstop::event& /*news*/) {
    if (!stuck.exchange(true)) measured.acquire();
  };
  hardstop::process_pool pool(options);

  struct opener {
    std::binary_semaphore& to_open;

    ~opener() { to_open.release(); }
  };

  const opener before_the_pool_ends{measured};
  figures found = measure<&burn>(how_much, pool);
  if (!stuck) throw wrong("no callback ran that could have been stuck");
  return found;
}

// A timer of the kernel's and a SIGKILL, by a thread that does nothing else.
figures deadline_timerfd(effort how_much) {
  const int rounds = times(how_much, 20, 300);
  the_witness = &share<witness>();
  const hardstop::os::descriptor timer(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
  if (!timer) throw std::system_error(errno, std::generic_category(), "timerfd_create");
  samples taken(static_cast<std::size_t>(rounds));
  samples sent(static_cast<std::size_t>(rounds));
  for (int i = 0; i < rounds; ++i) {
    the_witness->began = 0;
    child victim(burn);
    wait_until([] { return the_witness->began != 0; }, "a child that runs");
    const std::int64_t due = the_witness->began + limit.count();
    const itimerspec when{
        .it_interval = {},
        .it_value = {.tv_sec = due / 1'000'000'000, .tv_nsec = due % 1'000'000'000}};
    timerfd_settime(timer.get(), TFD_TIMER_ABSTIME, &when, nullptr);
    std::uint64_t expirations = 0;
    if (read(timer.get(), &expirations, sizeof expirations) < 0) throw wrong("timerfd");
    victim.kill();
    sent.add(now_ns() - due);
    victim.reap();
    taken.add(lateness());
  }
  figures found;
  taken.tell(found);
  sent.tell(found, "sent_");
  return found;
}

}  // namespace bench
