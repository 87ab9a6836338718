// Histories of acquire, release and kill, recorded by those who take part, in several processes and
// threads, and checked afterwards (G7): at most as many hold as there are permits, and the order of
// the fences is one in which all of it could have happened one after the other.
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "support/board.hpp"
#include "support/pools.hpp"
#include <hardstop/pool.hpp>
#include <hardstop/semaphore.hpp>

namespace {

using hardstop::cancel_mode;
using hardstop::outcome_kind;

std::int64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// One holding, as its holder saw it: within what really was. Zero: it did not come so far.
struct holding {
  std::atomic<std::int64_t> asked;
  std::atomic<std::int64_t> got;
  std::atomic<std::int64_t> gave;
  std::atomic<std::int64_t> killed;  // nobody of it ran after that, and it may have ended before
  std::atomic<std::uint64_t> fence;
  std::atomic<bool> abandoned;
};

constexpr std::size_t most = 20'000;

struct history {
  std::atomic<std::uint32_t> count;
  std::array<holding, most> all;
};

using history_ref = support::board_ref<history>;

holding& next_in(history& of) {
  return of.all.at(of.count.fetch_add(1));
}

void spin_for(std::int64_t nanoseconds) {
  const std::int64_t until = now_ns() + nanoseconds;
  while (now_ns() < until) {
  }
}

void take(const hardstop::semaphore& from, holding& mine, std::int64_t hold_for) {
  mine.asked = now_ns();
  hardstop::permit held = from.acquire();
  mine.got = now_ns();
  mine.fence = held.fence();
  mine.abandoned = held.abandoned();
  spin_for(hold_for);
  mine.gave = now_ns();
  held.release();
}

void take_some(hardstop::semaphore from, history_ref ref, int times, unsigned seed) {
  history& seen = ref.join();
  std::mt19937 random(seed);
  for (int at = 0; at < times; ++at)
    take(from, next_in(seen), static_cast<std::int64_t>(random() % 30'000));
  history_ref::leave(seen);
}

// Its place is chosen by the client, who notes when it was killed.
void take_and_stay(hardstop::semaphore from, history_ref ref, std::uint32_t place) {
  history& seen = ref.join();
  holding& mine = seen.all.at(place);
  mine.asked = now_ns();
  const hardstop::permit held = from.acquire();
  mine.fence = held.fence();
  mine.abandoned = held.abandoned();
  mine.got = now_ns();
  for (;;)
    ::pause();
}

struct checked {
  std::int64_t asked;
  std::int64_t got;
  std::int64_t end;  // a time until which it surely held
  std::uint64_t fence;
};

TEST(permit_histories, are_as_if_one_had_come_after_the_other) {
  constexpr std::uint32_t permits = 2;
  support::board<history> seen("history");
  hardstop::process_pool pool{{.workers = 3}};
  const hardstop::semaphore db(permits, "db");

  std::vector<std::thread> threads;
  for (unsigned thread = 0; thread < 2; ++thread) {
    threads.emplace_back([&, thread] {
      std::mt19937 random(thread);
      for (int at = 0; at < 1000; ++at)
        take(db, next_in(*seen), static_cast<std::int64_t>(random() % 20'000));
    });
  }
  std::vector<hardstop::future<void>> jobs;
  for (unsigned at = 0; at < 20; ++at)
    jobs.push_back(pool.submit<&take_some>(db, seen.ref(), 40, at));
  std::mt19937 random(3);
  int killed = 0;
  for (int at = 0; at < 100; ++at) {
    const std::uint32_t place = seen->count.fetch_add(1);
    auto job = pool.submit<&take_and_stay>({.priority = 1}, db, seen.ref(), place);
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 2'000));
    seen->all.at(place).killed = now_ns();
    job.cancel(cancel_mode::kill);
    const auto kind = job.outcome().kind();
    ASSERT_NE(kind, outcome_kind::exception) << job.outcome().describe();
    killed += kind == outcome_kind::cancelled ? 1 : 0;
  }
  for (auto& job : jobs)
    EXPECT_TRUE(job.outcome().is_value()) << job.outcome().describe();
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_GT(killed, 50);
  EXPECT_EQ(db.stats().available, permits);

  std::vector<checked> all;
  std::size_t abandoned = 0;
  for (std::uint32_t at = 0; at < seen->count; ++at) {
    const holding& each = seen->all.at(at);
    if (each.got == 0) continue;
    abandoned += each.abandoned ? 1U : 0U;
    const std::int64_t end = each.gave != 0 ? each.gave.load() : each.killed.load();
    // One that got it after the moment of its kill held it for an instant nobody knows of.
    all.push_back({.asked = each.asked,
                   .got = each.got,
                   .end = std::max(end, each.got.load()),
                   .fence = each.fence});
  }
  EXPECT_GT(all.size(), 2500U);
  EXPECT_GT(abandoned, 0U);
  std::ranges::sort(all, {}, &checked::fence);
  for (std::size_t at = 1; at < all.size(); ++at)
    ASSERT_LT(all[at - 1].fence, all[at].fence) << "two grants with one fence";

  // Linearizable: whoever had ended before another asked was granted before it.
  std::int64_t latest_ask = 0;
  for (const checked& each : all) {
    ASSERT_GE(each.end, latest_ask) << "granted after one that asked when this had ended";
    latest_ask = std::max(latest_ask, each.asked);
  }

  // At most so many at a time.
  std::vector<std::pair<std::int64_t, int>> steps;
  for (const checked& each : all) {
    steps.emplace_back(each.got, 1);
    steps.emplace_back(each.end, -1);
  }
  std::ranges::sort(steps);  // ends first where times are the same
  int holders = 0;
  for (const auto& [when, change] : steps) {
    holders += change;
    ASSERT_LE(holders, static_cast<int>(permits));
  }
}

}  // namespace
