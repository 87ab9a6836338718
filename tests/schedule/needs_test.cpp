// Jobs that need permits to be dispatched, and attempts that ask for them (G7).
#include <gtest/gtest.h>

#include "schedule/stage.hpp"

namespace hardstop::schedule {

namespace {

// A job of the stage with what belongs to it.
struct needy_job {
  stage_job* node = nullptr;
  job_permits permits;
  permit_claim needs;
};

class permits_stage : public ::testing::Test {
 protected:
  needy_job& needing(semaphore& what, std::uint32_t count = 1) {
    needy_job& made = *actors.emplace_back(std::make_unique<needy_job>());
    made.node = &play.job();
    made.needs.want(what, count);
    made.needs.needed_by = made.node;
    made.permits.needs = &made.needs;
    made.node->permits = &made.permits;
    return made;
  }

  needy_job& submitted(semaphore& what, std::uint32_t count = 1) {
    needy_job& made = needing(what, count);
    play.submit(*made.node);
    return made;
  }

  // A job without needs whose attempt may ask.
  needy_job& asking() {
    needy_job& made = *actors.emplace_back(std::make_unique<needy_job>());
    made.node = &play.job();
    play.submit(*made.node);
    play.all_up();
    play.begin(*made.node);
    made.node->permits = &made.permits;
    return made;
  }

  permit_claim& guard(semaphore& what) {
    permit_claim& made = *guards.emplace_back(std::make_unique<permit_claim>());
    made.owner.context = guards.size();
    made.want(what, 1);
    return made;
  }

  permit_claim& held_guard(semaphore& what) {
    permit_claim& made = guard(what);
    EXPECT_EQ(play.engine.acquire(made, patience::wait, play.now), claim_answer::granted);
    return made;
  }

  claim_answer ask(needy_job& who, permit_claim& what) {
    return play.engine.acquire(play.of(*who.node), who.node->ticket, what, patience::wait,
                               play.now);
  }

  void release(permit_claim& what) { play.engine.release(what, permit_return::released, play.now); }

