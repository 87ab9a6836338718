// What runs next, and what happens to those for whom there is no room.
#include <atomic>
#include <chrono>
#include <mutex>
#include <numeric>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "scenario/gates.hpp"
#include "support/board.hpp"
#include "support/pools.hpp"
#include "support/processes.hpp"
#include <hardstop/pool.hpp>

namespace {

using namespace std::chrono_literals;
using scenario::gates;

class queue : public testing::Test {
 protected:
  // One worker, busy until the gate opens, so that all others wait.
  void occupy(hardstop::process_pool& pool) {
    blocker_ = pool.submit<&scenario::pass>(seen_.ref(), -1, 1U);
    ASSERT_TRUE(seen_->begun.wait_for(1));
  }

  hardstop::future<int> submit(hardstop::process_pool& pool, int number, int priority = 0) {
    return pool.submit<&scenario::pass>({.priority = priority}, seen_.ref(), number, 1U);
  }

  std::vector<int> order(std::size_t count) {
    EXPECT_TRUE(seen_->passed.wait_for(static_cast<std::uint32_t>(count) + 1));
    std::vector<int> numbers;
    for (std::size_t place = 1; place <= count; ++place)
      numbers.push_back(seen_->order[place]);
    return numbers;
  }

  support::board<gates> seen_{"queue"};
  hardstop::future<int> blocker_;
};

TEST_F(queue, is_first_in_first_out) {
  hardstop::process_pool pool({.workers = 1, .spares = 0});
  occupy(pool);
  for (int number = 0; number < 200; ++number)
    (void)submit(pool, number);
  seen_->open.set(1);
  std::vector<int> expected(200);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(order(200), expected);
}

TEST_F(queue, lets_higher_priorities_pass_and_is_stable_within_one) {
  hardstop::process_pool pool({.workers = 1, .spares = 0});
  occupy(pool);
  for (int number = 0; number < 60; ++number)
    (void)submit(pool, number, number % 3);
  seen_->open.set(1);
  std::vector<int> expected;
  for (int priority = 2; priority >= 0; --priority) {
    for (int number = priority; number < 60; number += 3)
      expected.push_back(number);
  }
  EXPECT_EQ(order(60), expected);
}

// Frames that wait in a lane are called back: tiny jobs made the lane deep, one of them is long.
TEST_F(queue, lets_a_higher_priority_pass_what_waits_in_a_lane) {
  hardstop::process_pool pool({.workers = 1, .spares = 0});
  for (int warm = 0; warm < 2000; ++warm)
    (void)pool.submit<&support::twice>(warm);
  EXPECT_EQ(pool.submit<&support::twice>(4).get(), 8);
  occupy(pool);
  for (int number = 0; number < 50; ++number)
    (void)submit(pool, number, 0);
  (void)submit(pool, 100, 1);
  seen_->open.set(1);
  EXPECT_EQ(order(51).front(), 100);
}

// A long job must not hold hostage what was put behind it into the same lane.
TEST_F(queue, of_a_lane_moves_on_when_its_worker_is_held_up) {
  hardstop::process_pool pool({.workers = 2});
  for (int warm = 0; warm < 2000; ++warm)
    (void)pool.submit<&support::twice>(warm);
  std::vector<hardstop::future<int>> jobs;
  occupy(pool);
  for (int number = 0; number < 100; ++number) {
    jobs.push_back(pool.submit<&support::twice>(number));
  }
  for (int number = 0; number < 100; ++number) {
    EXPECT_EQ(jobs[static_cast<std::size_t>(number)].get(), 2 * number);
  }
  seen_->open.set(1);
}

// As many as are let in: those in the worker's lane do not count.
TEST_F(queue, that_is_full_rejects) {
  hardstop::process_pool pool(
      {.workers = 1, .spares = 0, .max_pending = 3, .when_full = hardstop::when_full::reject});
  occupy(pool);
  std::vector<hardstop::future<int>> jobs;
  const auto fill = [&] {
    EXPECT_THROW(
        while (jobs.size() < 100) jobs.push_back(submit(pool, static_cast<int>(jobs.size()))),
        hardstop::queue_full);
  };
  fill();
  EXPECT_EQ(pool.stats().rejected, 1U);
  EXPECT_EQ(pool.stats().queued, 3U);
  const auto accepted = jobs.size();
  EXPECT_EQ(jobs.back().cancel(), hardstop::cancel_result::cancelled);
  fill();
  EXPECT_EQ(jobs.size(), accepted + 1) << "in the cancelled one's place, and no more";
  seen_->open.set(1);
  for (std::size_t number = 0; number < jobs.size(); ++number) {
    if (number == accepted - 1) continue;
    EXPECT_EQ(jobs[number].get(), static_cast<int>(number));
  }
}

TEST_F(queue, that_is_full_blocks_until_there_is_room) {
  hardstop::process_pool pool({.workers = 1, .spares = 0, .max_pending = 2});
  occupy(pool);
  constexpr int jobs = 50;
  std::atomic<int> in{0};
  std::thread submitter([&] {
    std::vector<hardstop::future<int>> futures;
    for (; in < jobs; ++in)
      futures.push_back(submit(pool, in));
    for (auto& future : futures)
      future.wait();
  });
  EXPECT_TRUE(support::comes_true([&] { return pool.stats().queued == 2; }));
  EXPECT_FALSE(support::comes_true([&] { return pool.stats().queued > 2 || in == jobs; }, 20ms));
  seen_->open.set(1);
  submitter.join();
  std::vector<int> expected(jobs);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(order(jobs), expected);
}

TEST_F(queue, that_is_full_lets_go_of_whom_it_blocks_when_the_pool_closes) {
  hardstop::process_pool pool({.workers = 1, .spares = 0, .max_pending = 1});
  occupy(pool);
  std::vector<hardstop::future<int>> accepted;
  support::counter closed;
  std::thread submitter([&] {
    try {
      while (accepted.size() < 100)
        accepted.push_back(submit(pool, 0));
    } catch (const hardstop::pool_closed&) {
      closed.add();
    }
  });
  EXPECT_TRUE(support::comes_true([&] { return pool.stats().queued == 1; }));
  EXPECT_EQ(closed.get(), 0U);
  pool.shutdown({.wait = false});
  submitter.join();
  EXPECT_EQ(closed.get(), 1U);
  seen_->open.set(1);
  for (auto& job : accepted)
    EXPECT_EQ(job.get(), 0);
}

// Many threads against a small bound: everybody gets in, nobody twice.
TEST_F(queue, with_a_bound_serves_many_threads) {
  hardstop::process_pool pool({.workers = 2, .max_pending = 4});
  std::atomic<long> sum{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      for (int number = 0; number < 2'000; ++number) {
        sum += pool.submit<&support::twice>(number).get();
      }
    });
  }
  for (auto& thread : threads)
    thread.join();
  EXPECT_EQ(sum, 4L * 2 * 1999 * 2000 / 2);
}

// All pools share the thread that runs callbacks: one that waited there would wait for ever.
TEST_F(queue, that_is_full_does_not_block_a_callback) {
  hardstop::process_pool crowded({.workers = 1, .spares = 0, .max_pending = 1});
  occupy(crowded);
  std::vector<hardstop::future<int>> waiting;
  while (crowded.stats().queued == 0)
    waiting.push_back(submit(crowded, 1));
  support::counter refused;
  {
    hardstop::pool_options options{.workers = 1};
    options.on_event = [&](const hardstop::event&) {
      try {
        (void)submit(crowded, 2);
      } catch (const hardstop::queue_full&) {
        refused.add();
      }
    };
    hardstop::process_pool other(options);
    EXPECT_EQ(other.submit<&support::twice>(1).get(), 2);
    EXPECT_TRUE(refused.wait_for(1));
  }
  seen_->open.set(1);
  for (auto& job : waiting)
    EXPECT_EQ(job.get(), 1);
}

}  // namespace
