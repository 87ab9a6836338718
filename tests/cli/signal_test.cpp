// Signals to hardstop reach the command, and a second one to stop is obeyed (G8).
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <string>

#include <gtest/gtest.h>

#include "cli/command.hpp"
#include "support/board.hpp"
#include "support/other_process.hpp"

namespace hardstop::test {
namespace {

struct stage {
  support::counter ready;
  support::counter go;
  std::array<support::counter, 65> received;  // by signal
  std::atomic<pid_t> command;
};

using stage_board = support::board<stage>;

stage* told = nullptr;

// Counts every signal it gets; so does its child, in the same group. Ends when told to.
int counts_signals(const words& arguments) {
  told = &support::board_from<stage>(arguments).join();
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    // What was ignored stays so.
    struct sigaction before {};

    ::sigaction(signal, nullptr, &before);
    if (before.sa_handler == SIG_IGN || signal == SIGCHLD) continue;
    ::signal(signal, [](int which) { told->received[static_cast<std::size_t>(which)].add(); });
  }
  const pid_t child = ::fork();
  if (child != 0) told->command = ::getpid();
  told->ready.add();
  if (!told->go.wait_for(1)) return 1;
  if (child != 0) ::waitpid(child, nullptr, 0);
  return 3;
}

const support::part counts_signals_part{"counts_signals", &counts_signals};

class a_signal_to_hardstop : public testing::TestWithParam<int> {};

TEST_P(a_signal_to_hardstop, reaches_the_whole_group_once) {
  const stage_board seen{"passed"};
  auto running = start(words{"run", "--"} + part("counts_signals", support::to_words(seen.ref())));
  ASSERT_TRUE(seen->ready.wait_for(2));
  running.send(GetParam());
  const auto& received = seen->received[static_cast<std::size_t>(GetParam())];
  EXPECT_TRUE(received.wait_for(2));
  seen->go.set(1);
  const auto ended = running.wait();
  EXPECT_EQ(ended.shell_status(), 3);
  EXPECT_EQ(received.get(), 2U);
  EXPECT_EQ(ended.left_behind, "");
}

INSTANTIATE_TEST_SUITE_P(each, a_signal_to_hardstop,
                         testing::Values(SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM,
                                         SIGTERM, SIGWINCH, SIGCONT, 40),
                         [](const auto& each) { return "number_" + std::to_string(each.param); });

TEST(a_second_signal_to_stop, kills) {
  const stage_board seen{"second"};
  auto running =
      start(words{"run", "--json", "--"} + part("counts_signals", support::to_words(seen.ref())));
  ASSERT_TRUE(seen->ready.wait_for(2));
  running.send(SIGTERM);
  ASSERT_TRUE(seen->received[SIGTERM].wait_for(2));
  running.send(SIGTERM);
  const auto ended = running.wait();
  EXPECT_EQ(ended.shell_status(), 137);
  EXPECT_EQ(ended.report()["why"].text(), "stopped");
  EXPECT_EQ(ended.left_behind, "");
}

TEST(a_first_sigterm, kills_when_the_grace_that_was_named_is_over) {
  const stage_board seen{"grace"};
  auto running = start(words{"run", "--grace", "20ms", "--json", "--"} +
                       part("counts_signals", support::to_words(seen.ref())));
  ASSERT_TRUE(seen->ready.wait_for(2));
  running.send(SIGTERM);
  const auto ended = running.wait();
  EXPECT_EQ(seen->received[SIGTERM].get(), 2U);
  EXPECT_EQ(ended.shell_status(), 137);
  EXPECT_EQ(ended.report()["why"].text(), "stopped");
}

TEST(a_command_that_ends_by_a_signal_passed_on, ends_hardstop_by_the_same) {
  const stage_board seen{"same"};
  auto running = start({"run", "--", "sh", "-c", "echo up; sleep 1000"});
  EXPECT_EQ(running.read_output(), "up\n");
  running.send(SIGTERM);
  const auto ended = running.wait();
  EXPECT_TRUE(WIFSIGNALED(ended.wait_status));
  EXPECT_EQ(ended.shell_status(), 128 + SIGTERM);
  EXPECT_EQ(ended.left_behind, "");
}

TEST(what_hardstop_was_started_to_ignore, is_not_passed_on) {
  const stage_board seen{"nohup"};
  ::signal(SIGHUP, SIG_IGN);
  auto running = start(words{"run", "--"} + part("counts_signals", support::to_words(seen.ref())));
  ::signal(SIGHUP, SIG_DFL);
  ASSERT_TRUE(seen->ready.wait_for(2));
  running.send(SIGHUP);
  running.send(SIGUSR1);
  ASSERT_TRUE(seen->received[SIGUSR1].wait_for(2));
  EXPECT_EQ(seen->received[SIGHUP].get(), 0U);
  seen->go.set(1);
  EXPECT_EQ(running.wait().shell_status(), 3);
}

TEST(ctrl_z, stops_the_command_and_hardstop_and_both_go_on) {
  // A shell that waits for another: told by the second, lest the first be seen in the middle of a
  // vfork, where it does not stop.
  auto running = start({"run", "--", "sh", "-c", "sh -c 'echo up; exec sleep 1000'; :"});
  EXPECT_EQ(running.read_output(), "up\n");
  const auto all_in_state = [&](bool stopped) {
    for (const auto& each : support::survivors(running.mark())) {
      if (each.name != "hardstop-run" && (each.state == 'T') != stopped) return false;
    }
    return true;
  };
  running.send(SIGTSTP);
  EXPECT_TRUE(WIFSTOPPED(running.wait_for_change(WUNTRACED)));
  EXPECT_TRUE(support::comes_true([&] { return all_in_state(true); }));
  running.send(SIGCONT);
  EXPECT_TRUE(WIFCONTINUED(running.wait_for_change(WCONTINUED)));
  EXPECT_TRUE(support::comes_true([&] { return all_in_state(false); }));
  running.send(SIGTERM);
  const auto ended = running.wait();
  EXPECT_EQ(ended.shell_status(), 128 + SIGTERM);
  EXPECT_EQ(ended.left_behind, "");
}

TEST(a_stopped_hardstop, still_ends_in_time) {  // G6
  auto running = start({"run", "--timeout", "300ms", "--", "sh", "-c", "echo up; sleep 1000; :"});
  EXPECT_EQ(running.read_output(), "up\n");
  running.send(SIGTSTP);
  EXPECT_TRUE(WIFSTOPPED(running.wait_for_change(WUNTRACED)));
  const auto ended = running.wait();
  EXPECT_EQ(ended.shell_status(), 124);
  EXPECT_EQ(ended.left_behind, "");
}

// Its mask and what it ignores.
int shows_signals(const words&) {
  const auto status = support::contents("/proc/self/status");
  std::fputs(
      status.substr(status.find("SigBlk"), status.find("SigCgt") - status.find("SigBlk")).c_str(),
      stdout);
  return 0;
}

const support::part shows_signals_part{"shows_signals", &shows_signals};

TEST(a_command, finds_the_signals_as_it_would_without_us) {
  EXPECT_EQ(run(words{"run", "--"} + part("shows_signals")).output,
            run_other(part("shows_signals")).output);
}

}  // namespace
}  // namespace hardstop::test
