// The course of a service against random histories (G8, G9).
//
//   HARDSTOP_SIM_SEED=<n>   replays one history, and prints it if it fails
#include <cstdlib>
#include <iostream>
#include <map>
#include <string>

#include <gtest/gtest.h>

#include "service/course_world.hpp"

namespace {

using hardstop::exit_status;
using hardstop::serving::broken_promise;
using hardstop::serving::course_world;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t histories = 500;
#else
constexpr std::uint64_t histories = 20000;
#endif

bool replay(std::uint64_t seed, std::map<exit_status, int>& seen) {
  course_world world(seed);
  try {
    world.run();
    ++seen[world.status()];
    return true;
  } catch (const broken_promise& broken) {
    for (const std::string& line : world.trace())
      std::cerr << line << '\n';
    ADD_FAILURE() << "broken promise: " << broken.what()
                  << "\nreplay with HARDSTOP_SIM_SEED=" << seed;
    return false;
  }
}

TEST(CourseSimulation, G9_AccountsForEveryJobWhateverFailsWhen) {
  std::map<exit_status, int> seen;
  if (const char* const seed = std::getenv("HARDSTOP_SIM_SEED")) {
    replay(std::stoull(seed), seen);
    return;
  }
  for (std::uint64_t seed = 1; seed <= histories; ++seed)
    ASSERT_TRUE(replay(seed, seen));
  // A test that never sees an end proves nothing about it.
  EXPECT_GT(seen[exit_status::success], static_cast<int>(histories / 50));
  EXPECT_GT(seen[exit_status::cut_short], static_cast<int>(histories / 50));
  EXPECT_GT(seen[exit_status::failure], static_cast<int>(histories / 50));
}

}  // namespace
