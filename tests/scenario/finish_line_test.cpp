// Cancelling jobs at the moment they begin or end, with other jobs in the same lanes (G3).
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "support/board.hpp"
#include "support/pools.hpp"
#include <hardstop/pool.hpp>

namespace {

using hardstop::cancel_answer;
using hardstop::cancel_mode;
using hardstop::cancel_result;
using std::chrono::steady_clock;

constexpr int cancels = 100'000;
constexpr int cancels_per_round = 4;
constexpr int jobs_per_round = 16;
constexpr int rounds = cancels / cancels_per_round;
constexpr int jobs = rounds * jobs_per_round;

struct record {
  std::array<std::atomic<std::uint8_t>, jobs> begun;
  std::array<std::atomic<std::uint8_t>, jobs> ended;
};

int short_job(support::board_ref<record> ref, int number) {
  static record& marks = ref.join();
  const auto place = static_cast<std::size_t>(number);
  ++marks.begun[place];
  for (volatile int turn = 0; turn < 500;)
    turn = turn + 1;
  ++marks.ended[place];
  return number + 1;
}

// How the cancels of one run went.
struct tally {
  int too_late = 0;
  int finished_first = 0;
  int never_started = 0;
  int killed = 0;
};

class finish_line : public testing::Test {
 protected:
  // What the future says, what cancel() said and what the job did must be one story.
  void check_victim(hardstop::future<int>& future, cancel_result answer, int number) {
    const auto end = future.outcome();
    const auto begun = marks_->begun[static_cast<std::size_t>(number)].load();
    const auto ended = marks_->ended[static_cast<std::size_t>(number)].load();
    ASSERT_LE(begun, 1);
    if (end.is_value()) {
      ASSERT_EQ(ended, 1);
      ASSERT_NE(answer, cancel_result::cancelled);
      ASSERT_EQ(end.cancel(), answer == cancel_result::too_late ? cancel_answer::not_requested
                                                                : cancel_answer::finished_first);
      ASSERT_EQ(future.get(), number + 1);
      ++(answer == cancel_result::too_late ? tally_.too_late : tally_.finished_first);
      return;
    }
    const auto* const cancelled = end.as<hardstop::outcome::cancelled>();
    ASSERT_NE(cancelled, nullptr) << end.describe();
    ASSERT_NE(answer, cancel_result::too_late);
    if (cancelled->how == hardstop::outcome::cancelled::extent::never_started) {
      ASSERT_EQ(begun, 0) << "said never to have started";
      ++tally_.never_started;
    } else {
      ASSERT_EQ(answer, cancel_result::requested);
      ++tally_.killed;
    }
  }

  void check_neighbour(hardstop::future<int>& future, int number) {
    ASSERT_EQ(future.get(), number + 1);
    ASSERT_EQ(marks_->begun[static_cast<std::size_t>(number)], 1);
  }

  support::board<record> marks_{"finish"};
  std::minstd_rand random_{2024};
  tally tally_;
};

TEST_F(finish_line, a_cancel_hits_the_job_it_names_or_nobody) {
  hardstop::process_pool pool({.workers = 2, .spares = 2});
  for (int round = 0; round < rounds; ++round) {
    const int first = round * jobs_per_round;
    std::vector<hardstop::future<int>> futures;
    futures.reserve(jobs_per_round);
    for (int number = first; number < first + jobs_per_round; ++number) {
      futures.push_back(pool.submit<&short_job>(marks_.ref(), number));
    }
    std::array<cancel_result, jobs_per_round> answers{};
    std::array<bool, jobs_per_round> victims{};
    for (int count = 0; count < cancels_per_round; ++count) {
      const auto until = steady_clock::now() + std::chrono::nanoseconds(random_() % 12'000);
      while (steady_clock::now() < until) {
      }
      auto victim = random_() % jobs_per_round;
      while (victims[victim])
        victim = (victim + 1) % jobs_per_round;
      victims[victim] = true;
      answers[victim] = futures[victim].cancel(cancel_mode::kill);
    }
    for (std::size_t place = 0; place < jobs_per_round; ++place) {
      const int number = first + static_cast<int>(place);
      if (victims[place]) {
        ASSERT_NO_FATAL_FAILURE(check_victim(futures[place], answers[place], number)) << number;
      } else {
        ASSERT_NO_FATAL_FAILURE(check_neighbour(futures[place], number)) << number;
      }
    }
  }
  std::printf("too late %d, finished first %d, never started %d, killed %d\n", tally_.too_late,
              tally_.finished_first, tally_.never_started, tally_.killed);
  // Each side of the line was met.
  EXPECT_GT(tally_.too_late + tally_.finished_first, 0);
  EXPECT_GT(tally_.never_started, 0);
  EXPECT_GT(tally_.killed, 0);
  EXPECT_EQ(pool.stats().ended.total(), static_cast<std::uint64_t>(jobs));
}

// The same for deadlines, which the engine alone decides on.
TEST_F(finish_line, a_deadline_hits_the_job_it_names_or_nobody) {
  constexpr int deadline_rounds = 2'000;
  hardstop::process_pool pool({.workers = 2, .spares = 2});
  int late = 0;
  for (int round = 0; round < deadline_rounds; ++round) {
    const int first = round * jobs_per_round;
    std::vector<hardstop::future<int>> futures;
    for (int number = first; number < first + jobs_per_round; ++number) {
      hardstop::job_options options;
      if (number % 4 == 0) options.timeout = std::chrono::nanoseconds(1 + random_() % 3'000);
      futures.push_back(pool.submit<&short_job>(options, marks_.ref(), number));
    }
    for (int number = first; number < first + jobs_per_round; ++number) {
      auto& future = futures[static_cast<std::size_t>(number - first)];
      if (number % 4 != 0) {
        ASSERT_NO_FATAL_FAILURE(check_neighbour(future, number)) << number;
        continue;
      }
      const auto end = future.outcome();
      ASSERT_LE(marks_->begun[static_cast<std::size_t>(number)], 1);
      if (end.is_value()) {
        ASSERT_EQ(future.get(), number + 1);
      } else {
        ASSERT_EQ(end.kind(), hardstop::outcome_kind::timed_out) << end.describe();
        ++late;
      }
    }
  }
  EXPECT_GT(late, 0);
}

}  // namespace
