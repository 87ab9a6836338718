// How deep lanes are: deep for tiny jobs, flat for long ones, and not misled by a reader that comes
// late.
#include "schedule/depth.hpp"

#include <gtest/gtest.h>

namespace hardstop::schedule {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

void run(lane_depth& depth, int jobs, duration each) {
  for (int count = 0; count < jobs; ++count)
    depth.measure(1, each, std::nullopt, lane_left::busy);
}

TEST(LaneDepth, IsTwoWhileNothingIsKnown) {
  EXPECT_EQ(lane_depth{}.value(), 2U);
}

TEST(LaneDepth, FollowsTheJobTime) {
  lane_depth depth;
  run(depth, 20, microseconds(1));
  EXPECT_GE(depth.value(), 256U);
  run(depth, 40, microseconds(50));
  EXPECT_GE(depth.value(), 4U);
  EXPECT_LE(depth.value(), 16U);
  run(depth, 40, milliseconds(5));
  EXPECT_EQ(depth.value(), 1U);
}

TEST(LaneDepth, IsFlatSoonAfterJobsBecomeLong) {
  lane_depth depth;
  run(depth, 1000, microseconds(1));
  run(depth, 16, seconds(1));
  EXPECT_EQ(depth.value(), 1U);
}

TEST(LaneDepth, IsDeepAgainSoonAfterOneLongJob) {
  lane_depth depth;
  run(depth, 1000, microseconds(1));
  run(depth, 1, seconds(60));
  run(depth, 40, microseconds(1));
  EXPECT_GE(depth.value(), 256U);
}

TEST(LaneDepth, DoesNotFlutterAroundABoundary) {
  lane_depth depth;
  run(depth, 100, microseconds(9));
  int changes = 0;
  for (int count = 0; count < 100; ++count) {
    const std::size_t before = depth.value();
    depth.measure(1, microseconds(count % 2 == 0 ? 8 : 13), std::nullopt, lane_left::busy);
    if (depth.value() != before) ++changes;
  }
  EXPECT_EQ(changes, 0);
}

TEST(LaneDepth, TakesTheWorkersWordForABatchThatWasReadLate) {
  lane_depth depth;
  for (int count = 0; count < 20; ++count) {
    depth.measure(2, milliseconds(5), microseconds(3), lane_left::empty);
  }
  EXPECT_GE(depth.value(), 256U);
}

// A reader that comes every 5 ms finds each lane empty and all its jobs finished.
TEST(LaneDepth, GrowsWhenTheReaderIsAlwaysLate) {
  lane_depth depth;
  run(depth, 100, milliseconds(5));
  ASSERT_EQ(depth.value(), 1U);
  for (int count = 0; count < 200; ++count) {
    depth.measure(std::min<std::size_t>(depth.for_refill(), 256), milliseconds(5), std::nullopt,
                  lane_left::empty);
  }
  EXPECT_GE(depth.value(), 256U);
}

TEST(LaneDepth, GivesNoSecondFrameToAWorkerWhoseJobsTakeSeconds) {
  lane_depth depth;
  run(depth, 100, seconds(1));
  for (int count = 0; count < 100; ++count)
    EXPECT_EQ(depth.for_refill(), 1U);
}

}  // namespace
}  // namespace hardstop::schedule
