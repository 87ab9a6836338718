// The client ends without saying good-bye, or becomes another program: nothing of it is left (G5).
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "support/board.hpp"
#include "support/other_process.hpp"
#include "support/pools.hpp"
#include "support/processes.hpp"
#include <hardstop/pool.hpp>

namespace {

struct stage {
  support::counter settled;        // the client has done what it should before its end
  support::counter go;             // it may exec
  support::counter somebody_else;  // it has
  support::pid_list<16> workers;
  support::pid_list<16> daemons;
};

using stage_ref = support::board_ref<stage>;

// Leaves a daemon that nothing but SIGKILL ends.
void leave_daemon(stage& seen) {
  const pid_t between = ::fork();
  if (between == 0) {
    ::setsid();
    if (::fork() == 0) {
      for (int signal = 1; signal < NSIG; ++signal)
        ::signal(signal, SIG_IGN);
      ::close_range(0, ~0U, 0);
      seen.daemons.add();
      for (;;)
        ::pause();
    }
    ::_exit(0);
  }
  ::waitpid(between, nullptr, 0);
}

void daemon_and_done(stage_ref ref) {
  auto& seen = ref.join();
  leave_daemon(seen);
  seen.workers.add();
}

void daemon_and_linger(stage_ref ref) {
  auto& seen = ref.join();
  leave_daemon(seen);
  seen.workers.add();
  ::signal(SIGTERM, SIG_IGN);
  for (;;)
    ::pause();
}

constexpr int busy_jobs = 2;

// The client: <start method> <busy|idle> <killed|exec> <board>
int short_lived_client(const std::vector<std::string>& words) {
  const auto ref = support::board_from<stage>(words, 3);
  const auto seen = ref.visit();
  hardstop::process_pool pool({.workers = 2, .start = support::start_method_called(words.at(0))});
  std::vector<hardstop::future<void>> futures;
  if (words.at(1) == "busy") {
    for (int job = 0; job < busy_jobs; ++job) {
      futures.push_back(pool.submit<&daemon_and_linger>(ref));
    }
    for (int queued = 0; queued < 100; ++queued) {
      futures.push_back(pool.submit<&daemon_and_done>(ref));
    }
  } else {
    pool.submit<&daemon_and_done>(ref).get();
  }
  if (words.at(2) == "killed" && ::fork() == 0) {
    // A user's fork holds every descriptor we have: end of file will not tell anybody.
    (void)seen->go.wait_for(1);
    ::_exit(0);
  }
  seen->settled.set(1);
  if (words.at(2) == "killed") {
    for (;;)
      ::pause();
  }
  (void)seen->go.wait_for(1);
  support::become_part("somebody_else", support::to_words(ref));
}

// What the client becomes: a program that has never heard of pools.
int somebody_else(const std::vector<std::string>& words) {
  const auto seen = support::board_from<stage>(words).visit();
  seen->somebody_else.set(1);
  return seen->somebody_else.wait_for(2) ? 0 : 1;
}

const support::part client_part{"short_lived_client", &short_lived_client};
const support::part exec_part{"somebody_else", &somebody_else};

using client_end_case = std::tuple<hardstop::start_method, std::string, std::string>;

class client_end : public testing::TestWithParam<client_end_case> {
 protected:
  // The client and all it has, when it has settled.
  void start() {
    const auto& [method, load, how] = GetParam();
    auto words = support::to_words(seen_.ref());
    words.insert(words.begin(), {support::name_of(method), load, how});
    client_ = support::start_part("short_lived_client", words);
    const auto expected = load == "busy" ? busy_jobs : 1U;
    ASSERT_TRUE(seen_->settled.wait_for(1));
    ASSERT_TRUE(seen_->workers.wait_for(expected));
    ASSERT_TRUE(seen_->daemons.wait_for(expected));
    collect();
  }

  void expect_all_gone() {
    for (const auto& process : processes_) {
      EXPECT_TRUE(process.wait_gone()) << "process " << process.pid() << " outlives its client";
    }
    EXPECT_EQ(support::describe(support::survivors(seen_.mark())), "");
  }

  support::board<stage> seen_{"client"};
  support::other_process client_{0};

 private:
  void collect() {
    const auto worker = support::look_at(seen_->workers[0]);
    ASSERT_TRUE(worker);
    auto above = support::ancestry::of_guardian(worker->parent);
    ASSERT_TRUE(above.guardian && above.warden);
    for (const int pid : support::children_of(worker->parent))
      processes_.emplace_back(pid);
    for (std::size_t place = 0; place < seen_->daemons.size(); ++place) {
      processes_.emplace_back(seen_->daemons[place]);
    }
    processes_.push_back(std::move(above.guardian));
    processes_.push_back(std::move(above.warden));
  }

  std::vector<support::watched_process> processes_;
};

TEST_P(client_end, leaves_nothing_behind) {
  ASSERT_NO_FATAL_FAILURE(start());
  if (std::get<2>(GetParam()) == "killed") {
    client_.end();
    expect_all_gone();
    seen_->go.set(1);
  } else {
    seen_->go.set(1);
    ASSERT_TRUE(seen_->somebody_else.wait_for(1));
    expect_all_gone();
    seen_->somebody_else.set(2);
    EXPECT_EQ(client_.wait(), 0);
  }
}

INSTANTIATE_TEST_SUITE_P(G5, client_end,
                         testing::Combine(testing::ValuesIn(support::every_start_method),
                                          testing::Values("busy", "idle"),
                                          testing::Values("killed", "exec")),
                         [](const auto& from) {
                           return support::name_of(std::get<0>(from.param)) + "_" +
                                  std::get<1>(from.param) + "_" + std::get<2>(from.param);
                         });

}  // namespace
