// The scheduler against random histories with faults at every step (G1-G4, G6-G8).
//
//   HARDSTOP_SIM_SEED=<n>    replays one history, and prints its end if it fails
//   HARDSTOP_SIM_EVENTS=<n>  how many scheduler events to run in all
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>

#include <gtest/gtest.h>

#include "simulation/world.hpp"

namespace {

using hardstop::simulation::violation;
using hardstop::simulation::world;

// A sanitizer makes it ten times slower.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t usual_events = 300'000;
#else
constexpr std::uint64_t usual_events = 2'000'000;
#endif

// Fewer say nothing about how often something happens.
constexpr std::uint64_t telling_events = 1'000'000;

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text != nullptr ? std::stoull(text) : otherwise;
}

// The same history again, this time with a trace.
void explain(std::uint64_t seed) {
  world again(seed, true);
  try {
    again.run();
  } catch (const violation&) {
    for (const std::string& line : again.trace())
      std::cerr << line << '\n';
    std::cerr << again.picture();
  }
}

// Returns the number of events.
std::size_t history(std::uint64_t seed, world::counts& seen) {
  world model(seed, false);
  try {
    model.run();
  } catch (const violation& broken) {
    explain(seed);
    ADD_FAILURE() << "broken promise: " << broken.what() << "\nafter " << model.events()
                  << " events; replay with HARDSTOP_SIM_SEED=" << seed;
  }
  for (const auto& [what, often] : model.tally())
    seen[what] += often;
  return model.events();
}

TEST(Simulation, KeepsEveryPromiseInEveryHistory) {
  if (const std::uint64_t seed = number_from("HARDSTOP_SIM_SEED", 0); seed != 0) {
    world::counts seen;
    history(seed, seen);
    return;
  }
  const std::uint64_t wanted = number_from("HARDSTOP_SIM_EVENTS", usual_events);
  std::uint64_t seed = number_from("HARDSTOP_SIM_FIRST", 1);
  std::uint64_t events = 0;
  world::counts seen;
  for (; events < wanted && !HasFailure(); ++seed)
    events += history(seed, seen);
  RecordProperty("events", std::to_string(events));
  std::cout << events << " events in " << seed - 1 << " histories\n";
  // A history in which nothing happens keeps every promise.
  for (const char* const what : {"finished",
                                 "cancelled",
                                 "timed out",
                                 "worker died",
                                 "memory limit",
                                 "not started",
                                 "killed by cancel",
                                 "killed by deadline",
                                 "killed for memory",
                                 "killed by shutdown",
                                 "killed for garbage",
                                 "killed while retiring",
                                 "killed while starting",
                                 "settle",
                                 "taken back",
                                 "too late to take back",
                                 "finished before the kill",
                                 "pool broken",
                                 "unconfirmed",
                                 "died with the guardian",
                                 "ran again",
                                 "granted to a job",
                                 "granted to an attempt",
                                 "granted to the client",
                                 "granted after a wait",
                                 "kept for ever",
                                 "told that it is abandoned",
                                 "called in vain"}) {
    if (events >= telling_events) {
      EXPECT_GT(seen[what] * 100'000, events) << what << " hardly ever happens";
    }
    if (std::getenv("HARDSTOP_SIM_TALLY") != nullptr)
      std::cout << what << ": " << seen[what] << '\n';
  }
}

}  // namespace
