// One of our own processes is killed: nothing is left, and the pool starts anew (G1, G5).
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "support/board.hpp"
#include "support/pools.hpp"
#include "support/processes.hpp"
#include "support/sanitized.hpp"
#include <hardstop/pool.hpp>

namespace {

struct stage {
  support::counter running;
  support::counter daemons;
  support::counter stop;
};

using stage_ref = support::board_ref<stage>;

void daemon_and_linger(stage_ref ref) {
  auto& seen = ref.join();
  const pid_t between = ::fork();
  if (between == 0) {
    ::setsid();
    if (::fork() == 0) {
      ::close_range(0, ~0U, 0);
      seen.daemons.add();
      for (;;)
        ::pause();
    }
    ::_exit(0);
  }
  ::waitpid(between, nullptr, 0);
  (void)seen.daemons.wait_for(1);
  seen.running.add();
  for (;;)
    ::pause();
}

enum class victim { guardian, warden };

class guardian_end : public testing::TestWithParam<std::tuple<hardstop::start_method, victim>> {
 protected:
  // The new guardian is forked from a client that has threads by now, as malloc() allows: the
  // allocator of g++ 12's AddressSanitizer has no fork handlers, and a worker waits for ever for a
  // lock that another thread of the client held.
  void SetUp() override {
    if (hardstop::test::sanitized && std::get<0>(GetParam()) == hardstop::start_method::fork) {
      GTEST_SKIP() << "sanitizers cannot follow a fork of a process with threads";
    }
  }

  guardian_end()
      : pool_({.workers = 2, .start = std::get<0>(GetParam()), .on_event = news_.sink()}) {}

  // Kills what the test is about. The guardian is known by the worker that says so.
  support::ancestry kill_it(int guardian) {
    auto above = support::ancestry::of_guardian(guardian);
    const auto& process =
        std::get<1>(GetParam()) == victim::guardian ? above.guardian : above.warden;
    EXPECT_TRUE(process.send(SIGKILL));
    return above;
  }

  support::event_log news_;
  hardstop::process_pool pool_;
};

TEST_P(guardian_end, costs_what_had_started_and_nothing_else) {
  for (int round = 1; round <= 5; ++round) {
    const support::board<stage> seen("guardian");
    auto started_1 = pool_.submit<&daemon_and_linger>(seen.ref());
    auto started_2 = pool_.submit<&daemon_and_linger>(seen.ref());
    ASSERT_TRUE(seen->running.wait_for(2));
    std::vector<hardstop::future<int>> waiting;
    for (int number = 0; number < 100; ++number) {
      waiting.push_back(pool_.submit<&support::twice>(number));
    }
    while (started_1.pid() == 0)
      std::this_thread::yield();
    const auto worker = support::look_at(started_1.pid());
    ASSERT_TRUE(worker);
    const auto above = kill_it(worker->parent);

    for (auto* const started : {&started_1, &started_2}) {
      const auto end = started->outcome();
      const auto* const died = end.as<hardstop::outcome::worker_died>();
      ASSERT_NE(died, nullptr) << end.describe();
      EXPECT_NE(died->likely_cause, "") << end.describe();
    }
    EXPECT_EQ(support::describe(support::survivors(seen.mark())), "");
    for (int number = 0; number < 100; ++number) {
      EXPECT_EQ(waiting[static_cast<std::size_t>(number)].get(), 2 * number);
    }
    EXPECT_TRUE(above.guardian.wait_gone());
    EXPECT_TRUE(above.warden.wait_gone());
    EXPECT_TRUE(news_.wait_for(hardstop::event_kind::guardian_lost, round));
    EXPECT_EQ(pool_.stats().guardians_lost, static_cast<std::uint64_t>(round));
  }
}

TEST_P(guardian_end, of_an_idle_pool_costs_nothing) {
  for (int round = 0; round < 10; ++round) {
    const auto above = kill_it(pool_.submit<&support::parent_pid>().get());
    std::vector<hardstop::future<int>> jobs;
    for (int number = 0; number < 20; ++number) {
      // Whether or not the loss is known already. A job that has begun by then may die of it.
      jobs.push_back(pool_.submit<&support::twice>({.retries = 5}, number));
    }
    for (int number = 0; number < 20; ++number) {
      EXPECT_EQ(jobs[static_cast<std::size_t>(number)].get(), 2 * number);
    }
    EXPECT_TRUE(above.guardian.wait_gone());
    EXPECT_TRUE(above.warden.wait_gone());
  }
}

INSTANTIATE_TEST_SUITE_P(G5, guardian_end,
                         testing::Combine(testing::ValuesIn(support::every_start_method),
                                          testing::Values(victim::guardian, victim::warden)),
                         [](const auto& from) {
                           return support::name_of(std::get<0>(from.param)) +
                                  (std::get<1>(from.param) == victim::guardian ? "_guardian"
                                                                               : "_warden");
                         });

}  // namespace
