// What a job's neighbours notice of kills: round trips of one thread, while the jobs of another one
// are killed, a thousand of them; and while they end by themselves after the same time.
//
// The victims burn a CPU, so that the neighbour shares the other one with its worker and with all
// that a kill takes: the engine, the guardian, the birth of the next spare.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

#include "cell.hpp"
#include "cells.hpp"
#include "samples.hpp"
#include "two_workers.hpp"
#include "waiting.hpp"
#include <hardstop/pool.hpp>

namespace bench {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::nanoseconds life = 1ms;

enum class death : std::uint8_t { natural, killed };

void nothing() {}

void burn_for(std::int64_t nanoseconds) {
  for (const std::int64_t began = now_ns(); now_ns() - began < nanoseconds;) {
  }
}

void have_victims(hardstop::process_pool& pool, int count, death how) {
  for (int i = 0; i < count; ++i) {
    if (how == death::natural) {
      pool.submit<&burn_for>(life.count()).get();
      continue;
    }
    const auto victim = pool.submit<&burn_for>(std::int64_t{3'600'000'000'000});
    sleep_for(life);
    victim.cancel(hardstop::cancel_mode::kill);
    if (victim.outcome().kind() != hardstop::outcome_kind::cancelled) {
      throw wrong("a victim was not killed: " + victim.outcome().describe());
    }
  }
}

figures measure(effort how_much, death how) {
  const int victims = times(how_much, 20, 1'000);
  hardstop::process_pool pool(two_workers());
  warm_up(pool);
  std::atomic<bool> over(false);
  std::exception_ptr failure;
  std::thread other([&] {
    try {
      have_victims(pool, victims, how);
    } catch (...) {
      failure = std::current_exception();
    }
    over = true;
  });
  samples taken(200'000);
  while (!over) {
    const std::int64_t began = now_ns();
    pool.submit<&nothing>().get();
    taken.add(now_ns() - began);
    sleep_for(50us);
  }
  other.join();
  if (failure) std::rethrow_exception(failure);
  figures found;
  taken.tell(found);
  found["trips"] = static_cast<double>(taken.count());
  return found;
}

}  // namespace

figures neighbour_of_killed(effort how_much) {
  return measure(how_much, death::killed);
}

figures neighbour_of_calm(effort how_much) {
  return measure(how_much, death::natural);
}

}  // namespace bench
