// Waiting, cancelling and learning how a job ended.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/jobs.hpp"
#include <hardstop/pool.hpp>

using hardstop::test::crash;
using hardstop::test::do_nothing;
using hardstop::test::hang;
using hardstop::test::is_gone;
using hardstop::test::square;
using hardstop::test::throw_if_odd;
using hardstop::test::until_asked;
using hardstop::test::wait_until_running;
using hardstop::test::worker_pid;
using namespace std::chrono_literals;
using hardstop::cancel_answer;
using hardstop::cancel_mode;
using hardstop::cancel_result;
using hardstop::job_state;
using hardstop::outcome_kind;
using testing::HasSubstr;

namespace {

class future_test : public testing::Test {
 protected:
  hardstop::process_pool pool{{.workers = 1}};
};

}  // namespace

TEST_F(future_test, value_and_end_of_the_future) {
  auto job = pool.submit<&square>(7);
  EXPECT_TRUE(job.valid());
  EXPECT_TRUE(job.wait_for(10s));
  EXPECT_EQ(job.state(), job_state::done);
  EXPECT_EQ(job.outcome().kind(), outcome_kind::value);
  EXPECT_EQ(job.get(), 49);
  EXPECT_FALSE(job.valid());
  EXPECT_THROW(job.get(), hardstop::invalid_future);
  EXPECT_THROW(job.wait(), hardstop::invalid_future);
  // Another thread may be about to cancel it just now.
  EXPECT_EQ(job.cancel(), hardstop::cancel_result::too_late);
  EXPECT_EQ(job.state(), job_state::done);
  EXPECT_THROW(hardstop::future<int>().cancel(), hardstop::invalid_future);
}

TEST_F(future_test, moving) {
  auto job = pool.submit<&square>(3);
  hardstop::future<int> moved = std::move(job);
  EXPECT_FALSE(job.valid());  // NOLINT(bugprone-use-after-move): what is tested
  job = std::move(moved);
  EXPECT_EQ(job.get(), 9);
}

TEST_F(future_test, exceptions_carry_type_and_text) {
  auto job = pool.submit<&throw_if_odd>({.name = "picky"}, 3);
  try {
    job.get();
    FAIL();
  } catch (const hardstop::job_exception& thrown) {
    EXPECT_EQ(thrown.type(), "std::invalid_argument");
    EXPECT_EQ(thrown.message(), "odd: 3");
    EXPECT_EQ(thrown.outcome().job(), "picky");
    EXPECT_GT(thrown.outcome().pid(), 0);
    EXPECT_THAT(thrown.what(), HasSubstr("picky"));
  }
}

TEST_F(future_test, waiting_never_kills) {
  auto job = pool.submit<&hang>();
  wait_until_running(job);
  EXPECT_FALSE(job.wait_for(1ms));
  EXPECT_FALSE(job.wait_until(std::chrono::system_clock::now() + 1ms));
  EXPECT_FALSE(job.wait_until(std::chrono::steady_clock::now() - 1s));
  EXPECT_EQ(job.state(), job_state::running);
  EXPECT_FALSE(is_gone(job.pid()));
  job.cancel();
}

TEST_F(future_test, waiting_for_ever_is_no_overflow) {
  auto job = pool.submit<&square>(2);
  EXPECT_TRUE(job.wait_for(std::chrono::hours::max()));
  auto other = pool.submit<&square>(2);
  EXPECT_TRUE(other.wait_until(std::chrono::steady_clock::time_point::max()));
}

// G2: whoever sees the outcome sees no process any more.
TEST_F(future_test, cancel_kills_a_running_job) {
  auto job = pool.submit<&hang>();
  wait_until_running(job);
  const int pid = job.pid();
  EXPECT_EQ(job.cancel(), cancel_result::requested);
  EXPECT_THROW(job.get(), hardstop::job_cancelled);
  EXPECT_TRUE(is_gone(pid));
}

TEST_F(future_test, cancel_takes_a_waiting_job_back) {
  auto running = pool.submit<&hang>();
  wait_until_running(running);
  auto waiting = pool.submit<&square>(3);
  EXPECT_EQ(waiting.cancel(), cancel_result::cancelled);
  EXPECT_EQ(waiting.state(), job_state::done);
  EXPECT_EQ(waiting.outcome().cancel(), cancel_answer::never_started);
  EXPECT_EQ(waiting.pid(), 0);
  EXPECT_EQ(waiting.cancel(), cancel_result::too_late);
  running.cancel();
}

