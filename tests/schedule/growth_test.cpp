// When workers, spares and guardians are started, when they leave, and when starting them is given
// up.
#include <gtest/gtest.h>

#include "schedule/stage.hpp"

namespace hardstop::schedule {
namespace {

TEST(Growth, FollowsDemand) {
  stage scene{{.workers = 3, .spares = 0}};
  scene.submit();
  scene.all_up();
  EXPECT_EQ(scene.workers.size(), 1U);
  scene.submit();
  EXPECT_EQ(scene.workers.size(), 2U);
  scene.all_up();
  for (int count = 0; count < 20; ++count)
    scene.submit();
  scene.all_up();
  EXPECT_EQ(scene.workers.size(), 3U);
  EXPECT_EQ(scheduler::picture(scene.home).running, 3U);
}

TEST(Growth, SparesDoNotDelayTheFirstResult) {
  stage scene{{.workers = 1, .spares = 2}};
  scene.submit();
  scene.engine.guardian_up(scene.home, scene.now);
  EXPECT_EQ(scene.workers.size(), 1U) << "the first worker alone";
  scene.all_up();
  EXPECT_EQ(scene.workers.size(), 3U);
  EXPECT_EQ(scheduler::picture(scene.home).spares, 2U);
}

TEST(Growth, IsFilledWhenAsked) {
  stage scene{{.workers = 3, .spares = 0}};
  scene.engine.fill(scene.home, scene.now);
  EXPECT_EQ(scene.workers.size(), 0U) << "nothing is born before the first job";
  scene.submit();
  scene.all_up();
  EXPECT_EQ(scene.workers.size(), 1U);
  scene.engine.fill(scene.home, scene.now);
  EXPECT_EQ(scene.workers.size(), 3U);
  scene.all_up();
  EXPECT_EQ(scheduler::picture(scene.home).idle, 2U);
}

TEST(Growth, IsNotFilledAtTheEnd) {
  stage scene{{.workers = 3, .spares = 0}};
  stage_job& a = scene.running();
  scene.engine.shut_down(scene.home, pending::run, std::nullopt, scene.now);
  scene.engine.fill(scene.home, scene.now);
  EXPECT_EQ(scene.workers.size(), 1U);
  scene.finish(a);
}

TEST(Growth, ASpareTakesTheSlotOfWhoeverDies) {
  stage scene;
  stage_job& a = scene.running();
  stage_job& next = scene.submit();
  scene.gone(scene.of(a));
  EXPECT_EQ(next.state, job_state::in_lane);
  scene.all_up();
  EXPECT_EQ(scheduler::picture(scene.home).spares, 1U);
  EXPECT_EQ(scene.home.counters.respawns, 1U);
}

TEST(Growth, AUsedUpWorkerIsReplacedBeforeItLeaves) {
  stage scene{{.workers = 1, .spares = 0, .max_jobs_per_worker = 2}};
  stage_job& a = scene.submit();
  scene.all_up();
  stage_worker& first = scene.of(a);
  EXPECT_EQ(scene.workers.size(), 1U);
  stage_job& b = scene.submit();
  EXPECT_EQ(scene.workers.size(), 2U) << "its quota is dispatched";
  scene.all_up();
  stage_job& c = scene.submit();
  EXPECT_EQ(c.state, job_state::queued) << "and still only one attempt at a time";
  scene.finish(a);
  scene.finish(b);
  EXPECT_TRUE(first.asked_to_leave);
  EXPECT_EQ(c.state, job_state::in_lane);
}

TEST(Growth, IdleWorkersLeave) {
  stage scene{{.workers = 3, .spares = 0, .min_workers = 1, .idle_timeout = seconds(10)}};
  std::vector<stage_job*> jobs;
  for (int count = 0; count < 3; ++count)
    jobs.push_back(&scene.submit());
  scene.all_up();
  for (stage_job* const each : jobs)
    scene.finish(*each);
  scene.pass(seconds(9));
  EXPECT_EQ(scheduler::picture(scene.home).idle, 3U);
  scene.pass(seconds(2));
  EXPECT_EQ(scheduler::picture(scene.home).idle, 1U);
  EXPECT_EQ(scheduler::picture(scene.home).retiring, 2U);
  scene.pass(seconds(100));
  EXPECT_EQ(scheduler::picture(scene.home).idle, 1U);
}

TEST(Growth, AnIdlePoolWakesNobody) {
  stage scene{{.workers = 2, .spares = 1, .idle_timeout = seconds(1)}};
  scene.finish(scene.running());
  scene.pass(seconds(10));
  for (const auto& each : scene.workers) {
    if (!each->discarded) scene.gone(*each, exited(0));
  }
  EXPECT_FALSE(scene.engine.next_timer());
  stage forever_warm;
  forever_warm.finish(forever_warm.running());
  EXPECT_FALSE(forever_warm.engine.next_timer());
}

TEST(Growth, AWorkerThatDoesNotLeaveIsKilled) {
  stage scene{{.workers = 1, .spares = 0, .max_jobs_per_worker = 1, .retire_timeout = seconds(5)}};
  stage_job& a = scene.submit();
  scene.all_up();
  stage_worker& first = scene.of(a);
  scene.finish(a);
  scene.pass(milliseconds(4999));
  EXPECT_FALSE(first.killed);
  scene.pass(milliseconds(1));
  EXPECT_TRUE(first.killed);
}

TEST(CrashLoop, IsSlowedDown) {
  stage scene{{.workers = 1, .spares = 0, .births_before_broken = 100}};
  scene.submit();
  scene.engine.guardian_up(scene.home, scene.now);
  scene.gone(*scene.starting(), exited(1));
  ASSERT_NE(scene.starting(), nullptr) << "the first time at once";
  scene.gone(*scene.starting(), exited(1));
  EXPECT_EQ(scene.starting(), nullptr);
  scene.pass(milliseconds(10));
  ASSERT_NE(scene.starting(), nullptr);
  for (int count = 0; count < 20; ++count) {
    scene.gone(*scene.starting(), exited(1));
    scene.pass(seconds(1));
    ASSERT_NE(scene.starting(), nullptr) << "never later than after a second";
  }
}

TEST(CrashLoop, BreaksThePoolWithTheLastReason) {
  stage scene{{.workers = 2, .spares = 0, .births_before_broken = 3}};
  stage_job& a = scene.submit();
  stage_job& b = scene.submit();
  death failing = exited(7);
  failing.last_words = "initializer: no licence";
  scene.engine.guardian_up(scene.home, scene.now);
  for (int count = 0; count < 3 || scene.starting() != nullptr; ++count) {
    scene.pass(seconds(1));
    ASSERT_NE(scene.starting(), nullptr);
    EXPECT_TRUE(scheduler::accepts(scene.home));
    scene.gone(*scene.starting(), failing);
  }
  EXPECT_FALSE(scheduler::accepts(scene.home));
  EXPECT_EQ(scene.home.broken_reason, "initializer: no licence");
  EXPECT_EQ(a.how.kind, end_kind::not_started);
  EXPECT_EQ(a.how.why, why_not_started::pool_broken);
  EXPECT_TRUE(b.done);
  EXPECT_EQ(scene.submit().how.why, why_not_started::pool_broken);
}

TEST(CrashLoop, OfStartsKilledFromOutsideIsGivenMoreTime) {
  stage scene{{.workers = 1, .spares = 0, .births_before_broken = 2}};
  stage_job& waiting = scene.submit();
  scene.engine.guardian_up(scene.home, scene.now);
  for (int count = 0; count < 5; ++count) {
    ASSERT_NE(scene.starting(), nullptr);
    scene.gone(*scene.starting(), killed_by(9));
    scene.pass(seconds(1));
  }
  EXPECT_TRUE(scheduler::accepts(scene.home));
  ASSERT_NE(scene.starting(), nullptr);
  scene.gone(*scene.starting(), killed_by(9));
  EXPECT_FALSE(scheduler::accepts(scene.home)) << "nor does a job wait for ever";
  EXPECT_EQ(waiting.how.why, why_not_started::pool_broken);
}

TEST(CrashLoop, IsNotOneWhileJobsAreTheReason) {
  stage scene{{.workers = 1, .spares = 0, .births_before_broken = 2}};
  for (int count = 0; count < 10; ++count) {
    stage_job& crashing = scene.running();
    scene.gone(scene.of(crashing), killed_by(11));
    EXPECT_EQ(crashing.how.kind, end_kind::worker_died);
  }
  EXPECT_TRUE(scheduler::accepts(scene.home));
  EXPECT_EQ(scene.running().state, job_state::in_lane) << "and no back-off either";
}

TEST(CrashLoop, BreaksNothingWhileAWorkerLives) {
  stage scene{{.workers = 2, .spares = 0, .births_before_broken = 2}};
  stage_job& a = scene.running();
  scene.submit();
  scene.submit();
  for (int count = 0; count < 10; ++count) {
    scene.pass(seconds(1));
    ASSERT_NE(scene.starting(), nullptr);
    scene.gone(*scene.starting());
  }
  EXPECT_TRUE(scheduler::accepts(scene.home));
  EXPECT_FALSE(a.done);
}

TEST(CrashLoop, EndsWithoutWorkWaiting) {
  stage scene{{.workers = 1, .spares = 1}};
  scene.finish(scene.running());
  for (int count = 0; count < 4; ++count) {
    for (const auto& each : scene.workers) {
      if (!each->discarded && !each->proved) scene.gone(*each);
      if (scene.starting() != nullptr) break;
    }
    scene.pass(seconds(2));
  }
  EXPECT_LT(scene.workers.size(), 5U) << "a spare that cannot start is not tried for ever";
  EXPECT_FALSE(scene.engine.next_timer());
}

TEST(CrashLoop, AStartThatTakesTooLongIsAFailure) {
  stage scene{{.workers = 1, .spares = 0, .start_timeout = seconds(60), .births_before_broken = 1}};
  stage_job& a = scene.submit();
  scene.engine.guardian_up(scene.home, scene.now);
  stage_worker& slow = *scene.starting();
  scene.pass(seconds(60));
  EXPECT_TRUE(slow.killed);
  scene.gone(slow, killed_by(9));
  while (scene.starting() != nullptr)
    scene.gone(*scene.starting());
  EXPECT_TRUE(a.done);
  EXPECT_FALSE(scheduler::accepts(scene.home));
}

TEST(Birth, IsTriedAgainAndGivenUp) {
  stage scene{{.births_before_broken = 3}};
  stage_job& a = scene.submit();
  for (int count = 0; count < 3; ++count) {
    scene.pass(seconds(1));
    EXPECT_EQ(scene.births, count + 1);
    scene.engine.birth_failed(scene.home, "the host has threads: use forkserver", scene.now);
  }
  EXPECT_TRUE(a.done);
  EXPECT_EQ(scene.home.broken_reason, "the host has threads: use forkserver");
}

}  // namespace
}  // namespace hardstop::schedule
