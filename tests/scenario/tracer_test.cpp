// A process that the kernel will not kill, because somebody outside its tree traces it (G2,
// G7).
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "support/board.hpp"
#include "support/other_process.hpp"
#include "support/pools.hpp"
#include "support/processes.hpp"
#include <hardstop/pool.hpp>
#include <hardstop/semaphore.hpp>

namespace {

struct stage {
  support::counter running;
  support::counter traced;  // 1: yes, 2: not possible here
  support::counter let_go;
};

using stage_ref = support::board_ref<stage>;

void linger(stage_ref ref, hardstop::lock file) {
  const hardstop::permit mine = file.acquire();
  auto& seen = ref.join();
  seen.running.add();
  for (;;)
    ::pause();
}

// Holds a process at the point where it would end: <pid> <board>
int tracer(const std::vector<std::string>& words) {
  const pid_t victim = std::stoi(words.at(0));
  const auto seen = support::board_from<stage>(words, 1).visit();
  if (::ptrace(PTRACE_SEIZE, victim, nullptr, PTRACE_O_TRACEEXIT) != 0) {
    seen->traced.set(2);
    return 1;
  }
  seen->traced.set(1);
  (void)seen->let_go.wait_for(1);
  return 0;  // its tracees go on without it
}

const support::part tracer_part{"tracer", &tracer};

TEST(a_worker_held_by_a_tracer, is_reported_and_replaced) {
  const support::board<stage> seen("tracer");
  support::event_log news;
  hardstop::process_pool pool({.workers = 1, .spares = 0, .on_event = news.sink()});
  const hardstop::lock file("file");
  auto held = pool.submit<&linger>(seen.ref(), file);
  ASSERT_TRUE(seen->running.wait_for(1));
  while (held.pid() == 0)
    std::this_thread::yield();
  const int pid = held.pid();

  auto words = support::to_words(seen.ref());
  words.insert(words.begin(), std::to_string(pid));
  auto holder = support::start_part("tracer", words);
  ASSERT_TRUE(seen->traced.wait_for(1));
  if (seen->traced.get() == 2) {
    pool.shutdown({.timeout = std::chrono::seconds(0)});
    GTEST_SKIP() << "processes may not be traced here";
  }

  held.cancel(hardstop::cancel_mode::kill);
  // The slot is replaced without waiting for the dead.
  EXPECT_EQ(pool.submit<&support::twice>(4).get(), 8);

  const auto end = held.outcome();
  EXPECT_EQ(end.kind(), hardstop::outcome_kind::cancelled) << end.describe();
  ASSERT_TRUE(end.unconfirmed()) << end.describe();
  EXPECT_EQ(end.unconfirmed()->pid, pid);
  EXPECT_NE(end.unconfirmed()->reason.find(std::to_string(holder.pid())), std::string::npos)
      << end.unconfirmed()->reason;
  EXPECT_TRUE(news.wait_for(hardstop::event_kind::worker_unconfirmed));
  ASSERT_EQ(pool.stats().unconfirmed.size(), 1U);
  EXPECT_EQ(pool.stats().unconfirmed[0].pid, pid);

  // Something of it may still be at work: its permit stays taken, and the statistics say by whom.
  const auto locked = file.stats();
  EXPECT_EQ(locked.available, 0U);
  ASSERT_EQ(locked.holders.size(), 1U);
  EXPECT_NE(locked.holders[0].who.find("linger"), std::string::npos) << locked.holders[0].who;
  EXPECT_NE(locked.holders[0].unconfirmed.find(std::to_string(pid)), std::string::npos);
  EXPECT_FALSE(file.try_acquire());

  const support::watched_process corpse(pid);
  seen->let_go.set(1);
  EXPECT_EQ(holder.wait(), 0);
  EXPECT_TRUE(corpse.wait_gone());
  EXPECT_TRUE(support::comes_true([&] { return pool.stats().unconfirmed.empty(); }))
      << "it is gone, and the statistics still name it";
}

}  // namespace
