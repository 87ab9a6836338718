// How a pool ends: no new jobs, then no jobs, then no workers, then no guardian.
#include <gtest/gtest.h>

#include "schedule/stage.hpp"

namespace hardstop::schedule {
namespace {

void everybody_leaves(stage& scene) {
  scene.all_up();
  for (const auto& each : scene.workers) {
    if (!each->discarded && (each->asked_to_leave || each->killed)) scene.gone(*each, exited(0));
  }
}

TEST(Shutdown, OfAPoolThatWasNeverBornIsOverAtOnce) {
  stage scene;
  scene.engine.shut_down(scene.home, pending::run, std::nullopt, scene.now);
  EXPECT_TRUE(scene.is_closed);
}

TEST(Shutdown, LetsEverythingFinishFirst) {
  stage scene;
  stage_job& a = scene.running();
  stage_job& b = scene.submit();
  scene.engine.shut_down(scene.home, pending::run, std::nullopt, scene.now);
  EXPECT_FALSE(scheduler::accepts(scene.home));
  EXPECT_EQ(scene.submit().how.why, why_not_started::shutdown);
  scene.finish(a);
  scene.finish(b);
  EXPECT_EQ(b.how.kind, end_kind::finished);
  EXPECT_FALSE(scene.dismissed);
  everybody_leaves(scene);
  EXPECT_TRUE(scene.dismissed);
  EXPECT_FALSE(scene.is_closed);
  scene.engine.guardian_gone(scene.home, scene.now);
  EXPECT_TRUE(scene.is_closed);
  EXPECT_EQ(scene.engine.timers_armed(), 0U);
}

TEST(Shutdown, EndsWhatHasNotStartedIfToldTo) {
  stage scene{{.workers = 1, .spares = 0}};
  stage_job& running = scene.running();
  stage_job& in_lane = scene.submit();
  stage_job& queued = scene.submit();
  scene.engine.shut_down(scene.home, pending::cancel, std::nullopt, scene.now);
  EXPECT_EQ(in_lane.how.kind, end_kind::not_started);
  EXPECT_EQ(queued.how.why, why_not_started::shutdown);
  EXPECT_FALSE(running.done);
}

TEST(Shutdown, KillsAtItsTimeLimit) {
  stage scene;
  stage_job& a = scene.running();
  stage_worker& its = scene.of(a);
  stage_job& queued = scene.submit();
  stage_job& too = scene.submit();
  scene.engine.shut_down(scene.home, pending::run, scene.now + seconds(3), scene.now);
  scene.pass(milliseconds(2999));
  EXPECT_FALSE(its.killed);
  scene.pass(milliseconds(1));
  EXPECT_TRUE(its.killed);
  EXPECT_EQ(queued.how.kind, end_kind::not_started);
  EXPECT_TRUE(too.done);
  scene.gone(its, killed_by(9));
  EXPECT_EQ(a.how.kind, end_kind::cancelled);
  EXPECT_EQ(a.how.reason, stop_reason::shutdown);
  everybody_leaves(scene);
  scene.engine.guardian_gone(scene.home, scene.now);
  EXPECT_TRUE(scene.is_closed);
}

TEST(Shutdown, MayBeSharpenedAndIsNeverSoftened) {
  stage scene;
  stage_job& a = scene.running();
  scene.engine.shut_down(scene.home, pending::run, scene.now + seconds(10), scene.now);
  scene.engine.shut_down(scene.home, pending::run, scene.now + seconds(1), scene.now);
  scene.engine.shut_down(scene.home, pending::run, scene.now + seconds(100), scene.now);
  scene.engine.shut_down(scene.home, pending::run, std::nullopt, scene.now);
  scene.pass(seconds(1));
  EXPECT_TRUE(scene.of(a).killed);
}

TEST(Shutdown, IsCompletedByTheLastCancel) {
  stage scene;
  stage_job& only = scene.submit();
  scene.engine.shut_down(scene.home, pending::run, std::nullopt, scene.now);
  scene.engine.cancel(only, cancel_mode::kill, duration::zero(), scene.now);
  scene.engine.guardian_up(scene.home, scene.now);
  EXPECT_TRUE(scene.dismissed);
}

TEST(Shutdown, RunsWhatWaitsEvenIfTheGuardianIsLostMeanwhile) {
  stage scene{{.workers = 1, .spares = 0}};
  stage_job& a = scene.running();
  stage_job& waiting = scene.submit();
  scene.engine.shut_down(scene.home, pending::run, std::nullopt, scene.now);
  stage_worker& its = scene.of(a);
  scene.engine.guardian_lost(scene.home, scene.now);
  scene.gone(its, lost_its_guardian());
  scene.engine.guardian_gone(scene.home, scene.now);
  EXPECT_EQ(scene.births, 2);
  scene.all_up();
  scene.finish(waiting);
  EXPECT_EQ(waiting.how.kind, end_kind::finished);
}

TEST(Shutdown, OfABrokenPoolIsOverWhenItsWorkersAreGone) {
  stage scene{{.births_before_broken = 1}};
  scene.submit();
  scene.engine.birth_failed(scene.home, "no memory", scene.now);
  ASSERT_EQ(scene.home.intake, intake::broken);
  scene.engine.shut_down(scene.home, pending::run, std::nullopt, scene.now);
  EXPECT_TRUE(scene.is_closed);
}

TEST(Shutdown, AsksWorkersThatAreStillStartingToLeave) {
  stage scene{{.workers = 1, .spares = 1, .retire_timeout = seconds(5)}};
  stage_job& a = scene.submit();
  scene.engine.guardian_up(scene.home, scene.now);
  scene.engine.worker_ready(*scene.starting(), scene.now);
  stage_worker& spare = *scene.starting();
  scene.engine.shut_down(scene.home, pending::run, std::nullopt, scene.now);
  scene.finish(a);
  EXPECT_TRUE(spare.asked_to_leave);
  EXPECT_FALSE(spare.killed);
  scene.pass(seconds(5));
  EXPECT_TRUE(spare.killed) << "but not for ever";
}

}  // namespace
}  // namespace hardstop::schedule
