// What a job leaves running when it has finished (G2).
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include "support/board.hpp"
#include "support/pools.hpp"
#include "support/processes.hpp"
#include <hardstop/pool.hpp>

namespace {

using stage = support::pid_list<16>;
using stage_ref = support::board_ref<stage>;

int start_daemon(stage_ref ref, int answer) {
  auto& seen = ref.join();
  const auto daemons = static_cast<std::uint32_t>(seen.size());
  const pid_t between = ::fork();
  if (between == 0) {
    ::setsid();
    if (::fork() == 0) {
      seen.add();
      for (;;)
        ::pause();
    }
    ::_exit(0);
  }
  ::waitpid(between, nullptr, 0);
  (void)seen.wait_for(daemons + 1);
  stage_ref::leave(seen);
  return answer;
}

TEST(leftovers, are_gone_when_the_result_is_there_if_the_job_wants_so) {
  const support::board<stage> seen("leftovers");
  hardstop::process_pool pool({.workers = 2});
  for (int round = 0; round < 20; ++round) {
    auto job =
        pool.submit<&start_daemon>({.leftovers = hardstop::leftovers::kill}, seen.ref(), round);
    auto neighbour = pool.submit<&support::twice>(round);
    const auto end = job.outcome();
    EXPECT_EQ(support::describe(support::survivors(seen.mark())), "");
    EXPECT_TRUE(end.is_value()) << end.describe();
    EXPECT_EQ(job.get(), round);
    EXPECT_EQ(neighbour.get(), 2 * round);
  }
}

TEST(leftovers, stay_until_their_worker_ends_otherwise) {
  const support::board<stage> seen("leftovers");
  support::watched_process daemon;
  {
    hardstop::process_pool pool({.workers = 1, .spares = 0});
    EXPECT_EQ(pool.submit<&start_daemon>(seen.ref(), 3).get(), 3);
    ASSERT_TRUE(seen->wait_for(1));
    daemon = support::watched_process((*seen)[0]);
    EXPECT_EQ(pool.submit<&support::twice>(3).get(), 6);
    EXPECT_FALSE(daemon.gone());
  }
  EXPECT_TRUE(daemon.gone()) << "it outlives the pool";
}

// A kill takes what earlier jobs of that worker left: it cannot be told from the job's own.
TEST(leftovers, of_earlier_jobs_go_with_a_recycled_worker) {
  const support::board<stage> seen("leftovers");
  hardstop::process_pool pool({.workers = 1, .spares = 0, .max_jobs_per_worker = 1});
  EXPECT_EQ(pool.submit<&start_daemon>(seen.ref(), 3).get(), 3);
  ASSERT_TRUE(seen->wait_for(1));
  EXPECT_TRUE(support::watched_process((*seen)[0]).wait_gone());
}

// A job that wants its leftovers killed is tiny and waits in a lane with others.
TEST(leftovers, are_searched_for_without_harm_to_the_jobs_behind) {
  const support::board<stage> seen("leftovers");
  hardstop::process_pool pool({.workers = 2});
  std::vector<hardstop::future<int>> jobs;
  for (int number = 0; number < 2'000; ++number) {
    const bool clean = number % 20 == 0;
    jobs.push_back(pool.submit<&support::twice>(
        {.leftovers = clean ? hardstop::leftovers::kill : hardstop::leftovers::keep}, number));
  }
  for (int number = 0; number < 2'000; ++number) {
    EXPECT_EQ(jobs[static_cast<std::size_t>(number)].get(), 2 * number);
  }
}

}  // namespace
