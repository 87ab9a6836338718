// The canceller decides how a job is stopped, and the pool's owner how a pool ends (G8).
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "scenario/gates.hpp"
#include "support/board.hpp"
#include "support/pools.hpp"
#include "support/processes.hpp"
#include <hardstop/pool.hpp>

namespace {

using hardstop::cancel_answer;
using hardstop::cancel_mode;
using hardstop::cancel_result;
using hardstop::outcome_kind;
using namespace std::chrono_literals;
using scenario::gates;
using scenario::gates_ref;
using extent = hardstop::outcome::cancelled::extent;
using source = hardstop::outcome::cancelled::source;

// Obeys when asked.
int until_asked(std::stop_token token, gates_ref ref) {
  ref.visit()->begun.add();
  while (!token.stop_requested())
    ::usleep(100);
  return 7;
}

// Is told, and goes on until the gate opens.
int hears_and_goes_on(std::stop_token token, gates_ref ref) {
  const auto seen = ref.visit();
  const std::stop_callback told(token, [&] { seen->passed.add(); });
  seen->begun.add();
  (void)seen->open.wait_for(1);
  return 8;
}

class stopping : public testing::Test {
 protected:
  support::board<gates> seen_{"stopping"};
  hardstop::process_pool pool_{{.workers = 2}};
};

TEST_F(stopping, by_asking_lets_the_job_end_by_itself) {
  auto job = pool_.submit<&until_asked>(seen_.ref());
  ASSERT_TRUE(seen_->begun.wait_for(1));
  EXPECT_EQ(job.cancel(cancel_mode::ask), cancel_result::requested);
  const auto end = job.outcome();
  EXPECT_TRUE(end.is_value()) << end.describe();
  EXPECT_EQ(end.cancel(), cancel_answer::finished_first);
  EXPECT_EQ(job.get(), 7);
  EXPECT_EQ(pool_.stats().kills, 0U);
}

TEST_F(stopping, by_asking_does_nothing_to_one_that_does_not_care) {
  auto job = pool_.submit<&hears_and_goes_on>(seen_.ref());
  ASSERT_TRUE(seen_->begun.wait_for(1));
  EXPECT_EQ(job.cancel(cancel_mode::ask), cancel_result::requested);
  ASSERT_TRUE(seen_->passed.wait_for(1)) << "it was told";
  EXPECT_EQ(job.state(), hardstop::job_state::running);
  seen_->open.set(1);
  EXPECT_EQ(job.get(), 8);
  EXPECT_EQ(pool_.stats().kills, 0U);
}

TEST_F(stopping, within_the_grace_keeps_the_value) {
  auto job = pool_.submit<&until_asked>({.grace = 1min}, seen_.ref());
  ASSERT_TRUE(seen_->begun.wait_for(1));
  EXPECT_EQ(job.cancel(), cancel_result::requested);
  EXPECT_EQ(job.get(), 7);
}

TEST_F(stopping, after_the_grace_kills) {
  auto job = pool_.submit<&hears_and_goes_on>({.grace = 20ms}, seen_.ref());
  ASSERT_TRUE(seen_->begun.wait_for(1));
  EXPECT_EQ(job.cancel(), cancel_result::requested);
  const auto end = job.outcome();
  ASSERT_EQ(end.kind(), outcome_kind::cancelled) << end.describe();
  EXPECT_EQ(end.as<hardstop::outcome::cancelled>()->how, extent::killed);
  EXPECT_EQ(end.cancel(), cancel_answer::killed);
  EXPECT_EQ(seen_->passed.get(), 1U) << "it was asked first";
}

TEST_F(stopping, can_be_made_harder_but_not_softer) {
  auto job = pool_.submit<&hears_and_goes_on>({.grace = 1h}, seen_.ref());
  ASSERT_TRUE(seen_->begun.wait_for(1));
  EXPECT_EQ(job.cancel(), cancel_result::requested);
  ASSERT_TRUE(seen_->passed.wait_for(1));
  EXPECT_FALSE(job.wait_for(1ms));
  EXPECT_EQ(job.cancel(cancel_mode::ask_then_kill, 1ms), cancel_result::requested);
  EXPECT_EQ(job.cancel(cancel_mode::ask_then_kill, 1h), cancel_result::requested);
  EXPECT_EQ(job.cancel(cancel_mode::ask), cancel_result::requested);
  EXPECT_EQ(job.outcome().kind(), outcome_kind::cancelled);
  EXPECT_EQ(job.cancel(cancel_mode::kill), cancel_result::too_late);
}

TEST_F(stopping, a_job_that_has_not_started_is_immediate) {
  std::vector<hardstop::future<int>> blockers;
  for (int number = 0; number < 2; ++number) {
    blockers.push_back(pool_.submit<&scenario::pass>(seen_.ref(), number, 1U));
  }
  ASSERT_TRUE(seen_->begun.wait_for(2));
  auto job = pool_.submit<&scenario::pass>(seen_.ref(), 9, 0U);
  EXPECT_EQ(job.cancel(cancel_mode::ask), cancel_result::cancelled);
  EXPECT_EQ(job.state(), hardstop::job_state::done);
  const auto end = job.outcome();
  EXPECT_EQ(end.as<hardstop::outcome::cancelled>()->how, extent::never_started);
  EXPECT_EQ(end.cancel(), cancel_answer::never_started);
  EXPECT_EQ(end.pid(), 0);
  EXPECT_EQ(end.attempt(), 0U);
  seen_->open.set(1);
  for (auto& blocker : blockers)
    blocker.wait();
  EXPECT_EQ(seen_->begun.get(), 2U);
}

TEST_F(stopping, by_a_token_works_while_somebody_waits) {
  std::stop_source owner;
  auto job = pool_.submit<&scenario::linger>(seen_.ref()).cancel_on(owner.get_token());
  support::counter stopped;
  std::thread waiting([&] {
    EXPECT_THROW(job.get(), hardstop::job_cancelled);
    stopped.add();
  });
  EXPECT_TRUE(seen_->begun.wait_for(1));
  owner.request_stop();
  EXPECT_TRUE(stopped.wait_for(1, 20s)) << "get() does not hear of it";
  EXPECT_EQ(support::describe(support::survivors(seen_.mark())), "");
  pool_.shutdown({.timeout = 0s});
  waiting.join();
}

TEST_F(stopping, asks_for_the_attempt_that_runs_and_no_later_one) {
  for (int round = 1; round <= 200; ++round) {
    auto asked = pool_.submit<&until_asked>(seen_.ref());
    ASSERT_TRUE(seen_->begun.wait_for(static_cast<std::uint32_t>(round)));
    asked.cancel(cancel_mode::ask);
    // The next job on that worker must not find itself asked.
    auto next = pool_.submit([](std::stop_token token) { return token.stop_requested(); });
    EXPECT_FALSE(next.get());
    EXPECT_EQ(asked.get(), 7);
  }
}

// How a pool ends.

class ending : public testing::Test {
 protected:
  // Two running, and some that wait.
  void fill() {
    for (int number = 0; number < 2; ++number) {
      running_.push_back(pool_->submit<&scenario::pass>(seen_.ref(), number, 1U));
    }
    ASSERT_TRUE(seen_->begun.wait_for(2));
    for (int number = 2; number < 10; ++number) {
      waiting_.push_back(pool_->submit<&scenario::pass>(seen_.ref(), number, 1U));
    }
    above_ = support::ancestry::of_guardian(support::look_at(running_[0].pid())->parent);
  }