TEST_F(future_test, cancel_after_the_end_does_nothing) {
  auto job = pool.submit<&worker_pid>();
  job.wait();
  EXPECT_EQ(job.cancel(cancel_mode::kill), cancel_result::too_late);
  EXPECT_FALSE(is_gone(job.get()));
}

TEST_F(future_test, a_job_that_obeys_within_its_grace_delivers_its_value) {
  auto job = pool.submit<&until_asked>({.grace = 10s});
  wait_until_running(job);
  EXPECT_EQ(job.cancel(), cancel_result::requested);
  EXPECT_EQ(job.outcome().cancel(), cancel_answer::finished_first);
  EXPECT_EQ(job.get(), 7);
}

TEST_F(future_test, asking_alone_never_kills) {
  auto job = pool.submit<&hang>();
  wait_until_running(job);
  EXPECT_EQ(job.cancel(cancel_mode::ask), cancel_result::requested);
  EXPECT_FALSE(job.wait_for(20ms));
  EXPECT_EQ(job.cancel(cancel_mode::ask_then_kill, 1ms), cancel_result::requested);
  EXPECT_THROW(job.get(), hardstop::job_cancelled);
}

TEST_F(future_test, a_second_cancel_can_be_sooner) {
  auto job = pool.submit<&hang>({.grace = 1h});
  wait_until_running(job);
  job.cancel();
  EXPECT_FALSE(job.wait_for(5ms));
  job.cancel(cancel_mode::kill);
  EXPECT_EQ(job.outcome().cancel(), cancel_answer::killed);
}

TEST_F(future_test, negative_graces_are_refused) {
  auto job = pool.submit<&do_nothing>();
  EXPECT_THROW(job.cancel(cancel_mode::ask_then_kill, -1s), hardstop::bad_options);
  EXPECT_THROW(job.cancel_on(std::stop_token(), cancel_mode::ask_then_kill, -1s),
               hardstop::bad_options);
}

TEST_F(future_test, cancel_on_a_stop_token) {
  std::stop_source source;
  auto job = pool.submit<&hang>().cancel_on(source.get_token());
  wait_until_running(job);
  auto moved = std::move(job);
  source.request_stop();
  EXPECT_THROW(moved.get(), hardstop::job_cancelled);
  auto late = pool.submit<&hang>();
  late.cancel_on(source.get_token());
  EXPECT_THROW(late.get(), hardstop::job_cancelled);
}

TEST_F(future_test, a_dropped_future_follows_no_token) {
  std::stop_source source;
  { auto dropped = pool.submit<&square>(3).cancel_on(source.get_token()); }
  EXPECT_TRUE(source.request_stop());
  pool.shutdown();
  EXPECT_EQ(pool.stats().ended.total(), 1U);
}

TEST_F(future_test, timeouts_belong_to_the_job) {
  auto job = pool.submit<&hang>({.timeout = 20ms, .name = "slow"});
  try {
    job.get();
    FAIL();
  } catch (const hardstop::job_timed_out& late) {
    EXPECT_THAT(late.what(), HasSubstr("job 'slow' timed out"));
    EXPECT_THAT(late.what(), HasSubstr("20 ms"));
    EXPECT_TRUE(is_gone(late.outcome().pid()));
  }
}

TEST_F(future_test, a_crash_is_told_and_the_pool_lives_on) {
  auto job = pool.submit<&crash>();
  const auto how = job.outcome();
  const auto* died = how.as<hardstop::outcome::worker_died>();
  ASSERT_NE(died, nullptr) << how.describe();
  EXPECT_EQ(died->signal, SIGSEGV);
  EXPECT_THROW(job.get(), hardstop::worker_died);
  EXPECT_EQ(pool.submit<&square>(4).get(), 16);
}

TEST_F(future_test, one_thread_waits_while_another_cancels) {
  auto job = pool.submit<&hang>();
  wait_until_running(job);
  std::jthread canceller([&] { job.cancel(); });
  job.wait();
  EXPECT_EQ(job.outcome().kind(), outcome_kind::cancelled);
}

TEST_F(future_test, a_forked_child_is_told_that_it_is_one) {
  auto job = pool.submit<&square>(3);
  job.wait();
  const pid_t child = ::fork();
  if (child == 0) {
    int refusals = 0;
    try {
      job.get();
    } catch (const hardstop::forked_child&) {
      ++refusals;
    }
    try {
      pool.submit<&square>(1);
    } catch (const hardstop::forked_child&) {
      ++refusals;
    }
    ::_exit(refusals);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 2);
  EXPECT_EQ(job.get(), 9);
}
