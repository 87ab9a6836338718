// The table of permits by itself (G7).
#include "schedule/permits.hpp"

#include <algorithm>
#include <deque>
#include <vector>

#include <gtest/gtest.h>

namespace hardstop::schedule {

namespace {

using std::chrono::seconds;

// A table, and guards of threads that are numbered.
class table : public permit_table::listener {
 public:
  table() = default;
  table(const table&) = delete;
  table& operator=(const table&) = delete;
  virtual ~table() = default;

  permit_claim& claim(std::uint64_t thread,
                      std::initializer_list<std::pair<semaphore*, std::uint32_t>> wants) {
    permit_claim& made = claims.emplace_back();
    made.owner = {.attempt = ticket::none, .context = thread};
    for (const auto& [what, count] : wants)
      made.want(*what, count);
    return made;
  }

  permit_claim& held(std::uint64_t thread,
                     std::initializer_list<std::pair<semaphore*, std::uint32_t>> wants) {
    permit_claim& made = claim(thread, wants);
    EXPECT_EQ(permits.ask(made, patience::wait, now), claim_answer::granted);
    return made;
  }

  permit_claim& waiting(std::uint64_t thread,
                        std::initializer_list<std::pair<semaphore*, std::uint32_t>> wants) {
    permit_claim& made = claim(thread, wants);
    EXPECT_EQ(permits.ask(made, patience::wait, now), claim_answer::waits);
    return made;
  }

  void give_back(permit_claim& what, permit_return how = permit_return::released) {
    permits.give_back(what, how, now);
  }

  void granted(permit_claim& what) override { told.push_back(&what); }

  void called(permit_claim& what) override { told.push_back(&what); }

