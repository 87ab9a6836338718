// Workers killed from outside, at any instant, under load and idle (G1, G4).
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "support/board.hpp"
#include "support/pools.hpp"
#include "support/processes.hpp"
#include <hardstop/pool.hpp>

namespace {

using hardstop::outcome_kind;

constexpr int jobs = 100'000;

struct tally {
  support::counter ended_jobs;
  std::array<std::atomic<std::uint8_t>, jobs> begun;
  std::array<std::atomic<std::uint8_t>, jobs> ended;
};

// Mostly nothing, now and then some tens of microseconds, a few times longer.
int small_job(support::board_ref<tally> ref, int number) {
  static tally& record = ref.join();  // one pool, one board: joined once in a worker's life
  const auto place = static_cast<std::size_t>(number);
  ++record.begun[place];
  const int turns = number % 512 == 0 ? 300'000 : number % 64 == 0 ? 20'000 : 0;
  for (volatile int turn = 0; turn < turns;)
    turn = turn + 1;
  ++record.ended[place];
  record.ended_jobs.add();
  return 3 * number;
}

// Knows the living workers of one pool by its news, spares included, and kills some.
class assassin {
 public:
  explicit assassin(unsigned seed) : random_(seed) {}

  std::function<void(const hardstop::event&)> sink() {
    return [this](const hardstop::event& news) {
      if (news.kind != hardstop::event_kind::worker_started) return;
      support::watched_process worker(news.pid);
      // By the time we hear of it its number may be somebody else's.
      const auto line = support::look_at(news.pid);
      if (!worker || !line || line->name != "hardstop-worker") return;
      const std::lock_guard lock(mutex_);
      workers_.push_back(std::move(worker));
    };
  }

  // Returns whether there was one to kill.
  bool kill_one() {
    const std::lock_guard lock(mutex_);
    std::erase_if(workers_, [](const support::watched_process& worker) { return worker.gone(); });
    if (workers_.empty()) return false;
    const auto victim = random_() % workers_.size();
    if (!workers_[victim].send(SIGKILL)) return false;
    workers_.erase(workers_.begin() + static_cast<std::ptrdiff_t>(victim));
    ++kills_;
    return true;
  }

  std::size_t kill_all() {
    std::size_t killed = 0;
    while (kill_one())
      ++killed;
    return killed;
  }

  [[nodiscard]] std::uint64_t kills() const { return kills_; }

