// How workers come and go: initializers, recycling, failures to start.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "support/board.hpp"
#include "support/pools.hpp"
#include "support/processes.hpp"
#include <hardstop/pool.hpp>

namespace {

using hardstop::event_kind;
using hardstop::outcome_kind;
using namespace std::chrono_literals;

using starts = support::counter;
using starts_ref = support::board_ref<starts>;

int prepared = 0;

void prepare(starts_ref ref, int value) {
  ref.visit()->add();
  prepared += value;
}

int what_was_prepared() {
  return prepared;
}

void fail_to_prepare(starts_ref ref) {
  ref.visit()->add();
  throw std::runtime_error("no licence for this machine");
}

void fail_at_first(starts_ref ref, unsigned failures) {
  if (ref.visit()->add() < failures) throw std::runtime_error("not yet");
}

void crash_while_preparing(starts_ref ref) {
  ref.visit()->add();
  ::raise(SIGTERM);
}

void hang_while_preparing(starts_ref ref) {
  ref.visit()->add();
  for (;;)
    ::pause();
}

class worker_life : public testing::TestWithParam<hardstop::start_method> {
 protected:
  hardstop::pool_options options() {
    return {.workers = 2, .start = GetParam(), .on_event = news_.sink()};
  }

  support::board<starts> starts_{"starts"};
  support::event_log news_;
};

TEST_P(worker_life, begins_with_the_initializer_once) {
  auto wanted = options();
  wanted.initializer = hardstop::initialize_with<&prepare>(starts_.ref(), 7);
  hardstop::process_pool pool(wanted);
  for (int count = 0; count < 50; ++count)
    EXPECT_EQ(pool.submit<&what_was_prepared>().get(), 7);
  EXPECT_EQ(prepared, 0) << "the client is not a worker";
  pool.shutdown();
  EXPECT_EQ(starts_->get(), pool.stats().started);
}

// G1: jobs learn why they never started
TEST_P(worker_life, that_never_begins_breaks_the_pool) {
  auto wanted = options();
  wanted.initializer = hardstop::initialize_with<&fail_to_prepare>(starts_.ref());
  hardstop::process_pool pool(wanted);
  auto job = pool.submit<&support::twice>(1);
  const auto end = job.outcome();
  const auto* const why = end.as<hardstop::outcome::not_started>();
  ASSERT_NE(why, nullptr) << end.describe();
  EXPECT_NE(end.describe().find("no licence for this machine"), std::string::npos)
      << end.describe();
  EXPECT_TRUE(news_.wait_for(event_kind::pool_broken));
  EXPECT_GE(starts_->get(), 2U) << "tried more than once";
  try {
    (void)pool.submit<&support::twice>(1);
    FAIL() << "a broken pool takes jobs";
  } catch (const hardstop::pool_broken& error) {
    EXPECT_NE(std::string(error.what()).find("no licence for this machine"), std::string::npos)
        << error.what();
  }
}

TEST_P(worker_life, that_crashes_before_it_begins_breaks_the_pool) {
  auto wanted = options();
  wanted.initializer = hardstop::initialize_with<&crash_while_preparing>(starts_.ref());
  hardstop::process_pool pool(wanted);
  const auto end = pool.submit<&support::twice>(1).outcome();
  EXPECT_EQ(end.kind(), outcome_kind::not_started) << end.describe();
}

TEST_P(worker_life, that_begins_at_last_runs_what_waited) {
  auto wanted = options();
  wanted.initializer = hardstop::initialize_with<&fail_at_first>(starts_.ref(), 2U);
  hardstop::process_pool pool(wanted);
  EXPECT_EQ(pool.submit<&support::twice>(3).get(), 6);
  EXPECT_TRUE(news_.wait_for(event_kind::worker_failed, 2));
}

TEST_P(worker_life, that_takes_too_long_to_begin_is_ended_and_told) {
  auto wanted = options();
  wanted.start_timeout = 300ms;
  wanted.initializer = hardstop::initialize_with<&hang_while_preparing>(starts_.ref());
  hardstop::process_pool pool(wanted);
  const auto end = pool.submit<&support::twice>(1).outcome();
  EXPECT_EQ(end.kind(), outcome_kind::not_started) << end.describe();
  EXPECT_TRUE(news_.wait_for(event_kind::worker_failed));
}

INSTANTIATE_TEST_SUITE_P(with, worker_life, testing::ValuesIn(support::every_start_method),
                         [](const auto& method) { return support::name_of(method.param); });

TEST(max_jobs_per_worker, bounds_every_workers_life) {
  support::event_log news;
  std::map<int, int> jobs_of;
  {
    hardstop::process_pool pool({.workers = 2, .max_jobs_per_worker = 5, .on_event = news.sink()});
    std::vector<hardstop::future<int>> jobs;
    for (int count = 0; count < 200; ++count)
      jobs.push_back(pool.submit<&support::own_pid>());
    for (auto& job : jobs)
      ++jobs_of[job.get()];
    EXPECT_GE(pool.stats().recycled, 30U);
    EXPECT_EQ(pool.stats().kills, 0U) << "they leave in good order";
  }
  for (const auto& [pid, count] : jobs_of)
    EXPECT_LE(count, 5) << pid;
  EXPECT_GE(jobs_of.size(), 40U);
  EXPECT_EQ(news.count(event_kind::worker_died), 0U);
}

// A worker that dies again and again must not keep a core busy with births.
TEST(a_crash_loop, is_slowed_down) {
  const support::board<starts> born("loop");
  hardstop::process_pool pool(
      {.workers = 1,
       .spares = 0,
       .initializer = hardstop::initialize_with<&fail_to_prepare>(born.ref())});
  std::vector<std::chrono::steady_clock::time_point> times;
  auto job = pool.submit<&support::twice>(1);
  while (!job.wait_for(0ms)) {
    if (born->wait_for(static_cast<std::uint32_t>(times.size()) + 1, 50ms)) {
      times.push_back(std::chrono::steady_clock::now());
    }
  }
  ASSERT_GE(times.size(), 3U);
  // The last pause against the first: growing, whatever the machine adds.
  EXPECT_GT(times.back() - times[times.size() - 2], 2ms);
  EXPECT_LT(times.size(), 50U);
}

TEST(idle_workers, leave_after_their_time_down_to_the_least) {
  support::event_log news;
  hardstop::process_pool pool(
      {.workers = 3, .min_workers = 1, .idle_timeout = 20ms, .spares = 0, .on_event = news.sink()});
  const auto wait_together = [](starts_ref ref) {
    const auto met = ref.visit();
    met->add();
    return met->wait_for(3);
  };
  const support::board<starts> met("idle");
  std::vector<hardstop::future<bool>> jobs;
  for (int count = 0; count < 3; ++count)
    jobs.push_back(pool.submit(wait_together, met.ref()));
  for (auto& job : jobs)
    EXPECT_TRUE(job.get()) << "all three run at a time";
  EXPECT_TRUE(news.wait_for(event_kind::worker_exited, 2));
  EXPECT_EQ(pool.stats().workers, 1U);
  EXPECT_EQ(pool.submit<&support::twice>(1).get(), 2);
}

}  // namespace
