// Round trips, one job at a time: back to back, where both sides spin, and one each millisecond,
// where both sides sleep. Pinned, client on one CPU and worker on the other, and left to the
// kernel.
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "cell.hpp"
#include "cells.hpp"
#include "child.hpp"
#include "placement.hpp"
#include "ring.hpp"
#include "samples.hpp"
#include "shared_memory.hpp"
#include "two_workers.hpp"
#include "waiting.hpp"
#include <hardstop/pool.hpp>

namespace bench {

namespace {

using namespace std::chrono_literals;

void nothing() {}

// Where client and worker run; unset: anywhere.
using places = std::optional<cpu_pair>;

template <class Trip>
void measure(effort how_much, const std::string& prefix, Trip trip, figures& into) {
  const int warm = times(how_much, 200, 5'000);
  const int back_to_back = times(how_much, 1'000, 50'000);
  const int paced = times(how_much, 50, 700);
  const auto timed = [&] {
    const std::int64_t began = now_ns();
    trip();
    return now_ns() - began;
  };
  for (int i = 0; i < warm; ++i)
    trip();
  samples spinning(static_cast<std::size_t>(back_to_back));
  for (int i = 0; i < back_to_back; ++i)
    spinning.add(timed());
  spinning.tell(into, prefix + "spinning_");

  pacer pace(1ms);
  for (int i = 0; i < 50; ++i) {  // until both sides have unlearnt to spin
    pace.wait();
    trip();
  }
  samples sleeping(static_cast<std::size_t>(paced));
  for (int i = 0; i < paced; ++i) {
    pace.wait();
    sleeping.add(timed());
  }
  sleeping.tell(into, prefix + "paced_");
}

void measure_pool(effort how_much, const std::string& prefix, places where, figures& into) {
  hardstop::pool_options options = two_workers();
  if (where) {
    stay_on(where->first);
    options.environment.affinity = {where->second};
  }
  hardstop::process_pool pool(options);
  warm_up(pool);
  measure(
      how_much, prefix, [&] { pool.submit<&nothing>().get(); }, into);
}

void answer(ring& shared, places where) {
  if (where) stay_on(where->second);
  hardstop::wire::spin_score score;
  for (std::uint64_t number = 1;; ++number) {
    shared.there.wait(number, shared.back, score, one_way::spin_beside::any_writer);
    shared.back.post(number);
  }
}

void measure_ring(effort how_much, const std::string& prefix, places where, figures& into) {
  ring& shared = share<ring>();
  if (where) stay_on(where->first);
  const child other([&] { answer(shared, where); });
  hardstop::wire::spin_score score;
  std::uint64_t number = 0;
  const auto trip = [&] {
    shared.there.post(++number);
    shared.back.wait(number, shared.there, score, one_way::spin_beside::awake_writer);
  };
  measure(how_much, prefix, trip, into);
}

template <class Measure>
figures both_placements(effort how_much, Measure one) {
  const cpu_pair cpus = two_cpus();
  figures found;
  one(how_much, "pinned_", cpus, found);
  stay_on(cpus);
  one(how_much, "free_", std::nullopt, found);
  return found;
}

}  // namespace

figures round_trip_hardstop(effort how_much) {
  return both_placements(how_much, measure_pool);
}

figures round_trip_ring(effort how_much) {
  return both_placements(how_much, measure_ring);
}

}  // namespace bench