  void expect_processes_gone() {
    EXPECT_TRUE(above_.guardian.wait_gone());
    EXPECT_TRUE(above_.warden.wait_gone());
  }

  void expect_killed(const hardstop::outcome& end) {
    const auto* const cancelled = end.as<hardstop::outcome::cancelled>();
    ASSERT_NE(cancelled, nullptr) << end.describe();
    EXPECT_EQ(cancelled->by, source::shutdown) << end.describe();
    EXPECT_EQ(cancelled->how, extent::killed) << end.describe();
  }

  void expect_never_started(const hardstop::outcome& end) {
    const auto* const not_started = end.as<hardstop::outcome::not_started>();
    ASSERT_NE(not_started, nullptr) << end.describe();
    EXPECT_EQ(not_started->why, hardstop::outcome::not_started::cause::shutdown) << end.describe();
  }

  support::board<gates> seen_{"ending"};
  std::vector<hardstop::future<int>> running_;
  std::vector<hardstop::future<int>> waiting_;
  support::ancestry above_;
  std::optional<hardstop::process_pool> pool_{std::in_place, hardstop::pool_options{.workers = 2}};
};

TEST_F(ending, by_destruction_finishes_what_was_accepted) {
  fill();
  std::thread opener([&] { seen_->open.set(1); });
  pool_.reset();
  opener.join();
  for (auto& job : running_)
    EXPECT_EQ(job.outcome().kind(), outcome_kind::value);
  for (auto& job : waiting_)
    EXPECT_EQ(job.outcome().kind(), outcome_kind::value);
  expect_processes_gone();
}

TEST_F(ending, without_waiting_goes_on_in_the_background) {
  fill();
  pool_->shutdown({.wait = false});
  EXPECT_THROW((void)pool_->submit<&support::twice>(1), hardstop::pool_closed);
  EXPECT_EQ(running_[0].state(), hardstop::job_state::running);
  seen_->open.set(1);
  for (auto& job : waiting_)
    EXPECT_EQ(job.outcome().kind(), outcome_kind::value);
  expect_processes_gone();
}

TEST_F(ending, cancels_what_has_not_started_if_told_to) {
  fill();
  pool_->shutdown({.wait = false, .cancel_pending = true});
  for (auto& job : waiting_)
    expect_never_started(job.outcome());
  seen_->open.set(1);
  for (auto& job : running_)
    EXPECT_EQ(job.outcome().kind(), outcome_kind::value);
  expect_processes_gone();
}

TEST_F(ending, kills_what_still_runs_when_its_time_is_over) {
  fill();
  pool_->shutdown({.timeout = 50ms});
  for (auto& job : running_)
    expect_killed(job.outcome());
  for (auto& job : waiting_)
    expect_never_started(job.outcome());
  expect_processes_gone();
}

TEST_F(ending, at_once_with_no_time_at_all) {
  fill();
  pool_->shutdown({.timeout = 0s});
  for (auto& job : running_)
    expect_killed(job.outcome());
  for (auto& job : waiting_)
    expect_never_started(job.outcome());
  expect_processes_gone();
  pool_->shutdown();
}

TEST_F(ending, can_be_made_harder) {
  fill();
  pool_->shutdown({.wait = false, .timeout = 1h});
  std::thread patient([&] { pool_->shutdown(); });
  pool_->shutdown({.timeout = 10ms});
  patient.join();
  for (auto& job : running_)
    expect_killed(job.outcome());
  expect_processes_gone();
}

TEST_F(ending, of_a_pool_that_never_had_a_job_is_nothing) {
  pool_->shutdown();
  pool_.reset();
}

TEST(ending_in_a_callback, is_refused_if_it_would_wait_for_itself) {
  std::atomic<hardstop::process_pool*> pool{nullptr};
  support::counter refused;
  hardstop::process_pool busy({.workers = 1, .on_event = [&](const hardstop::event&) {
                                 if (pool == nullptr) return;
                                 try {
                                   pool.load()->shutdown();
                                 } catch (const hardstop::would_deadlock&) {
                                   refused.add();
                                 }
                               }});
  pool = &busy;
  EXPECT_EQ(busy.submit<&support::twice>(1).get(), 2);
  EXPECT_TRUE(refused.wait_for(1));
  pool = nullptr;
}

}  // namespace