  stage play{{.workers = 2, .spares = 1}};
  std::vector<std::unique_ptr<needy_job>> actors;
  std::vector<std::unique_ptr<permit_claim>> guards;
};

// Two suites on one stage.
class Needs : public permits_stage {};

TEST_F(Needs, ThatAreThereLetTheJobBegin) {
  semaphore db(1);
  needy_job& first = submitted(db);
  play.all_up();
  EXPECT_EQ(play.order, std::vector{first.node});
  EXPECT_EQ(db.available, 0U);
  play.begin(*first.node);
  play.finish(*first.node);
  EXPECT_TRUE(first.node->done);
  EXPECT_EQ(db.available, 1U);
  EXPECT_EQ(play.over, std::vector{&first.needs});
}

TEST_F(Needs, ThatAreNotThereKeepTheJobBackAndNobodyElse) {
  semaphore db(1);
  permit_claim& client = held_guard(db);
  needy_job& first = submitted(db);
  stage_job& other = play.running();
  EXPECT_EQ(play.order, std::vector{&other});
  release(client);
  EXPECT_EQ(play.order, (std::vector{&other, first.node}));
}

TEST_F(Needs, LetNoMoreJobsRunThanThereArePermits) {
  semaphore db(1);
  needy_job& first = submitted(db);
  needy_job& second = submitted(db);
  play.all_up();
  EXPECT_EQ(play.order, std::vector{first.node});
  play.begin(*first.node);
  play.finish(*first.node);
  EXPECT_EQ(play.order, (std::vector{first.node, second.node}));
}

// G7: a job that waits for a worker keeps nobody from the permits it needs. Else the job in front
// of it, which wants one, would wait for ever.
TEST_F(Needs, AreNotTakenBeforeThereIsAWorker) {
  semaphore db(1);
  needy_job& front = asking();
  needy_job& other = asking();
  needy_job& behind = submitted(db);
  EXPECT_EQ(behind.node->state, job_state::queued);
  permit_claim& mine = guard(db);
  EXPECT_EQ(ask(front, mine), claim_answer::granted);
  play.finish(*other.node);
  EXPECT_EQ(behind.node->state, job_state::queued) << "there is a worker, but no permit";
  play.finish(*front.node);
  EXPECT_EQ(behind.node->state, job_state::in_lane);
}

// G7: cancelled before its first instruction it loses no permit.
TEST_F(Needs, ComeBackWhenTheJobIsCancelledAnywhere) {
  semaphore db(1);
  permit_claim& client = held_guard(db);
  needy_job& waiting = submitted(db);
  EXPECT_EQ(play.engine.cancel(*waiting.node, cancel_mode::ask, {}, play.now),
            cancel_answer::accepted);
  EXPECT_TRUE(waiting.node->done);
  EXPECT_TRUE(db.waiters.empty());
  release(client);

  needy_job& queued = submitted(db);  // no worker is up
  play.engine.cancel(*queued.node, cancel_mode::ask, {}, play.now);
  EXPECT_EQ(db.available, 1U);
  EXPECT_EQ(db.called, 0U);

  needy_job& in_lane = submitted(db);
  play.all_up();
  EXPECT_EQ(db.available, 0U);
  play.engine.cancel(*in_lane.node, cancel_mode::ask, {}, play.now);
  EXPECT_EQ(db.available, 1U);
  EXPECT_EQ(db.abandoned, 0U);
}

TEST_F(Needs, ComeBackAtConfirmedDeathAndNotBefore) {
  semaphore db(1);
  needy_job& first = submitted(db);
  play.all_up();
  play.begin(*first.node);
  stage_worker& who = play.of(*first.node);
  needy_job& second = submitted(db);
  play.engine.cancel(*first.node, cancel_mode::kill, {}, play.now);
  EXPECT_TRUE(who.killed);
  EXPECT_EQ(db.available, 0U);
  EXPECT_EQ(second.node->state, job_state::queued);
  play.gone(who, killed_by(9));
  EXPECT_EQ(second.node->state, job_state::in_lane);
  EXPECT_TRUE(second.needs.abandoned());
}

TEST_F(Needs, OfAnAttemptThatCannotBeKilledStayTaken) {
  semaphore db(1);
  needy_job& first = submitted(db);
  play.all_up();
  play.begin(*first.node);
  stage_worker& who = play.of(*first.node);
  play.engine.cancel(*first.node, cancel_mode::kill, {}, play.now);
  death how = killed_by(9);
  how.unconfirmed_pid = 4711;
  play.gone(who, how);
  EXPECT_TRUE(first.node->done);
  EXPECT_EQ(db.available, 0U);
  EXPECT_EQ(play.kept, std::vector{&first.needs});
  EXPECT_TRUE(play.over.empty());
}

TEST_F(Needs, AreHeldByEachAttemptAnew) {
  semaphore db(1);
  needy_job& first = needing(db);
  first.node->retries = 1;
  play.submit(*first.node);
  play.all_up();
  play.begin(*first.node);
  const std::uint64_t fence = first.needs.fence;
  play.gone(play.of(*first.node), exited(1));
  EXPECT_EQ(first.node->state, job_state::in_lane);
  EXPECT_GT(first.needs.fence, fence);
  EXPECT_TRUE(first.needs.abandoned());
  EXPECT_EQ(db.available, 0U);
}

// What it started may still be at work with what the permit protects.
TEST_F(Needs, OfAJobWhoseLeftoversAreKilledComeBackWhenTheyAreGone) {
  semaphore db(1);
  needy_job& first = needing(db);
  first.node->seals_lane = true;
  play.submit(*first.node);
  play.all_up();
  play.begin(*first.node);
  stage_worker& who = play.of(*first.node);
  play.engine.finished(who, first.node->ticket, play.now);
  play.engine.recycle(who, play.now);
  play.engine.lane_drained(who, 1, play.now);
  EXPECT_EQ(db.available, 0U);
  play.gone(who, exited(0));
  EXPECT_EQ(db.available, 1U);
  EXPECT_EQ(db.abandoned, 0U);
}

TEST_F(Needs, KeepAPoolThatShutsDownWaitingUntilTheyAreThere) {
  semaphore db(1);
  permit_claim& client = held_guard(db);
  needy_job& first = submitted(db);
  play.engine.shut_down(play.home, pending::run, std::nullopt, play.now);
  EXPECT_FALSE(play.is_closed);
  release(client);
  play.all_up();
  EXPECT_EQ(first.node->state, job_state::in_lane);
}

TEST_F(Needs, EndWithAPoolThatDropsWhatWaits) {
  semaphore db(1);
  held_guard(db);
  needy_job& first = submitted(db);
  play.engine.shut_down(play.home, pending::cancel, std::nullopt, play.now);
  EXPECT_TRUE(first.node->done);
  EXPECT_EQ(first.node->how.kind, end_kind::not_started);
  EXPECT_TRUE(db.waiters.empty());
}

class Attempts : public permits_stage {};

TEST_F(Attempts, HoldWhatTheyAskForUntilTheyEnd) {
  semaphore db(1);
  needy_job& first = asking();
  permit_claim& mine = guard(db);
  EXPECT_EQ(ask(first, mine), claim_answer::granted);
  EXPECT_EQ(db.available, 0U);
  play.finish(*first.node);
  EXPECT_EQ(db.available, 1U);
  EXPECT_EQ(db.abandoned, 0U);
  EXPECT_EQ(play.over, std::vector{&mine});
}

TEST_F(Attempts, AreToldWhenWhatTheyWaitedForIsThere) {
  semaphore db(1);
  permit_claim& client = held_guard(db);
  needy_job& first = asking();
  permit_claim& mine = guard(db);
  EXPECT_EQ(ask(first, mine), claim_answer::waits);
  release(client);
  EXPECT_EQ(play.told, std::vector{&mine});
}

TEST_F(Attempts, ThatAreBeingKilledWaitForNothing) {
  semaphore db(1);
  permit_claim& client = held_guard(db);
  needy_job& first = asking();
  permit_claim& mine = guard(db);
  ask(first, mine);
  play.engine.cancel(*first.node, cancel_mode::kill, {}, play.now);
  EXPECT_EQ(play.over, std::vector{&mine});
  release(client);
  EXPECT_EQ(db.available, 1U);
  EXPECT_EQ(ask(first, guard(db)), claim_answer::over);
}

TEST_F(Attempts, ThatAreOverGetNothing) {
  semaphore db(1);
  needy_job& first = asking();
  stage_worker& who = play.of(*first.node);
  const ticket before = first.node->ticket;
  play.finish(*first.node);
  EXPECT_EQ(play.engine.acquire(who, before, guard(db), patience::wait, play.now),
            claim_answer::over);
}

}  // namespace

}  // namespace hardstop::schedule
