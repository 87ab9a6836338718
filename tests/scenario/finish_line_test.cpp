// Cancelling jobs at the moment they begin or end, with other jobs in the same lanes (G3).
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <random>
#include <thread>
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
constexpr int cancels_per_round = 8;
constexpr int jobs_per_round = 24;
constexpr int rounds = cancels / cancels_per_round;
constexpr int jobs = rounds * jobs_per_round;

struct record {
  std::array<std::atomic<std::uint8_t>, jobs> begun;
  std::array<std::atomic<std::uint8_t>, jobs> ended;
  support::counter ready;     // rounds whose runner stands at the line
  std::atomic<int> released;  // rounds whose runner may go
};

// Every job tells that it began and that it ended, which is more than a pool knows.
class record_of {
 public:
  record_of(const support::board_ref<record>& ref, int number)
      : marks_(join(ref)), place_(static_cast<std::size_t>(number)) {
    ++marks_.begun[place_];
  }

  record_of(const record_of&) = delete;
  record_of& operator=(const record_of&) = delete;

  ~record_of() { ++marks_.ended[place_]; }

  [[nodiscard]] record& marks() const { return marks_; }

 private:
  static record& join(const support::board_ref<record>& ref) {
    static record& joined = ref.join();  // one pool, one board: once in a worker's life
    return joined;
  }

  record& marks_;
  std::size_t place_;
};

void compute_for(std::chrono::nanoseconds time) {
  const auto until = steady_clock::now() + time;
  while (steady_clock::now() < until) {
  }
}

// Without sleep, so that the answer comes within nanoseconds; but others may want this CPU.
template <class Condition>
void spin_until(Condition holds) {
  for (unsigned looks = 1; !holds(); ++looks) {
    if (looks % 4096 == 0) std::this_thread::yield();
  }
}

int short_job(support::board_ref<record> ref, int number) {
  const record_of told(ref, number);
  return number + 1;
}

// Waits for the signal and runs to its end.
int runner(support::board_ref<record> ref, int number, int round) {
  const record_of told(ref, number);
  told.marks().ready.add();
  spin_until([&] { return told.marks().released > round; });
  compute_for(std::chrono::nanoseconds(number * 7919 % 2'000));
  return number + 1;
}

// As long as deadlines are precise.
int longer_job(support::board_ref<record> ref, int number) {
  const record_of told(ref, number);
  compute_for(std::chrono::microseconds(60));
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
    const std::size_t runs = random_() % (jobs_per_round / 2);
    std::vector<hardstop::future<int>> futures;
    futures.reserve(jobs_per_round);
    for (std::size_t place = 0; place < jobs_per_round; ++place) {
      const int number = first + static_cast<int>(place);
      futures.push_back(place == runs ? pool.submit<&runner>(marks_.ref(), number, round)
                                      : pool.submit<&short_job>(marks_.ref(), number));
    }
    std::array<cancel_result, jobs_per_round> answers{};
    std::array<bool, jobs_per_round> victims{};
    const auto cancel = [&](std::size_t victim) {
      while (victims[victim])
        victim = (victim + 1) % jobs_per_round;
      victims[victim] = true;
      answers[victim] = futures[victim].cancel(cancel_mode::kill);
    };
    ASSERT_TRUE(marks_->ready.wait_for(static_cast<std::uint32_t>(round) + 1));
    marks_->released = round + 1;
    compute_for(std::chrono::nanoseconds(random_() % 8'000));
    cancel(runs);
    for (int count = 1; count < cancels_per_round; ++count)
      cancel(random_() % jobs_per_round);

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
  int in_time = 0;
  for (int round = 0; round < deadline_rounds; ++round) {
    const int first = round * jobs_per_round;
    std::vector<hardstop::future<int>> futures;
    for (int number = first; number < first + jobs_per_round; ++number) {
      if (number % 4 == 0) {
        const std::chrono::microseconds timeout(20 + random_() % 100);
        futures.push_back(pool.submit<&longer_job>({.timeout = timeout}, marks_.ref(), number));
      } else {
        futures.push_back(pool.submit<&short_job>(marks_.ref(), number));
      }
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
        ++in_time;
      } else {
        ASSERT_EQ(end.kind(), hardstop::outcome_kind::timed_out) << end.describe();
        ++late;
      }
    }
  }
  std::printf("in time %d, late %d\n", in_time, late);
  EXPECT_GT(in_time, 0);
  EXPECT_GT(late, 0);
}

}  // namespace
