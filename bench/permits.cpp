// Semaphores: what a permit costs that nobody else wants, in the client and in a job; and when it
// is there again after its holder was killed.
#include <chrono>
#include <cstdint>
#include <semaphore>
#include <vector>

#include "cell.hpp"
#include "cells.hpp"
#include "placement.hpp"
#include "samples.hpp"
#include "two_workers.hpp"
#include "waiting.hpp"
#include <hardstop/pool.hpp>
#include <hardstop/semaphore.hpp>

namespace bench {

namespace {

using namespace std::chrono_literals;

constexpr int pairs = 1'000;  // a clock costs as much as a pair

template <class Pair>
figures measure_pairs(effort how_much, Pair pair) {
  const int batches = times(how_much, 20, 500);
  samples each(static_cast<std::size_t>(batches));
  for (int i = 0; i < batches; ++i) {
    const std::int64_t began = now_ns();
    for (int at = 0; at < pairs; ++at)
      pair();
    each.add((now_ns() - began) / pairs);
  }
  figures found;
  each.tell(found);
  return found;
}

// In the job: one acquire and release each millisecond.
std::vector<std::int64_t> paced_in_job(hardstop::semaphore from, int count) {
  std::vector<std::int64_t> took;
  pacer pace(1ms);
  for (int i = 0; i < count; ++i) {
    pace.wait();
    const std::int64_t began = now_ns();
    from.acquire().release();
    took.push_back(now_ns() - began);
  }
  return took;
}

std::vector<std::int64_t> back_to_back_in_job(hardstop::semaphore from, int count) {
  std::vector<std::int64_t> took;
  for (int i = 0; i < count; ++i) {
    const std::int64_t began = now_ns();
    from.acquire().release();
    took.push_back(now_ns() - began);
  }
  return took;
}

void tell(const std::vector<std::int64_t>& took, std::string_view prefix, figures& into) {
  samples all(took.size());
  for (const std::int64_t each : took)
    all.add(each);
  all.tell(into, prefix);
}

void hold(hardstop::lock file) {
  const hardstop::permit mine = file.acquire();
  for (;;)
    asm volatile("" ::: "memory");
}

}  // namespace

figures permits_client(effort how_much) {
  const hardstop::semaphore db(2);
  return measure_pairs(how_much, [&] { db.acquire().release(); });
}

figures permits_threads(effort how_much) {
  std::counting_semaphore<2> db(2);
  return measure_pairs(how_much, [&] {
    db.acquire();
    db.release();
  });
}

figures permits_job(effort how_much) {
  const cpu_pair cpus = two_cpus();
  hardstop::pool_options options = two_workers();
  stay_on(cpus.first);
  options.environment.affinity = {cpus.second};
  hardstop::process_pool pool(options);
  warm_up(pool);
  const hardstop::semaphore db(2);
  figures found;
  tell(pool.submit<&paced_in_job>(db, times(how_much, 50, 700)).get(), "paced_", found);
  tell(pool.submit<&back_to_back_in_job>(db, times(how_much, 500, 20'000)).get(), "spinning_",
       found);
  return found;
}

// From the kill to the moment in which the next one has the permit.
figures permits_return(effort how_much) {
  hardstop::process_pool pool(two_workers());
  warm_up(pool);
  const int rounds = times(how_much, 10, 300);
  samples all(static_cast<std::size_t>(rounds));
  const hardstop::lock file("file");
  for (int i = 0; i < rounds; ++i) {
    auto job = pool.submit<&hold>(file);
    wait_until([&] { return !file.stats().holders.empty(); }, "a job that holds the lock");
    settle(pool);
    const std::int64_t began = now_ns();
    job.cancel(hardstop::cancel_mode::kill);
    const hardstop::permit next = file.acquire();
    all.add(now_ns() - began);
    if (!next.abandoned()) throw wrong("the lock of a killed holder did not say so");
    job.wait();
  }
  figures found;
  all.tell(found);
  return found;
}

}  // namespace bench
