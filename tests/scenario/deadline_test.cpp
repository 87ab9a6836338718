// Deadlines and kills belong to the engine, whatever job and client do meanwhile (G6).
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "scenario/gates.hpp"
#include "support/board.hpp"
#include "support/pools.hpp"
#include "support/processes.hpp"
#include <hardstop/pool.hpp>

namespace {

using hardstop::outcome_kind;
using namespace std::chrono_literals;
using scenario::gates;
using scenario::gates_ref;

TEST(a_deadline, counts_from_the_start_of_the_attempt_not_from_submit) {
  const support::board<gates> seen("deadline");
  hardstop::process_pool pool({.workers = 1});
  auto first = pool.submit<&scenario::pass>(seen.ref(), 1, 1U);
  ASSERT_TRUE(seen->begun.wait_for(1));
  auto second = pool.submit<&scenario::pass>({.timeout = 30s}, seen.ref(), 2, 1U);
  auto third = pool.submit<&scenario::linger>({.timeout = 1ms}, seen.ref());
  // Were it counted from submit, the third would be over by now.
  EXPECT_FALSE(third.wait_for(20ms));
  EXPECT_EQ(third.state(), hardstop::job_state::queued);
  seen->open.set(1);
  EXPECT_EQ(first.get(), 1);
  EXPECT_EQ(second.get(), 2);
  const auto end = third.outcome();
  ASSERT_EQ(end.kind(), outcome_kind::timed_out) << end.describe();
  EXPECT_EQ(end.as<hardstop::outcome::timed_out>()->limit, 1ms);
  EXPECT_GE(end.ran_for(), 1ms);
}

TEST(deadlines, come_in_their_order_and_none_is_early) {
  const support::board<gates> seen("deadline");
  constexpr int count = 8;
  std::mutex mutex;
  std::vector<int> order;
  const auto note = [&](const hardstop::event& news) {
    if (news.kind != hardstop::event_kind::worker_killed) return;
    const std::lock_guard lock(mutex);
    order.push_back(news.pid);
  };
  std::vector<int> expected;
  {
    hardstop::process_pool pool({.workers = count, .on_event = note});
    std::vector<hardstop::future<void>> jobs;
    const auto begun = std::chrono::steady_clock::now();
    for (int number = 0; number < count; ++number) {
      // The longest first; 200 ms apart, so that starts at different times do not matter.
      jobs.push_back(
          pool.submit<&scenario::linger>({.timeout = (count - number) * 200ms}, seen.ref()));
    }
    for (int number = count - 1; number >= 0; --number) {
      auto& job = jobs[static_cast<std::size_t>(number)];
      EXPECT_EQ(job.outcome().kind(), outcome_kind::timed_out);
      EXPECT_GE(std::chrono::steady_clock::now() - begun, (count - number) * 200ms);
      expected.push_back(job.pid());
    }
  }
  EXPECT_EQ(order, expected);
}

void block_everything_and_stop(gates_ref ref) {
  sigset_t all;
  sigfillset(&all);
  ::sigprocmask(SIG_BLOCK, &all, nullptr);
  ref.join().begun.add();
  ::raise(SIGSTOP);
  for (;;)
    ::pause();
}

// A callback that does not return until the test says so.
class stuck_callback {
 public:
  std::function<void(const hardstop::event&)> sink() {
    return [this](const hardstop::event& news) {
      if (news.kind != hardstop::event_kind::worker_started) return;
      std::unique_lock lock(mutex_);
      stuck_ = true;
      changed_.notify_all();
      changed_.wait(lock, [this] { return released_; });
    };
  }

  void wait_until_stuck() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return stuck_; });
  }

  void release() {
    const std::lock_guard lock(mutex_);
    released_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stuck_ = false;
  bool released_ = false;
};

TEST(a_deadline, holds_while_the_client_is_stuck_in_a_callback) {
  const support::board<gates> seen("deadline");
  stuck_callback callback;
  hardstop::process_pool pool({.workers = 1, .on_event = callback.sink()});
  auto job = pool.submit<&scenario::linger>({.timeout = 100ms}, seen.ref());
  callback.wait_until_stuck();
  ASSERT_TRUE(seen->pids.wait_for(1));
  const support::watched_process worker(seen->pids[0]);
  EXPECT_TRUE(worker.wait_gone());  // and nobody has left the callback
  callback.release();
  EXPECT_EQ(job.outcome().kind(), outcome_kind::timed_out);
}

TEST(a_cancel, holds_while_the_client_is_stuck_in_a_callback) {
  const support::board<gates> seen("deadline");
  stuck_callback callback;
  hardstop::process_pool pool({.workers = 1, .on_event = callback.sink()});
  auto job = pool.submit<&scenario::linger>(seen.ref());
  callback.wait_until_stuck();
  ASSERT_TRUE(seen->pids.wait_for(1));
  const support::watched_process worker(seen->pids[0]);
  job.cancel(hardstop::cancel_mode::kill);
  EXPECT_TRUE(worker.wait_gone());
  callback.release();
  EXPECT_EQ(job.outcome().kind(), outcome_kind::cancelled);
}

TEST(a_deadline, holds_for_a_job_that_blocks_all_signals_and_stops_itself) {
  const support::board<gates> seen("deadline");
  hardstop::process_pool pool({.workers = 1});
  auto job = pool.submit<&block_everything_and_stop>({.timeout = 50ms}, seen.ref());
  EXPECT_EQ(job.outcome().kind(), outcome_kind::timed_out);
  EXPECT_EQ(support::describe(support::survivors(seen.mark())), "");
}

TEST(a_deadline, is_not_put_off_by_a_grace) {
  const support::board<gates> seen("deadline");
  hardstop::process_pool pool({.workers = 1});
  auto job = pool.submit<&scenario::linger>({.timeout = 200ms, .grace = 1h}, seen.ref());
  ASSERT_TRUE(seen->begun.wait_for(1));
  EXPECT_EQ(job.cancel(), hardstop::cancel_result::requested);  // asked; killed in an hour
  EXPECT_EQ(job.outcome().kind(), outcome_kind::timed_out);
}

TEST(waiting, never_stops_a_job) {
  const support::board<gates> seen("deadline");
  hardstop::process_pool pool({.workers = 1});
  auto job = pool.submit<&scenario::pass>(seen.ref(), 5, 1U);
  ASSERT_TRUE(seen->begun.wait_for(1));
  EXPECT_FALSE(job.wait_for(1ms));
  EXPECT_FALSE(job.wait_until(std::chrono::system_clock::now() + 1ms));
  EXPECT_FALSE(job.wait_until(std::chrono::steady_clock::now() - 1ms));
  seen->open.set(1);
  EXPECT_EQ(job.get(), 5);
}

TEST(lateness, is_counted) {
  const support::board<gates> seen("deadline");
  hardstop::process_pool pool({.workers = 2});
  for (int count = 0; count < 5; ++count) {
    auto job = pool.submit<&scenario::linger>({.timeout = 5ms}, seen.ref());
    EXPECT_EQ(job.outcome().kind(), outcome_kind::timed_out);
  }
  EXPECT_EQ(pool.stats().deadline_late.count(), 5U);
  EXPECT_EQ(pool.stats().cancel_to_gone.count(), 5U);
  EXPECT_EQ(pool.stats().kills, 5U);
}

}  // namespace
