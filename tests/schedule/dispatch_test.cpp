// Which worker gets which job, and what is taken back from whom.
#include <gtest/gtest.h>

#include "schedule/stage.hpp"

namespace hardstop::schedule {
namespace {

pool_policy two_workers() {
  return {.workers = 2, .spares = 0};
}

TEST(Dispatch, BeginsWithTheFirstSubmit) {
  stage scene;
  EXPECT_EQ(scene.births, 0);
  stage_job& first = scene.submit();
  EXPECT_EQ(scene.births, 1);
  scene.submit();
  EXPECT_EQ(scene.births, 1) << "one guardian serves all";
  EXPECT_EQ(first.state, job_state::queued);
  scene.all_up();
  EXPECT_EQ(first.state, job_state::in_lane);
  EXPECT_EQ(first.attempt, 1);
}

TEST(Dispatch, PrefersAnIdleWorker) {
  stage scene{two_workers()};
  stage_job& a = scene.submit();
  stage_job& b = scene.submit();
  scene.all_up();
  EXPECT_NE(a.worker, b.worker);
}

TEST(Dispatch, KeepsTheOrderOfAcceptance) {
  stage scene{{.workers = 1, .spares = 0, .max_lane_depth = 1}};
  std::vector<stage_job*> jobs;
  for (int count = 0; count < 5; ++count)
    jobs.push_back(&scene.submit());
  scene.all_up();
  for (stage_job* const each : jobs)
    scene.finish(*each);
  EXPECT_EQ(scene.order, jobs);
}

TEST(Dispatch, GivesEveryAttemptAFreshTicket) {
  stage scene{two_workers()};
  stage_job& a = scene.running();
  const ticket first = a.ticket;
  a.retries = 1;
  scene.gone(scene.of(a));
  scene.all_up();
  EXPECT_GT(a.ticket, first);
  EXPECT_EQ(a.attempt, 2);
}

TEST(Dispatch, HigherPriorityTakesBackLowerFramesFromLanes) {
  stage scene{{.workers = 1, .spares = 0}};
  stage_job& a = scene.running();
  stage_job& low = scene.submit();
  ASSERT_EQ(low.state, job_state::in_lane) << "two frames may wait while nothing is known";
  stage_job& high = scene.submit(scene.job(5));
  EXPECT_EQ(low.state, job_state::queued);
  scene.finish(a);
  EXPECT_EQ(high.state, job_state::in_lane);
  EXPECT_EQ(low.state, job_state::queued);
  scene.finish(high);
  EXPECT_EQ(low.state, job_state::in_lane);
  EXPECT_EQ(low.attempt, 1) << "a frame that was taken back was no attempt";
}

TEST(Dispatch, LowerPriorityLeavesLanesAlone) {
  stage scene{{.workers = 1, .spares = 0}};
  scene.running();
  stage_job& next = scene.submit();
  stage_job& low = scene.submit(scene.job(-5));
  EXPECT_EQ(next.state, job_state::in_lane);
  EXPECT_EQ(low.state, job_state::queued);
}

// A long job holds nobody hostage.
TEST(Dispatch, AnIdleWorkerTakesOverWhatWaitsBehindAnother) {
  stage scene{two_workers()};
  stage_job& a = scene.submit();
  scene.engine.guardian_up(scene.home, scene.now);
  scene.engine.worker_ready(*scene.starting(), scene.now);
  scene.begin(a);
  stage_job& hostage = scene.submit();
  ASSERT_EQ(hostage.worker, a.worker);
  scene.all_up();
  EXPECT_NE(hostage.worker, a.worker) << "the second worker got ready";
}

TEST(Dispatch, AnIdleWorkerTakesOverHalfOfTheFullestLane) {
  stage scene{two_workers()};
  stage_job& first = scene.submit();
  stage_job& second = scene.submit();
  scene.all_up();
  scene.finish(first);
  scene.finish(second);
  for (int count = 0; count < 50; ++count) {  // tiny jobs make lanes deep
    stage_job& tiny = scene.submit();
    scene.now += microseconds(1);
    scene.finish(tiny);
  }
  stage_job& a = scene.submit();
  stage_job& b = scene.submit();
  ASSERT_NE(a.worker, b.worker);
  std::vector<stage_job*> waiting;
  for (int count = 0; count < 20; ++count)
    waiting.push_back(&scene.submit());
  scene.begin(a);
  worker& busy = *a.worker;
  worker& other = *b.worker;
  scene.finish(b);
  const std::size_t before = busy.lane.size();
  while (!other.lane.empty())
    scene.finish(static_cast<stage_job&>(*other.lane.front()));
  EXPECT_EQ(busy.lane.size(), 1U) << "from " << before << ", half by half";
  for (const stage_job* const each : waiting)
    EXPECT_TRUE(each->done);
}

// Nobody is idle while the queue is not empty, so nobody steals; yet what waits behind a job that
// has become long must not be overtaken by everything in the queue.
TEST(Dispatch, ALaneThatStandsStillGivesItsFramesBackToTheQueue) {
  stage scene{two_workers()};
  stage_job& a = scene.submit();
  stage_job& b = scene.submit();
  scene.all_up();
  stage_job& behind_a = scene.submit();
  stage_job& behind_b = scene.submit();
  ASSERT_EQ(behind_a.worker, a.worker);
  stage_job& queued = scene.submit();
  scene.submit();
  ASSERT_EQ(queued.state, job_state::queued);
  scene.begin(a);
  scene.now += seconds(1);
  worker& busy = *a.worker;
  scene.finish(b);
  scene.finish(behind_b);
  EXPECT_EQ(busy.lane.size(), 1U);
  EXPECT_EQ(behind_a.state, job_state::in_lane);
  EXPECT_NE(behind_a.worker, &busy);
  EXPECT_EQ(queued.state, job_state::queued) << "it was accepted later";
}

TEST(Dispatch, AFullLaneIsTriedAgainWhenItDrains) {
  stage scene{{.workers = 1, .spares = 0}};
  stage_job& a = scene.running();
  scene.of(a).capacity = 1;
  stage_job& b = scene.submit();
  EXPECT_EQ(b.state, job_state::queued);
  scene.finish(a);
  EXPECT_EQ(b.state, job_state::in_lane);
}

// Frames that were taken back take up room until their worker has skipped them, of which it says
// nothing.
TEST(Dispatch, AFullLaneWithoutAJobIsTriedAgainSoon) {
  stage scene{{.workers = 1, .spares = 0}};
  stage_job& a = scene.running();
  stage_worker& only = scene.of(a);
  scene.finish(a);
  only.capacity = 0;
  stage_job& b = scene.submit();
  EXPECT_EQ(b.state, job_state::queued);
  only.capacity = 10;
  scene.pass(milliseconds(2));
  EXPECT_EQ(b.state, job_state::in_lane);
}

TEST(Dispatch, AJobThatSealsItsLaneHasNobodyBehindIt) {
  stage scene{{.workers = 1, .spares = 0}};
  stage_job& sealing = scene.job();
  sealing.seals_lane = true;
  scene.submit(sealing);
  scene.all_up();
  stage_job& next = scene.submit();
  EXPECT_EQ(next.state, job_state::queued);
  scene.finish(sealing);
  EXPECT_EQ(next.state, job_state::in_lane);
}

TEST(Dispatch, ARecycledWorkerLeavesBeforeAnythingElseRunsThere) {
  stage scene{{.workers = 1, .spares = 0}};
  stage_job& sealing = scene.job();
  sealing.seals_lane = true;
  scene.submit(sealing);
  scene.all_up();
  stage_job& next = scene.submit();
  stage_worker& first = scene.of(sealing);
  scene.engine.finished(first, sealing.ticket, scene.now);
  scene.engine.recycle(first, scene.now);
  scene.engine.lane_drained(first, 1, scene.now);
  EXPECT_TRUE(first.asked_to_leave);
  scene.all_up();
  EXPECT_EQ(next.state, job_state::in_lane);
  EXPECT_NE(next.worker, &first);
}

TEST(Dispatch, PoolsDoNotShareWorkers) {
  stage scene{two_workers()};
  pool other;
  scene.engine.open(other, two_workers());
  stage_job& here = scene.running();
  stage_job& there = scene.job();
  scene.engine.submit(other, there, scene.now);
  EXPECT_EQ(there.state, job_state::queued);
  EXPECT_EQ(scene.births, 2);
  scene.engine.guardian_up(other, scene.now);
  scene.all_up();
  EXPECT_EQ(there.state, job_state::in_lane);
  EXPECT_NE(there.worker->pool, here.worker->pool);
}

// Workers come up one after the other, and the first one is given two jobs.
TEST(Dispatch, TheOldestBeginFirstWhileNothingIsKnownOfTheirLength) {
  stage scene({.workers = 2});
  std::vector<stage_job*> jobs;
  for (int number = 0; number < 4; ++number)
    jobs.push_back(&scene.submit());
  scene.all_up();
  EXPECT_TRUE(scene.of(*jobs[0]).lane.front() == jobs[0]);
  EXPECT_TRUE(scene.of(*jobs[1]).lane.front() == jobs[1]);
}

}  // namespace
}  // namespace hardstop::schedule
