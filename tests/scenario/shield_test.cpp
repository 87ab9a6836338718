// A job shields a section for a time that it names; the canceller decides (G8).
#include <unistd.h>

#include <chrono>
#include <stop_token>
#include <thread>

#include <gtest/gtest.h>

#include "support/board.hpp"
#include "support/pools.hpp"
#include <hardstop/pool.hpp>
#include <hardstop/shield.hpp>

namespace {

using hardstop::cancel_mode;
using hardstop::outcome_kind;
using namespace std::chrono_literals;

struct scene {
  support::counter inside;
  support::counter go;
  support::counter written;
};

using scene_ref = support::board_ref<scene>;

[[noreturn]] void stay() {
  for (;;)
    ::pause();
}

void write_shielded(scene_ref ref, std::chrono::nanoseconds longest) {
  const auto seen = ref.visit();
  {
    const hardstop::shield section(longest, "writing");
    const hardstop::shield inner(1ms);
    seen->inside.add();
    static_cast<void>(seen->go.wait_for(1));
    seen->written.add();
  }
  stay();
}

void finish_shielded(std::stop_token asked, scene_ref ref) {
  const hardstop::shield section(50s, "writing");
  ref.visit()->inside.add();
  while (!asked.stop_requested())
    std::this_thread::sleep_for(1ms);
}

class shields : public testing::Test {
 protected:
  support::board<scene> seen_{"shields"};
  hardstop::process_pool pool_{{.workers = 2}};
};

TEST_F(shields, let_a_cancel_wait_until_they_end) {
  auto job =
      pool_.submit<&write_shielded>({.name = "writer"}, seen_.ref(), std::chrono::nanoseconds(60s));
  ASSERT_TRUE(seen_->inside.wait_for(1));
  job.cancel();
  EXPECT_FALSE(job.wait_for(30ms));
  const auto now = pool_.stats();
  ASSERT_EQ(now.shielded_now.size(), 1U);
  EXPECT_EQ(now.shielded_now.front().reason, "writing");
  EXPECT_EQ(now.shielded_now.front().job, "writer");
  seen_->go.set(1);
  EXPECT_EQ(job.outcome().kind(), outcome_kind::cancelled);
  EXPECT_EQ(seen_->written.get(), 1U);
  EXPECT_EQ(pool_.stats().shields, 1U);
  EXPECT_GE(pool_.stats().shielded, 30ms);
}

TEST_F(shields, end_when_the_time_they_named_is_over) {
  auto job = pool_.submit<&write_shielded>(seen_.ref(), std::chrono::nanoseconds(20ms));
  ASSERT_TRUE(seen_->inside.wait_for(1));
  job.cancel();
  EXPECT_EQ(job.outcome().kind(), outcome_kind::cancelled);
  EXPECT_EQ(seen_->written.get(), 0U);
}

TEST_F(shields, hold_neither_a_kill_nor_a_deadline) {
  auto killed = pool_.submit<&write_shielded>(seen_.ref(), std::chrono::nanoseconds(60s));
  ASSERT_TRUE(seen_->inside.wait_for(1));
  killed.cancel(cancel_mode::kill);
  EXPECT_EQ(killed.outcome().kind(), outcome_kind::cancelled);
  auto late =
      pool_.submit<&write_shielded>({.timeout = 20ms}, seen_.ref(), std::chrono::nanoseconds(60s));
  EXPECT_EQ(late.outcome().kind(), outcome_kind::timed_out);
  EXPECT_EQ(seen_->written.get(), 0U);
}

TEST_F(shields, let_a_job_finish_that_is_asked) {
  auto job = pool_.submit<&finish_shielded>(seen_.ref());
  ASSERT_TRUE(seen_->inside.wait_for(1));
  job.cancel();
  const auto end = job.outcome();
  // It ends with the section: its result or the kill, whichever comes first.
  EXPECT_TRUE(end.is_value() || end.kind() == outcome_kind::cancelled) << end.describe();
  EXPECT_NE(end.cancel(), hardstop::cancel_answer::not_requested);
}

TEST_F(shields, are_for_jobs) {
  EXPECT_THROW(hardstop::shield(1s), hardstop::error);
}

}  // namespace
