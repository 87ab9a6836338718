// A job's end is published once, and whoever waits for it hears of it once (G1).
#include "engine/job.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "engine/job_stock.hpp"
#include "os/futex.hpp"

namespace {

using hardstop::detail::continuation;
using hardstop::engine::job;
using hardstop::engine::job_stock;
using hardstop::engine::owned_bytes;

struct counting final : continuation {
  std::atomic<int> runs{0};

  void run() noexcept override { runs.fetch_add(1); }
};

int run_all(continuation* first) {
  int count = 0;
  while (first != nullptr) {
    continuation* now = first;
    first = now->next;
    now->run();
    ++count;
  }
  return count;
}

TEST(a_job, hands_over_what_waits_for_it_when_it_is_done) {
  job done;
  counting first;
  counting second;
  ASSERT_TRUE(done.add(first));
  ASSERT_TRUE(done.add(second));
  EXPECT_FALSE(done.done());
  EXPECT_EQ(run_all(done.settle()), 2);
  EXPECT_TRUE(done.done());
  EXPECT_EQ(first.runs, 1);
  EXPECT_EQ(second.runs, 1);
}

TEST(a_job, that_is_done_takes_nobody_in) {
  job waited_for;
  counting early;
  ASSERT_TRUE(waited_for.add(early));
  run_all(waited_for.settle());
  counting late;
  EXPECT_FALSE(waited_for.add(late));
  EXPECT_EQ(late.runs, 0);

  job unheard_of;  // nobody waited when it ended
  EXPECT_EQ(unheard_of.settle(), nullptr);
  counting later;
  EXPECT_TRUE(unheard_of.add(later)) << "run in place";
  EXPECT_EQ(later.runs, 1);
}

// The race that add() argues about: its push and its second look against settle()'s store and look.
TEST(a_job, runs_each_continuation_once_whatever_comes_first) {
  constexpr int rounds = 3'000;
  for (int round = 0; round < rounds; ++round) {
    job raced;
    std::array<counting, 2> waiting;
    std::atomic<int> here{0};
    const auto together = [&] {
      here.fetch_add(1);
      while (here.load() < 2) {
        std::this_thread::yield();
      }
    };
    std::thread adder([&] {
      together();
      for (counting& each : waiting) {
        if (!raced.add(each)) each.run();
      }
    });
    together();
    run_all(raced.settle());
    adder.join();
    ASSERT_EQ(waiting[0].runs, 1) << "round " << round;
    ASSERT_EQ(waiting[1].runs, 1) << "round " << round;
  }
}

TEST(a_job, wakes_who_announced_a_wait) {
  for (int round = 0; round < 2'000; ++round) {
    job slept_for;
    std::thread sleeper([&] {
      while (!slept_for.done()) {
        const auto word = slept_for.announce();
        hardstop::os::futex_wait(*word.word, word.expected, word.scope);
      }
    });
    EXPECT_EQ(slept_for.settle(), nullptr);
    sleeper.join();  // hangs if the wake-up was lost
  }
}

TEST(owned_bytes, are_aligned_and_equal_whether_small_or_large) {
  for (const std::size_t size : {0U, 1U, 47U, 48U, 49U, 5000U}) {
    std::vector<std::byte> source(size, std::byte{0x5a});
    owned_bytes kept;
    kept.assign(source);
    ASSERT_EQ(kept.view().size(), size);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(kept.view().data()) % owned_bytes::alignment, 0U);
    EXPECT_TRUE(size == 0 || std::memcmp(kept.view().data(), source.data(), size) == 0);
    kept.assign(std::span(source).first(size / 2));
    EXPECT_EQ(kept.view().size(), size / 2);
    kept.clear();
    EXPECT_TRUE(kept.view().empty());
  }
}

TEST(the_stock_of_jobs, takes_back_from_any_thread) {
  job_stock stock;
  constexpr int count = 5'000;
  for (int round = 0; round < 4; ++round) {
    std::vector<job*> taken;
    for (int i = 0; i < count; ++i)
      taken.push_back(stock.take());
    const auto give = [&](std::size_t from) {
      for (std::size_t i = from; i < taken.size(); i += 2) {
        if (taken[i]->release()) stock.give_back(taken[i]);
      }
    };
    std::thread other(give, 1);
    give(0);
    // While they come back, new ones are taken: nothing is handed out twice.
    job* fresh = stock.take();
    EXPECT_FALSE(fresh->done());
    stock.give_back(fresh);
    other.join();
  }
}

}  // namespace
