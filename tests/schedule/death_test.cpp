// What a dead worker's jobs come to (G1, G4, G12).
#include <gtest/gtest.h>

#include "schedule/stage.hpp"

namespace hardstop::schedule {
namespace {

pool_policy one_worker() {
  return {.workers = 1, .spares = 0};
}

TEST(Death, EndsTheRunningJobAndNoOther) {
  stage scene{one_worker()};
  stage_job& victim = scene.running();
  stage_job& behind = scene.submit();
  ASSERT_EQ(behind.worker, victim.worker);
  scene.gone(scene.of(victim), killed_by(11));
  EXPECT_EQ(victim.how.kind, end_kind::worker_died);
  EXPECT_EQ(victim.how.worker_death->signal, 11);
  scene.all_up();
  EXPECT_EQ(behind.state, job_state::in_lane) << "it never began, so it begins now";
}

TEST(Death, OfAWorkerThatHadNotBegunHarmsNobody) {
  stage scene{one_worker()};
  stage_job& waiting = scene.submit();
  scene.all_up();
  scene.gone(scene.of(waiting));
  scene.all_up();
  EXPECT_EQ(waiting.state, job_state::in_lane);
  EXPECT_EQ(waiting.attempt, 1);
}

TEST(Death, IsRetriedAsOftenAsTheJobAllows) {
  stage scene{one_worker()};
  stage_job& a = scene.job();
  a.retries = 2;
  scene.submit(a);
  for (int attempt = 1; attempt <= 3; ++attempt) {
    scene.all_up();
    ASSERT_EQ(a.attempt, attempt);
    scene.begin(a);
    scene.gone(scene.of(a));
  }
  ASSERT_TRUE(a.done);
  EXPECT_EQ(a.how.kind, end_kind::worker_died);
}

TEST(Death, ARetryGoesInFront) {
  stage scene{one_worker()};
  stage_job& a = scene.running();
  a.retries = 1;
  scene.submit();
  scene.submit();
  scene.gone(scene.of(a));
  EXPECT_EQ(scene.home.jobs.front(), &a);
}

TEST(Death, IsNotRetriedWhileSomethingOfItMayLive) {
  stage scene{one_worker()};
  stage_job& a = scene.running();
  a.retries = 5;
  death unkillable = killed_by(9);
  unkillable.unconfirmed_pid = 4321;
  scene.gone(scene.of(a), unkillable);
  ASSERT_TRUE(a.done);
  EXPECT_EQ(a.how.worker_death->unconfirmed_pid, 4321);
}

TEST(Death, ARetryThatNeverRanDoesNotSayThatItsJobNeverRan) {
  stage scene{one_worker()};
  stage_job& a = scene.running();
  a.retries = 1;
  scene.gone(scene.of(a));
  ASSERT_EQ(a.state, job_state::queued);
  scene.engine.shut_down(scene.home, pending::cancel, std::nullopt, scene.now);
  ASSERT_TRUE(a.done);
  EXPECT_TRUE(a.how.started);
  EXPECT_NE(a.how.kind, end_kind::not_started);
}

TEST(Results, AreAcceptedFromTheFrontOfTheLaneOnly) {
  stage scene{one_worker()};
  stage_job& a = scene.running();
  stage_job& b = scene.submit();
  stage_worker& its = scene.of(a);
  EXPECT_FALSE(scene.engine.finished(its, b.ticket, scene.now));
  EXPECT_FALSE(scene.engine.finished(its, ticket{999'999}, scene.now));
  EXPECT_FALSE(scene.engine.finished(its, ticket::none, scene.now));
  const ticket first = a.ticket;
  EXPECT_TRUE(scene.engine.finished(its, first, scene.now));
  EXPECT_FALSE(scene.engine.finished(its, first, scene.now)) << "once";
}

TEST(Garbage, KillsItsWorkerAndSavesWhatHasNotBegun) {
  stage scene{one_worker()};
  stage_job& wild = scene.running();
  stage_job& behind = scene.submit();
  stage_worker& its = scene.of(wild);
  scene.engine.corrupt(its, scene.now);
  EXPECT_TRUE(its.killed);
  scene.engine.corrupt(its, scene.now);
  scene.gone(its);
  EXPECT_EQ(wild.how.kind, end_kind::worker_died);
  EXPECT_EQ(wild.how.reason, stop_reason::garbage);
  scene.all_up();
  EXPECT_EQ(behind.state, job_state::in_lane);
}

// Of an honest worker at most one claimed frame is left. Nobody can tell which of several ran.
TEST(Garbage, SeveralClaimedFramesOfADeadWorkerAllCountAsRun) {
  stage scene{one_worker()};
  stage_job& a = scene.running();
  stage_job& b = scene.submit();
  scene.begin(b);
  scene.gone(scene.of(a));
  EXPECT_EQ(a.how.kind, end_kind::worker_died);
  EXPECT_EQ(b.how.kind, end_kind::worker_died) << "no job may run twice unless it allows that";
  EXPECT_EQ(b.how.reason, stop_reason::garbage);
}

TEST(GuardianLost, EndsWhatRanAndRunsWhatDidNot) {
  stage scene{one_worker()};
  stage_job& ran = scene.running();
  stage_job& behind = scene.submit();
  stage_job& queued = scene.submit();
  stage_worker& its = scene.of(ran);
  scene.engine.guardian_lost(scene.home, scene.now);
  EXPECT_FALSE(ran.done) << "G2: not before the tree is gone";
  scene.gone(its, lost_its_guardian());
  EXPECT_EQ(ran.how.kind, end_kind::worker_died);
  EXPECT_TRUE(ran.how.worker_death->guardian_lost);
  scene.engine.guardian_gone(scene.home, scene.now);
  EXPECT_EQ(scene.births, 2);
  scene.all_up();
  EXPECT_EQ(behind.state, job_state::in_lane);
  scene.finish(behind);
  EXPECT_EQ(queued.state, job_state::in_lane);
}

TEST(GuardianLost, KeepsTheReasonOfAKillThatWasUnderWay) {
  stage scene;
  stage_job& a = scene.running();
  stage_worker& its = scene.of(a);
  scene.engine.cancel(a, cancel_mode::kill, duration::zero(), scene.now);
  scene.engine.guardian_lost(scene.home, scene.now);
  scene.gone(its, lost_its_guardian());
  EXPECT_EQ(a.how.kind, end_kind::cancelled);
}

TEST(GuardianLost, WithoutNoticeIsTakenAsLost) {
  stage scene{one_worker()};
  stage_job& a = scene.running();
  stage_job& next = scene.submit();
  scene.gone(scene.of(a), lost_its_guardian());
  EXPECT_EQ(scene.starting(), nullptr) << "nobody is asked of a guardian that is gone";
  scene.engine.guardian_gone(scene.home, scene.now);
  EXPECT_EQ(scene.births, 2);
  scene.all_up();
  EXPECT_EQ(next.state, job_state::in_lane);
}

}  // namespace
}  // namespace hardstop::schedule
