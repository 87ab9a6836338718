// The heap of timers: earliest first, whatever is armed, moved and disarmed in between.
#include "schedule/timer.hpp"

#include <memory>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace hardstop::schedule {
namespace {

constexpr instant at(std::int64_t when) {
  return instant{duration{when}};
}

TEST(Timers, SaturateWhenTheyAreTooFar) {
  EXPECT_EQ(later(at(5), forever), never);
  EXPECT_EQ(later(at(5), forever - duration{6}), never - duration{1});
  EXPECT_EQ(later(at(5), duration{7}), at(12));
}

TEST(Timers, ThatAreNeverDueAreNotArmed) {
  timer_heap timers;
  timer one{timer_kind::job};
  timers.arm(one, at(5));
  timers.arm(one, never);
  EXPECT_FALSE(one.armed());
  EXPECT_FALSE(timers.earliest());
}

TEST(Timers, AgreeWithASortedSet) {
  std::mt19937_64 chance{4711};
  timer_heap timers;
  std::vector<std::unique_ptr<timer>> all;
  std::set<std::pair<instant, timer*>> sorted;
  for (int count = 0; count < 300; ++count)
    all.push_back(std::make_unique<timer>(timer_kind::job));
  instant now = at(0);
  for (int step = 0; step < 100'000; ++step) {
    timer& one = *all[chance() % all.size()];
    if (one.armed()) sorted.erase({one.due, &one});
    if (chance() % 3 == 0) {
      timers.disarm(one);
    } else {
      timers.arm(one, now + duration{static_cast<std::int64_t>(chance() % 1000)});
      sorted.insert({one.due, &one});
    }
    if (chance() % 4 == 0) now += duration{static_cast<std::int64_t>(chance() % 100)};
    while (timer* const due = timers.take_due(now)) {
      ASSERT_FALSE(sorted.empty());
      ASSERT_EQ(due->due, sorted.begin()->first);
      ASSERT_LE(due->due, now);
      ASSERT_EQ(sorted.erase({due->due, due}), 1U);
    }
    ASSERT_EQ(timers.size(), sorted.size());
    if (!sorted.empty()) {
      ASSERT_EQ(*timers.earliest(), sorted.begin()->first);
      ASSERT_GT(*timers.earliest(), now);
    }
  }
}

}  // namespace
}  // namespace hardstop::schedule