 private:
  std::mutex mutex_;
  std::vector<support::watched_process> workers_;
  std::minstd_rand random_;
  std::atomic<std::uint64_t> kills_{0};
};

struct storm_result {
  std::map<outcome_kind, std::uint64_t> ended;
  std::uint64_t kills = 0;
  hardstop::pool_stats stats;
};

// All jobs, while a worker is killed for every `jobs_per_kill` that have ended.
storm_result run_storm(const support::board<tally>& record, unsigned retries,
                       std::uint32_t jobs_per_kill) {
  assassin killer(4711);
  hardstop::process_pool pool({.workers = 3, .on_event = killer.sink()});
  std::atomic<bool> over{false};
  std::thread storm([&] {
    for (std::uint32_t next = jobs_per_kill; !over; next += jobs_per_kill) {
      while (!record->ended_jobs.wait_for(next, std::chrono::milliseconds(10))) {
        if (over) return;
      }
      killer.kill_one();
    }
  });

  std::vector<hardstop::future<int>> futures;
  futures.reserve(jobs);
  for (int number = 0; number < jobs; ++number) {
    futures.push_back(pool.submit<&small_job>({.retries = retries}, record.ref(), number));
  }
  storm_result result;
  for (int number = 0; number < jobs; ++number) {
    auto& future = futures[static_cast<std::size_t>(number)];
    const auto end = future.outcome();
    ++result.ended[end.kind()];
    if (end.is_value()) {
      EXPECT_EQ(future.get(), 3 * number);
      EXPECT_EQ(record->ended[static_cast<std::size_t>(number)] >= 1, true) << number;
    } else if (const auto* const died = end.as<hardstop::outcome::worker_died>()) {
      EXPECT_EQ(died->signal, SIGKILL) << end.describe();
    }
  }
  over = true;
  storm.join();
  result.kills = killer.kills();
  result.stats = pool.stats();
  return result;
}

// G1, G4
TEST(kill_storm, costs_at_most_one_job_per_kill) {
  const support::board<tally> record("storm");
  const auto result = run_storm(record, 0, 250);

  const auto died = result.ended.contains(outcome_kind::worker_died)
                        ? result.ended.at(outcome_kind::worker_died)
                        : 0;
  EXPECT_GT(result.kills, 100U);
  EXPECT_LE(died, result.kills);
  EXPECT_EQ(result.ended.at(outcome_kind::value) + died, static_cast<std::uint64_t>(jobs))
      << "something ended otherwise";
  for (const auto& begun : record->begun)
    EXPECT_LE(begun, 1) << "ran twice without retries";

  EXPECT_EQ(result.stats.submitted, static_cast<std::uint64_t>(jobs));
  EXPECT_EQ(result.stats.ended.total(), static_cast<std::uint64_t>(jobs));
  EXPECT_EQ(result.stats.ended.worker_died, died);
  EXPECT_EQ(result.stats.queued + result.stats.in_lanes + result.stats.running, 0U);
  std::printf("%llu kills cost %llu jobs\n", static_cast<unsigned long long>(result.kills),
              static_cast<unsigned long long>(died));
}

// G1
TEST(kill_storm, costs_nothing_where_jobs_may_be_tried_again) {
  const support::board<tally> record("storm");
  const auto result = run_storm(record, 1000, 500);

  EXPECT_GT(result.kills, 50U);
  EXPECT_EQ(result.ended.at(outcome_kind::value), static_cast<std::uint64_t>(jobs));
  EXPECT_LE(result.stats.retries, result.kills);
}

// G4
TEST(kill_storm, of_idle_workers_costs_nothing) {
  const support::board<tally> record("storm");
  assassin killer(42);
  hardstop::process_pool pool({.workers = 3, .spares = 1, .on_event = killer.sink()});
  for (int round = 0; round < 50; ++round) {
    std::vector<hardstop::future<int>> futures;
    for (int number = 0; number < 20; ++number) {
      futures.push_back(pool.submit<&small_job>(record.ref(), 20 * round + number));
    }
    for (int number = 0; number < 20; ++number) {
      EXPECT_EQ(futures[static_cast<std::size_t>(number)].get(), 3 * (20 * round + number));
    }
    killer.kill_all();
  }
  EXPECT_GE(killer.kills(), 50U);
  EXPECT_EQ(pool.stats().ended.value, pool.stats().submitted);
}

// G1, G2: killed right after it became known that they run, by the number the future tells
TEST(kill_storm, of_long_jobs_hits_just_them) {
  const support::board<tally> record("storm");
  hardstop::process_pool pool({.workers = 3});
  const auto linger = [](support::board_ref<tally> ref) {
    ref.join().ended_jobs.add();
    for (;;)
      ::pause();
  };
  for (std::uint32_t round = 1; round <= 100; ++round) {
    auto victim = pool.submit(linger, record.ref());
    auto neighbour = pool.submit<&support::twice>(static_cast<int>(round));
    ASSERT_TRUE(record->ended_jobs.wait_for(round));
    while (victim.pid() == 0)
      std::this_thread::yield();
    ASSERT_TRUE(support::watched_process(victim.pid()).send(SIGKILL));
    const auto end = victim.outcome();
    ASSERT_EQ(end.kind(), outcome_kind::worker_died) << end.describe();
    EXPECT_EQ(support::describe(support::survivors(record.mark())), "");
    EXPECT_EQ(neighbour.get(), 2 * static_cast<int>(round));
  }
}

}  // namespace
