// The in-process queue, beyond what every source promises.
#include <chrono>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "service/queue/jobs.hpp"
#include "support/board.hpp"
#include <hardstop/errors.hpp>
#include <hardstop/memory_queue.hpp>

namespace hardstop::test {
namespace {

using namespace std::chrono_literals;
using testing::IsEmpty;

TEST(memory_queue, is_exhausted_when_it_is_closed_and_all_is_settled) {
  memory_queue jobs;
  jobs.enqueue("last", {1, 2});
  jobs.close();
  expect_failure<queue_failure>([&] { jobs.enqueue("too late"); }, {"closed", "too late"});
  const auto taken = jobs.take(1, 0s);
  EXPECT_FALSE(taken.exhausted);
  EXPECT_FALSE(jobs.take(1, 0s).exhausted);  // it may come back
  auto waiter = std::async(std::launch::async, [&] { return jobs.take(1, support::patience); });
  EXPECT_THAT(jobs.ack(receipts_of(taken)), IsEmpty());
  EXPECT_TRUE(waiter.get().exhausted);
}

TEST(memory_queue, says_what_it_has_given_up) {
  memory_queue jobs{{.max_attempts = 1}};
  jobs.enqueue("fails");
  const auto id = jobs.enqueue("unwanted");
  const nacked_job failed{.receipt = jobs.take(1, 0s).jobs.at(0).receipt,
                          .reason = nack_reason::failed,
                          .text = "so it goes"};
  EXPECT_THAT(jobs.nack({&failed, 1}), IsEmpty());
  EXPECT_TRUE(jobs.cancel(id));
  EXPECT_EQ(jobs.size(), 0U);
  const auto abandoned = jobs.abandoned();
  ASSERT_EQ(abandoned.size(), 2U);
  EXPECT_EQ(abandoned[0].receipt, failed.receipt);
  EXPECT_EQ(abandoned[0].text, "so it goes");
  EXPECT_EQ(abandoned[1].reason, nack_reason::cancelled);
}

TEST(memory_queue, ends_a_wait_when_it_is_interrupted) {
  memory_queue jobs;
  auto waiter =
      std::async(std::launch::async, [&] { return jobs.take(1, support::patience * 10); });
  jobs.interrupt();
  EXPECT_THAT(waiter.get().jobs, IsEmpty());
}

TEST(memory_queue, refuses_what_makes_no_sense) {
  expect_failure<bad_options>([] { memory_queue{{.max_attempts = 0}}; }, {"max_attempts"});
  memory_queue jobs;
  expect_failure<message_refused>([&] { jobs.enqueue(""); }, {"no name"});
  expect_failure<message_refused>([&] { jobs.enqueue("bad", 7); }, {"bad", "array"});
}

TEST(memory_queue, is_used_by_many_threads) {
  constexpr std::size_t all = 600;
  memory_queue jobs;
  support::counter told;
  jobs.on_cancel([&](const receipt&) { told.add(); });
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 3; ++thread) {
    threads.emplace_back([&] {
      for (std::size_t each = 0; each < all / 3; ++each)
        jobs.cancel(jobs.enqueue("work"));
    });
  }
  std::atomic<bool> stop{false};
  std::thread taker{[&] {
    while (!stop)
      EXPECT_THAT(jobs.ack(receipts_of(jobs.take(4, 1ms))), IsEmpty());
  }};
  for (auto& each : threads)
    each.join();
  while (jobs.size() != 0)
    std::this_thread::yield();
  stop = true;
  jobs.interrupt();
  taker.join();
  jobs.on_cancel({});
}

}  // namespace
}  // namespace hardstop::test
