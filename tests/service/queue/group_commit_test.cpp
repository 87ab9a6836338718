// Several threads' changes in one transaction.
#include "service/queue/group_commit.hpp"

#include <atomic>
#include <future>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "service/queue/folder.hpp"
#include "service/queue/jobs.hpp"
#include "support/board.hpp"

namespace hardstop::test {
namespace {

struct request {
  int number = 0;
  int committed = 0;
};

TEST(group_commit, commits_together_what_came_while_another_was_committed) {
  std::promise<void> first_is_in;
  std::promise<void> let_first_go;
  std::vector<std::size_t> sizes;
  storage::group_commit<request> group{[&](std::span<request* const> all) {
    sizes.push_back(all.size());
    if (sizes.size() == 1) {
      first_is_in.set_value();
      let_first_go.get_future().wait();
    }
    for (auto* const each : all)
      ++each->committed;
  }};
  request first;
  std::thread leader{[&] { group.submit(first); }};
  first_is_in.get_future().wait();
  std::vector<request> others(8);
  std::vector<std::thread> followers;
  for (auto& each : others)
    followers.emplace_back([&] { group.submit(each); });
  while (group.waiting() < others.size())
    std::this_thread::yield();
  let_first_go.set_value();
  leader.join();
  for (auto& each : followers)
    each.join();
  EXPECT_EQ(sizes, (std::vector<std::size_t>{1, others.size()}));
  for (const auto& each : others)
    EXPECT_EQ(each.committed, 1);
}

TEST(group_commit, fails_nobody_for_anothers_fault) {
  storage::group_commit<request> group{[](std::span<request* const> all) {
    for (const auto* const each : all) {
      if (each->number % 3 == 0) throw std::runtime_error(std::to_string(each->number));
    }
    for (auto* const each : all)
      ++each->committed;
  }};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&group, thread] {
      for (int each = 0; each < 200; ++each) {
        request mine{.number = thread + each};
        std::string failure;
        try {
          group.submit(mine);
        } catch (const std::runtime_error& error) {
          failure = error.what();
        }
        const bool bad = mine.number % 3 == 0;
        EXPECT_EQ(failure, bad ? std::to_string(mine.number) : "");
        EXPECT_EQ(mine.committed, bad ? 0 : 1);
      }
    });
  }
  for (auto& each : threads)
    each.join();
}

TEST(threads_of_one_process, enqueue_take_and_settle_at_the_same_time) {
  constexpr std::size_t each_enqueues = 100;
  constexpr std::size_t all = 3 * each_enqueues;
  const folder home;
  queue jobs{home / "jobs.db", quick};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 3; ++thread) {
    threads.emplace_back([&] {
      for (std::size_t each = 0; each < each_enqueues; ++each)
        jobs.enqueue("work");
    });
  }
  std::thread watcher{[&] {
    while (jobs.count(queued_state::done) < all)
      std::this_thread::yield();
  }};
  for (std::size_t done = 0; done < all;) {
    const auto taken = receipts_of(jobs.take(16, support::patience));
    ASSERT_FALSE(taken.empty());
    std::async(std::launch::async, [&] { EXPECT_TRUE(jobs.ack(taken).empty()); }).wait();
    done += taken.size();
  }
  watcher.join();
  for (auto& each : threads)
    each.join();
}

}  // namespace
}  // namespace hardstop::test
