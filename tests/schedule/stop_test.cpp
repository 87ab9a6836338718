// Cancel, deadline and memory limit: what is stopped, when, and who is left alone (G3, G6, G8).
#include <gtest/gtest.h>

#include "schedule/stage.hpp"

namespace hardstop::schedule {
namespace {

constexpr duration no_grace{};

TEST(Cancel, EndsAQueuedJobAtOnce) {
  stage scene;
  stage_job& waiting = scene.submit();
  EXPECT_EQ(scene.engine.cancel(waiting, cancel_mode::ask, no_grace, scene.now),
            cancel_answer::accepted);
  ASSERT_TRUE(waiting.done);
  EXPECT_EQ(waiting.how.kind, end_kind::cancelled);
  EXPECT_FALSE(waiting.how.started);
}

TEST(Cancel, EndsAFrameThatCanBeTakenBackAtOnce) {
  stage scene;
  stage_job& waiting = scene.submit();
  scene.all_up();
  ASSERT_EQ(waiting.state, job_state::in_lane);
  scene.engine.cancel(waiting, cancel_mode::grace, seconds(5), scene.now);
  ASSERT_TRUE(waiting.done);
  EXPECT_FALSE(waiting.how.started);
  EXPECT_EQ(scene.killed(), 0U);
}

TEST(Cancel, TakesBackOnlyWhatHasNotStarted) {
  stage scene;
  stage_job& a = scene.running();
  stage_job& waiting = scene.submit();
  EXPECT_EQ(scene.engine.cancel(waiting, cancel_mode::take_back, no_grace, scene.now),
            cancel_answer::accepted);
  ASSERT_TRUE(waiting.done);
  EXPECT_FALSE(waiting.how.started);
  EXPECT_EQ(scene.engine.cancel(a, cancel_mode::take_back, no_grace, scene.now),
            cancel_answer::too_late);
  EXPECT_FALSE(scene.asked.contains(&a));
  scene.finish(a);
  EXPECT_EQ(a.how.kind, end_kind::finished);
  EXPECT_FALSE(a.how.cancel_was_requested);
}

TEST(Cancel, OfAnEndedJobIsTooLate) {
  stage scene;
  stage_job& a = scene.running();
  scene.finish(a);
  EXPECT_EQ(scene.engine.cancel(a, cancel_mode::kill, no_grace, scene.now),
            cancel_answer::too_late);
  EXPECT_EQ(scene.killed(), 0U);
}

TEST(Cancel, AsksAndDoesNothingElseIfThatIsWanted) {
  stage scene;
  stage_job& a = scene.running();
  scene.engine.cancel(a, cancel_mode::ask, no_grace, scene.now);
  EXPECT_TRUE(scene.asked.contains(&a));
  scene.pass(seconds(3600));
  EXPECT_EQ(scene.killed(), 0U);
  scene.finish(a);
  EXPECT_EQ(a.how.kind, end_kind::finished);
  EXPECT_TRUE(a.how.cancel_was_requested);
}

TEST(Cancel, KillsWhenTheGraceIsOver) {
  stage scene;
  stage_job& a = scene.running();
  stage_worker& its = scene.of(a);
  scene.engine.cancel(a, cancel_mode::grace, milliseconds(100), scene.now);
  EXPECT_TRUE(scene.asked.contains(&a));
  scene.pass(milliseconds(99));
  EXPECT_FALSE(its.killed);
  scene.pass(milliseconds(1));
  EXPECT_TRUE(its.killed);
  EXPECT_FALSE(a.done) << "G2: not before the tree is gone";
  scene.gone(its, killed_by(9));
  EXPECT_EQ(a.how.kind, end_kind::cancelled);
  EXPECT_TRUE(a.how.started);
  EXPECT_EQ(a.how.worker_death->signal, 9);
}

TEST(Cancel, AgainMayShortenTheGraceAndNeverLengthenIt) {
  stage scene;
  stage_job& a = scene.running();
  scene.engine.cancel(a, cancel_mode::grace, milliseconds(100), scene.now);
  scene.engine.cancel(a, cancel_mode::grace, seconds(100), scene.now);
  scene.engine.cancel(a, cancel_mode::grace, milliseconds(50), scene.now);
  scene.pass(milliseconds(49));
  EXPECT_EQ(scene.killed(), 0U);
  scene.pass(milliseconds(1));
  EXPECT_EQ(scene.killed(), 1U);
}

TEST(Cancel, WithoutGraceKillsAtOnceAndTheSlotGoesToTheSpare) {
  stage scene;
  stage_job& a = scene.running();
  stage_worker& its = scene.of(a);
  stage_job& next = scene.submit();
  scene.engine.cancel(a, cancel_mode::kill, no_grace, scene.now);
  EXPECT_TRUE(its.killed);
  ASSERT_EQ(next.state, job_state::in_lane) << "nobody waits for the corpse";
  EXPECT_NE(next.worker, &its);
  EXPECT_NE(scene.starting(), nullptr) << "and a new spare is on its way";
}

// The worker has published the result of `a` and begun with `b`, and nobody has read of it yet.
TEST(Cancel, AtTheFinishLineKillsNobody) {
  stage scene{{.workers = 1, .spares = 0}};
  stage_job& a = scene.running();
  stage_job& b = scene.submit();
  scene.begin(b);
  scene.engine.cancel(a, cancel_mode::kill, no_grace, scene.now);
  EXPECT_EQ(scene.killed(), 0U) << "G3: the signal would hit the next job";
  ASSERT_EQ(scene.to_settle.size(), 1U);
  worker& its = *scene.to_settle.front().first;
  scene.engine.finished(its, a.ticket, scene.now);
  scene.engine.lane_drained(its, 1, scene.now);
  scene.engine.settled(its, scene.to_settle.front().second, scene.now);
  EXPECT_EQ(a.how.kind, end_kind::finished);
  EXPECT_TRUE(a.how.cancel_was_requested);
  EXPECT_EQ(scene.killed(), 0U);
  EXPECT_FALSE(b.done);
}

TEST(Cancel, FindsOutAWorkerThatLiedAboutAClaim) {
  stage scene{{.workers = 1, .spares = 0}};
  stage_job& wild = scene.running();
  stage_job& marked = scene.submit();
  scene.begin(marked);  // its word was scribbled over; in truth `wild` still runs
  scene.engine.cancel(wild, cancel_mode::kill, no_grace, scene.now);
  stage_worker& its = scene.of(wild);
  scene.engine.lane_drained(its, 0, scene.now);
  scene.engine.settled(its, scene.to_settle.front().second, scene.now);
  EXPECT_TRUE(its.killed) << "G12: there was no result";
  scene.gone(its);
  EXPECT_EQ(wild.how.kind, end_kind::cancelled);
  EXPECT_EQ(marked.how.kind, end_kind::worker_died);
  EXPECT_EQ(marked.how.reason, stop_reason::garbage);
}

TEST(Cancel, TakesBackWhatWaitsBehindBeforeItKills) {
  stage scene{{.workers = 1, .spares = 0}};
  stage_job& a = scene.running();
  stage_job& behind = scene.submit();
  ASSERT_EQ(behind.worker, a.worker);
  stage_worker& its = scene.of(a);
  scene.engine.cancel(a, cancel_mode::kill, no_grace, scene.now);
  EXPECT_TRUE(its.killed);
  EXPECT_EQ(behind.state, job_state::queued) << "G4: it runs elsewhere, and nobody hears of it";
  scene.all_up();
  EXPECT_EQ(behind.state, job_state::in_lane);
  EXPECT_EQ(behind.attempt, 1);
}

TEST(Cancel, ResultPublishedBeforeDeathWins) {
  stage scene;
  stage_job& a = scene.running();
  stage_worker& its = scene.of(a);
  scene.engine.cancel(a, cancel_mode::kill, no_grace, scene.now);
  EXPECT_TRUE(scene.engine.finished(its, a.ticket, scene.now));
  scene.gone(its, killed_by(9));
  EXPECT_EQ(a.how.kind, end_kind::finished);
  EXPECT_TRUE(a.how.cancel_was_requested);
}

TEST(Cancel, DiedByItselfWithinItsGraceIsCancelled) {
  stage scene;
  stage_job& a = scene.running();
  a.retries = 3;
  scene.engine.cancel(a, cancel_mode::grace, seconds(1), scene.now);
  scene.gone(scene.of(a), killed_by(6));
  ASSERT_TRUE(a.done) << "and not tried again";
  EXPECT_EQ(a.how.kind, end_kind::cancelled);
  EXPECT_EQ(a.how.worker_death->signal, 6);
}

TEST(Deadline, CountsFromTheClaimNotFromTheDispatch) {
  stage scene;
  stage_job& a = scene.job();
  a.timeout = milliseconds(100);
  scene.submit(a);
  scene.all_up();
  scene.pass(milliseconds(60));
  scene.begin(a);
  scene.pass(milliseconds(99));
  EXPECT_EQ(scene.killed(), 0U);
  scene.pass(milliseconds(1));
  EXPECT_EQ(scene.killed(), 1U);
  scene.gone(scene.of(a), killed_by(9));
  EXPECT_EQ(a.how.kind, end_kind::timed_out);
}

TEST(Deadline, IsForetoldToAnOwnerWhoNeedsNotice) {
  stage scene{{.notice = milliseconds(3)}};
  for (const auto& [timeout, stopped_after] :
       {std::pair(milliseconds(100), milliseconds(97)), {milliseconds(10), milliseconds(10)}}) {
    const auto before = scene.killed();
    stage_job& a = scene.job();
    a.timeout = timeout;
    scene.submit(a);
    scene.all_up();
    scene.begin(a);
    scene.pass(stopped_after - milliseconds(1));
    EXPECT_EQ(scene.killed(), before);
    scene.pass(milliseconds(1));
    EXPECT_EQ(scene.killed(), before + 1);
    scene.gone(scene.of(a), killed_by(9));
    EXPECT_EQ(a.how.kind, end_kind::timed_out);
  }
}

TEST(Deadline, DoesNotRunWhileTheJobWaitsInALane) {
  stage scene{{.workers = 1, .spares = 0}};
  scene.running();
  stage_job& waiting = scene.job();
  waiting.timeout = milliseconds(1);
  scene.submit(waiting);
  scene.pass(seconds(10));
  EXPECT_EQ(scene.killed(), 0U);
  EXPECT_FALSE(waiting.done);
}

TEST(Deadline, TakesNoGraceAndOverridesOneThatRuns) {
  stage scene;
  stage_job& a = scene.job();
  a.timeout = milliseconds(100);
  scene.submit(a);
  scene.all_up();
  scene.begin(a);
  scene.engine.cancel(a, cancel_mode::grace, seconds(10), scene.now);
  scene.pass(milliseconds(100));
  EXPECT_EQ(scene.killed(), 1U);
  scene.gone(scene.of(a));
  EXPECT_EQ(a.how.kind, end_kind::timed_out);
}

TEST(Deadline, ComesSecondToAGraceThatEndsEarlier) {
  stage scene;
  stage_job& a = scene.job();
  a.timeout = milliseconds(100);
  scene.submit(a);
  scene.all_up();
  scene.begin(a);
  scene.engine.cancel(a, cancel_mode::grace, milliseconds(20), scene.now);
  scene.now += seconds(10);  // the clock jumped: both are over
  scene.engine.time_reached(scene.now);
  scene.gone(scene.of(a));
  EXPECT_EQ(a.how.kind, end_kind::cancelled);
}

TEST(Deadline, WhatWasSeenRunningStaysRunning) {
  stage scene;
  stage_job& a = scene.job();
  a.timeout = milliseconds(100);
  scene.submit(a);
  scene.all_up();
  scene.begin(a);
  EXPECT_EQ(scene.engine.observe(a, scene.now), job_state::running);
  a.claimed = ticket::none;  // G12: the job wrote over its claim
  EXPECT_EQ(scene.engine.observe(a, scene.now), job_state::running);
  scene.pass(milliseconds(100));
  EXPECT_EQ(scene.killed(), 1U);
}

TEST(MemoryLimit, StopsThatVeryAttempt) {
  stage scene;
  stage_job& a = scene.running();
  const ticket old = a.ticket;
  stage_worker& its = scene.of(a);
  scene.finish(a);
  stage_job& b = scene.submit();
  scene.begin(b);
  scene.engine.memory_exceeded(its, old, scene.now);
  EXPECT_EQ(scene.killed(), 0U);
  scene.engine.memory_exceeded(its, b.ticket, scene.now);
  EXPECT_TRUE(its.killed);
  scene.gone(its);
  EXPECT_EQ(b.how.kind, end_kind::memory_limit);
}

TEST(MemoryLimit, DoesNotStopAFrameThatWaits) {
  stage scene;
  stage_job& a = scene.submit();
  scene.all_up();
  scene.engine.memory_exceeded(scene.of(a), a.ticket, scene.now);
  EXPECT_EQ(scene.killed(), 0U);
}

}  // namespace
}  // namespace hardstop::schedule