  instant now{seconds(1)};
  std::deque<permit_claim> claims;
  std::vector<permit_claim*> told;
  permit_table permits{*this};
};

TEST(Permits, AreAsManyAsThereAre) {
  table all;
  semaphore db(2);
  permit_claim& first = all.held(1, {{&db, 1}});
  all.held(2, {{&db, 1}});
  permit_claim& third = all.claim(3, {{&db, 1}});
  EXPECT_EQ(all.permits.ask(third, patience::try_now, all.now), claim_answer::unavailable);
  EXPECT_EQ(third.state, claim_state::idle);
  all.give_back(first);
  EXPECT_EQ(all.permits.ask(third, patience::try_now, all.now), claim_answer::granted);
}

TEST(Permits, ThatNeverAreCannotBeWaitedFor) {
  table all;
  semaphore db(2);
  EXPECT_EQ(all.permits.ask(all.claim(1, {{&db, 3}}), patience::wait, all.now),
            claim_answer::impossible);
  EXPECT_EQ(all.permits.ask(all.claim(1, {{&db, 0}}), patience::wait, all.now),
            claim_answer::impossible);
  EXPECT_TRUE(db.waiters.empty());
}

TEST(Permits, GoToWhoeverCameFirst) {
  table all;
  semaphore db(1);
  permit_claim& holder = all.held(1, {{&db, 1}});
  permit_claim& second = all.waiting(2, {{&db, 1}});
  permit_claim& third = all.waiting(3, {{&db, 1}});
  all.give_back(holder);
  EXPECT_EQ(all.told, std::vector{&second});
  EXPECT_EQ(all.permits.ask(all.claim(4, {{&db, 1}}), patience::try_now, all.now),
            claim_answer::unavailable);
  all.give_back(second);
  EXPECT_EQ(all.told, (std::vector{&second, &third}));
}

// Else whoever wants much waits for ever.
TEST(Permits, AreNotTakenByLaterOnesWhoWantLess) {
  table all;
  semaphore db(3);
  all.held(1, {{&db, 2}});
  permit_claim& much = all.waiting(2, {{&db, 2}});
  permit_claim& little = all.waiting(3, {{&db, 1}});
  EXPECT_EQ(all.permits.ask(all.claim(4, {{&db, 1}}), patience::try_now, all.now),
            claim_answer::unavailable);
  all.give_back(all.claims.front());
  EXPECT_EQ(all.told, (std::vector{&much, &little}));
}

TEST(Permits, OfWhoeverGivesUpWaitingGoToTheNext) {
  table all;
  semaphore db(3);
  all.held(1, {{&db, 2}});
  permit_claim& much = all.waiting(2, {{&db, 2}});
  permit_claim& little = all.waiting(3, {{&db, 1}});
  all.give_back(much);
  EXPECT_EQ(all.told, std::vector{&little});
  EXPECT_TRUE(db.waiters.empty());
  EXPECT_EQ(db.available, 0U);
}

TEST(Permits, OfSeveralSemaphoresAreGrantedTogetherOrNotAtAll) {
  table all;
  semaphore db(1);
  semaphore gpu(1);
  permit_claim& holder = all.held(1, {{&gpu, 1}});
  permit_claim& both = all.waiting(2, {{&db, 1}, {&gpu, 1}});
  EXPECT_EQ(db.available, 1U) << "it holds one while it waits for the other";
  all.give_back(holder);
  EXPECT_EQ(both.state, claim_state::held);
  EXPECT_EQ(db.available + gpu.available, 0U);
}

// A program that takes one after the other must not come to a stand because somebody takes both.
TEST(Permits, AreNotKeptFromOthersByWhoeverLacksSomethingElse) {
  table all;
  semaphore db(1);
  semaphore gpu(1);
  permit_claim& outer = all.held(1, {{&db, 1}});
  permit_claim& both = all.waiting(2, {{&db, 1}, {&gpu, 1}});
  permit_claim& inner = all.held(1, {{&gpu, 1}});
  all.give_back(inner);
  EXPECT_EQ(both.state, claim_state::waiting);
  all.give_back(outer);
  EXPECT_EQ(both.state, claim_state::held);
}

TEST(Permits, HaveFencesThatOnlyGrow) {
  table all;
  semaphore db(1);
  semaphore gpu(1);
  permit_claim& first = all.held(1, {{&db, 1}});
  const std::uint64_t before = first.fence;
  permit_claim& other = all.held(2, {{&gpu, 1}});
  permit_claim& next = all.waiting(3, {{&db, 1}});
  all.give_back(first);
  EXPECT_LT(before, other.fence);
  EXPECT_LT(other.fence, next.fence);
}

TEST(Permits, OfTheKilledAreAbandonedOnce) {
  table all;
  semaphore db(1);
  permit_claim& killed = all.held(1, {{&db, 1}});
  permit_claim& next = all.waiting(2, {{&db, 1}});
  permit_claim& after = all.waiting(3, {{&db, 1}});
  all.give_back(killed, permit_return::killed);
  EXPECT_TRUE(next.abandoned());
  all.give_back(next);
  EXPECT_EQ(after.state, claim_state::held);
  EXPECT_FALSE(after.abandoned());
  EXPECT_EQ(db.returned_by_death, 1U);
}

// Whoever was granted it never learnt of it.
TEST(Permits, StayAbandonedUntilSomebodyWasTold) {
  table all;
  semaphore db(1);
  all.give_back(all.held(1, {{&db, 1}}), permit_return::killed);
  permit_claim& unlucky = all.held(2, {{&db, 1}});
  EXPECT_TRUE(unlucky.abandoned());
  all.give_back(unlucky, permit_return::unused);
  EXPECT_TRUE(all.held(3, {{&db, 1}}).abandoned());
}

TEST(Permits, OfACircleAreADeadlock) {
  table all;
  semaphore one(1);
  semaphore two(1);
  all.held(1, {{&one, 1}});
  all.held(2, {{&two, 1}});
  permit_claim& first = all.waiting(1, {{&two, 1}});
  EXPECT_TRUE(all.permits.deadlock_around(first).empty());
  const permit_claim& bystander = all.waiting(3, {{&one, 1}});
  EXPECT_TRUE(all.permits.deadlock_around(bystander).empty());
  permit_claim& second = all.waiting(2, {{&one, 1}});
  const auto circle = all.permits.deadlock_around(second);
  EXPECT_EQ(circle, (std::vector<const permit_claim*>{&first, &second}));
}

TEST(Permits, ThatSomebodyWhoDoesNotWaitHoldsAreNoDeadlock) {
  table all;
  semaphore one(2);
  semaphore two(1);
  all.held(1, {{&one, 1}});
  all.held(9, {{&one, 1}});  // it goes on
  all.held(2, {{&two, 1}});
  all.waiting(1, {{&two, 1}});
  EXPECT_TRUE(all.permits.deadlock_around(all.waiting(2, {{&one, 1}})).empty());
}

TEST(Permits, KnowTheLongestWait) {
  table all;
  semaphore db(1);
  permit_claim& holder = all.held(1, {{&db, 1}});
  all.waiting(2, {{&db, 1}});
  all.now += seconds(3);
  all.give_back(holder);
  EXPECT_EQ(db.longest_wait, seconds(3));
}

// What jobs need: their claims are called when it is there, and take it when a worker is.
class needy final : public table {
 public:
  permit_claim& of(job& what, semaphore& wanted) {
    permit_claim& made = claim(0, {{&wanted, 1}});
    made.needed_by = &what;
    EXPECT_TRUE(permits.queue(made, now));
    return made;
  }
};

TEST(Permits, OfACalledJobAreNotTakenYet) {
  needy all;
  semaphore db(1);
  job first;
  permit_claim& called = all.of(first, db);
  EXPECT_EQ(called.state, claim_state::called);
  permit_claim& guard = all.held(1, {{&db, 1}});
  EXPECT_FALSE(all.permits.take(called, all.now)) << "they went to somebody who could use them";
  EXPECT_EQ(called.state, claim_state::waiting);
  all.give_back(guard);
  EXPECT_EQ(called.state, claim_state::called);
  EXPECT_TRUE(all.permits.take(called, all.now));
  EXPECT_EQ(db.available, 0U);
}

// Else each permit that comes back would call all of a thousand jobs.
TEST(Permits, CallOnlyAsManyJobsAsThereArePermits) {
  needy all;
  semaphore db(2);
  job jobs[3];
  permit_claim& first = all.of(jobs[0], db);
  all.of(jobs[1], db);
  permit_claim& third = all.of(jobs[2], db);
  EXPECT_EQ(third.state, claim_state::waiting);
  all.give_back(first);  // cancelled
  EXPECT_EQ(third.state, claim_state::called);
}

TEST(Permits, OfAJobThatWaitsAgainKeepItsPlace) {
  needy all;
  semaphore db(1);
  job first;
  permit_claim& old = all.of(first, db);
  permit_claim& guard = all.held(1, {{&db, 1}});
  permit_claim& later = all.waiting(2, {{&db, 1}});
  EXPECT_FALSE(all.permits.take(old, all.now));
  all.give_back(guard);
  EXPECT_EQ(all.told, (std::vector{&old, &old, &later}))
      << "called, called again before the later one, who need not wait for its worker";
  EXPECT_EQ(later.state, claim_state::held);
}

}  // namespace

}  // namespace hardstop::schedule
