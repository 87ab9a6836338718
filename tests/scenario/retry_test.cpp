// A job is tried again when its worker died, and for no other reason (G1).
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <stdexcept>

#include <gtest/gtest.h>

#include "support/board.hpp"
#include "support/pools.hpp"
#include <hardstop/pool.hpp>

namespace {

using hardstop::outcome_kind;
using namespace std::chrono_literals;

using attempts = support::counter;
using attempts_ref = support::board_ref<attempts>;

// Crashes in its first attempts.
unsigned crash_until(attempts_ref ref, unsigned good_attempt) {
  const unsigned number = ref.visit()->add() + 1;
  if (number < good_attempt) ::raise(SIGKILL);
  return number;
}

void throw_always(attempts_ref ref) {
  ref.visit()->add();
  throw std::runtime_error("always");
}

void linger(attempts_ref ref) {
  ref.visit()->add();
  for (;;)
    ::pause();
}

class retries : public testing::Test {
 protected:
  support::board<attempts> seen_{"retries"};
  support::event_log news_;
  hardstop::process_pool pool_{{.workers = 2, .on_event = news_.sink()}};
};

TEST_F(retries, are_used_until_an_attempt_ends_by_itself) {
  auto job = pool_.submit<&crash_until>({.retries = 5}, seen_.ref(), 4U);
  const auto end = job.outcome();
  ASSERT_TRUE(end.is_value()) << end.describe();
  EXPECT_EQ(end.attempt(), 4U);
  EXPECT_EQ(job.get(), 4U);
  EXPECT_EQ(seen_->get(), 4U);
  EXPECT_EQ(pool_.stats().retries, 3U);
  EXPECT_TRUE(news_.wait_for(hardstop::event_kind::job_retried, 3));
}

TEST_F(retries, are_not_more_than_the_job_has) {
  auto job = pool_.submit<&crash_until>({.retries = 2}, seen_.ref(), 100U);
  const auto end = job.outcome();
  EXPECT_EQ(end.kind(), outcome_kind::worker_died) << end.describe();
  EXPECT_EQ(end.attempt(), 3U);
  EXPECT_EQ(seen_->get(), 3U);
}

TEST_F(retries, are_none_unless_asked_for) {
  auto job = pool_.submit<&crash_until>(seen_.ref(), 100U);
  EXPECT_EQ(job.outcome().kind(), outcome_kind::worker_died);
  EXPECT_EQ(seen_->get(), 1U);
}

TEST_F(retries, are_not_for_exceptions) {
  auto job = pool_.submit<&throw_always>({.retries = 5}, seen_.ref());
  EXPECT_EQ(job.outcome().kind(), outcome_kind::exception);
  EXPECT_EQ(job.outcome().attempt(), 1U);
  EXPECT_EQ(seen_->get(), 1U);
}

TEST_F(retries, are_not_for_deadlines) {
  auto job = pool_.submit<&linger>({.timeout = 20ms, .retries = 5}, seen_.ref());
  EXPECT_EQ(job.outcome().kind(), outcome_kind::timed_out);
  EXPECT_EQ(job.outcome().attempt(), 1U);
}

TEST_F(retries, are_not_for_cancelled_jobs) {
  auto job = pool_.submit<&linger>({.retries = 5}, seen_.ref());
  ASSERT_TRUE(seen_->wait_for(1));
  job.cancel(hardstop::cancel_mode::kill);
  EXPECT_EQ(job.outcome().kind(), outcome_kind::cancelled);
  EXPECT_EQ(job.outcome().attempt(), 1U);
}

// A deadline is for each attempt, and a job between two attempts can be cancelled.
TEST_F(retries, can_be_cancelled_between_attempts) {
  for (int round = 0; round < 50; ++round) {
    auto job = pool_.submit<&crash_until>({.retries = 1'000'000}, seen_.ref(), 1'000'000'000U);
    ASSERT_TRUE(seen_->wait_for(seen_->get() + 2));
    job.cancel(hardstop::cancel_mode::kill);
    EXPECT_EQ(job.outcome().kind(), outcome_kind::cancelled) << job.outcome().describe();
  }
}

}  // namespace
