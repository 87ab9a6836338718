// Sections that a cancel waits for (G8).
#include <gtest/gtest.h>

#include "schedule/stage.hpp"

namespace hardstop::schedule {

namespace {

class Shields : public ::testing::Test {
 protected:
  void shield(duration longest = seconds(5)) {
    play.engine.shield(who(), job.ticket, longest, play.now);
  }

  void unshield() { play.engine.unshield(who(), job.ticket, play.now); }

  void cancel(cancel_mode how = cancel_mode::grace, duration grace = {}) {
    play.engine.cancel(job, how, grace, play.now);
  }

  stage_worker& who() { return play.of(job); }

  stage play{{.workers = 1}};
  stage_job& job{play.running()};
};

TEST_F(Shields, LetACancelWaitUntilTheyEnd) {
  shield();
  cancel();
  EXPECT_TRUE(play.asked.contains(&job));
  play.pass(seconds(1));
  EXPECT_FALSE(who().killed);
  unshield();
  EXPECT_TRUE(who().killed);
}

TEST_F(Shields, EndWhenTheTimeTheyNamedIsOver) {
  shield(seconds(2));
  cancel();
  play.pass(milliseconds(1999));
  EXPECT_FALSE(who().killed);
  play.pass(milliseconds(1));
  EXPECT_TRUE(who().killed);
  EXPECT_EQ(who().stopping, stop_reason::cancel);
}

TEST_F(Shields, DoNotShortenAGrace) {
  shield();
  cancel(cancel_mode::grace, seconds(3));
  unshield();
  EXPECT_FALSE(who().killed);
  play.pass(seconds(3));
  EXPECT_TRUE(who().killed);
}

TEST_F(Shields, BegunWithinAGraceHoldIt) {
  cancel(cancel_mode::grace, seconds(1));
  shield(seconds(2));
  play.pass(milliseconds(1500));
  EXPECT_FALSE(who().killed);
  unshield();
  EXPECT_TRUE(who().killed);
}

TEST_F(Shields, DoNotHoldAKill) {
  shield();
  cancel(cancel_mode::kill);
  EXPECT_TRUE(who().killed);
}

TEST_F(Shields, DoNotHoldAKillThatComesLater) {
  shield();
  cancel();
  cancel(cancel_mode::kill);
  EXPECT_TRUE(who().killed);
}

TEST_F(Shields, DoNotHoldAShutdown) {
  shield();
  play.engine.shut_down(play.home, pending::cancel, play.now, play.now);
  EXPECT_TRUE(who().killed);
}

TEST_F(Shields, AreNotFollowedByOthersWhenTheCancelHasWaited) {
  shield(seconds(1));
  cancel();
  unshield();
  EXPECT_TRUE(who().killed);
}

TEST_F(Shields, HoldNothingWithoutACancel) {
  shield(milliseconds(1));
  play.pass(seconds(1));
  unshield();
  EXPECT_FALSE(who().killed);
  EXPECT_EQ(play.home.counters.shields, 1U);
  EXPECT_EQ(play.home.counters.shielded, seconds(1));
}

TEST_F(Shields, OfAnAttemptThatIsOverAreNobodys) {
  const ticket before = job.ticket;
  stage_worker& here = who();
  play.finish(job);
  play.engine.shield(here, before, seconds(5), play.now);
  EXPECT_EQ(play.home.counters.shields, 0U);
}

TEST(ShieldsAndDeadlines, TheDeadlineDoesNotWait) {
  stage play{{.workers = 1}};
  stage_job& job = play.job();
  job.timeout = seconds(1);
  play.submit(job);
  play.all_up();
  play.begin(job);
  stage_worker& who = play.of(job);
  play.engine.shield(who, job.ticket, seconds(10), play.now);
  play.engine.cancel(job, cancel_mode::grace, {}, play.now);
  play.pass(seconds(1));
  EXPECT_TRUE(who.killed);
  EXPECT_EQ(who.stopping, stop_reason::deadline);
}

}  // namespace

}  // namespace hardstop::schedule
