// Nothing of a tree is left when hardstop has ended, whatever its members did to escape (G2, G6).
#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "cli/command.hpp"
#include "support/board.hpp"
#include "support/cgroup.hpp"
#include "support/other_process.hpp"

namespace hardstop::test {
namespace {

struct stage {
  support::counter ready;
  support::counter asked;
  support::counter go;
  support::counter tidied;
  support::pid_list<8> daemons;
};

using stage_board = support::board<stage>;

void ignore_everything() {
  for (int signal = 1; signal < NSIG; ++signal)
    ::signal(signal, SIG_IGN);
}

[[noreturn]] void linger() {
  for (;;)
    ::pause();
}

// In a session of its own, nobody's child, deaf, with no descriptor.
void leave_daemon(stage& seen) {
  const pid_t between = ::fork();
  if (between == 0) {
    ::setsid();
    if (::fork() == 0) {
      ignore_everything();
      ::close_range(0, ~0U, 0);
      seen.daemons.add();
      linger();
    }
    ::_exit(0);
  }
  ::waitpid(between, nullptr, 0);
}

// Leaves a daemon and ends, or ignores everything: <ends|stays> <board>
int leaves_a_daemon(const words& arguments) {
  auto& seen = support::board_from<stage>(arguments, 1).join();
  leave_daemon(seen);
  if (!seen.daemons.wait_for(1)) return 1;
  if (arguments.at(0) == "ends") return 7;
  ignore_everything();
  seen.ready.set(1);
  linger();
}

const support::part leaves_a_daemon_part{"leaves_a_daemon", &leaves_a_daemon};

void expect_gone(const stage_board& seen) {
  EXPECT_EQ(support::describe(support::survivors(seen.mark())), "");
  for (std::size_t place = 0; place < seen->daemons.size(); ++place) {
    EXPECT_FALSE(support::look_at(seen->daemons[place])) << "a daemon is there, or its corpse";
  }
}

TEST(a_daemon, is_gone_when_the_command_has_ended_by_itself) {
  const stage_board seen{"daemon"};
  const auto ended = run(words{"run", "--"} +
                         part("leaves_a_daemon", words{"ends"} + support::to_words(seen.ref())));
  EXPECT_EQ(ended.shell_status(), 7);
  EXPECT_EQ(ended.left_behind, "");
  EXPECT_EQ(seen->daemons.size(), 1U);
  expect_gone(seen);
}

TEST(a_daemon, is_gone_when_the_command_was_killed) {
  const stage_board seen{"killed"};
  auto running = start(words{"run", "--"} +
                       part("leaves_a_daemon", words{"stays"} + support::to_words(seen.ref())));
  ASSERT_TRUE(seen->ready.wait_for(1));
  running.send(SIGTERM);
  running.send(SIGINT);
  const auto ended = running.wait();
  EXPECT_EQ(ended.shell_status(), 137);
  EXPECT_EQ(ended.left_behind, "");
  expect_gone(seen);
}

TEST(a_shell_pipeline, leaves_nothing) {
  // In the background, in another session, and with a parent that is gone; when all run, a line is
  // written and the shell ends.
  const auto ended = run({"run", "--", "sh", "-c",
                          "sleep 1000 & setsid sh -c 'sleep 1001; :' & (setsid sleep 1002 &) ; "
                          "(echo one; sleep 0.05; echo two) | cat"});
  EXPECT_EQ(ended.shell_status(), 0);
  EXPECT_EQ(ended.output, "one\ntwo\n");
  EXPECT_EQ(ended.left_behind, "");
}

TEST(whoever_ignores_sigterm, is_killed_after_the_grace) {  // G6
  const stage_board seen{"deaf"};
  const auto began = std::chrono::steady_clock::now();
  const auto ended = run(words{"run", "--timeout", "100ms", "--grace", "100ms", "--json", "--"} +
                         part("leaves_a_daemon", words{"stays"} + support::to_words(seen.ref())));
  EXPECT_GE(std::chrono::steady_clock::now() - began, std::chrono::milliseconds{200});
  EXPECT_EQ(ended.shell_status(), 137);
  const auto report = ended.report();
  EXPECT_EQ(report["why"].text(), "timed_out");
  EXPECT_EQ(report["signal"].number(), SIGKILL);
  EXPECT_EQ(report["processes_stopped"].number(), 2);
  EXPECT_EQ(ended.left_behind, "");
  expect_gone(seen);
}

// Forks, ends, and so on. Should hardstop fail to end it, it ends itself.
int forks_in_a_chain(const words& arguments) {
  auto& seen = support::board_from<stage>(arguments).join();
  ignore_everything();
  constexpr std::uint32_t most_generations = 20000;
  while (seen.ready.add() < most_generations) {
    if (::fork() != 0) ::_exit(0);
    ::setsid();
  }
  return 0;
}

const support::part forks_in_a_chain_part{"forks_in_a_chain", &forks_in_a_chain};

// The first of a chain, which stays.
int starts_a_chain(const words& arguments) {
  ignore_everything();
  if (::fork() == 0) return forks_in_a_chain(arguments);
  linger();
}

const support::part starts_a_chain_part{"starts_a_chain", &starts_a_chain};

TEST(a_fork_chain, is_caught) {
  const stage_board seen{"chain"};
  auto running = start(words{"run", "--timeout", "60", "--grace", "0", "--"} +
                       part("starts_a_chain", support::to_words(seen.ref())));
  ASSERT_TRUE(seen->ready.wait_for(20));
  running.send(SIGTERM);
  const auto ended = running.wait();
  EXPECT_EQ(ended.shell_status(), 137);
  EXPECT_EQ(ended.left_behind, "");
  expect_gone(seen);
  const auto generations = seen->ready.get();
  EXPECT_LT(generations, 20000U) << "it ended by itself";
}

TEST(leftovers, are_kept_if_that_is_asked_for) {
  const stage_board seen{"kept"};
  const auto ended = run(words{"run", "--leftovers", "keep", "--"} +
                         part("leaves_a_daemon", words{"ends"} + support::to_words(seen.ref())));
  EXPECT_EQ(ended.shell_status(), 7);
  const auto daemon = support::watched_process{seen->daemons[0]};
  EXPECT_FALSE(daemon.gone());
  EXPECT_NE(ended.left_behind, "");
  EXPECT_TRUE(daemon.send(SIGKILL));
  EXPECT_TRUE(daemon.wait_gone());
}

TEST(leftovers, are_not_kept_by_a_command_that_timed_out) {
  const stage_board seen{"not-kept"};
  const auto ended =
      run(words{"run", "--leftovers=keep", "--timeout", "50ms", "--grace", "0", "--"} +
          part("leaves_a_daemon", words{"stays"} + support::to_words(seen.ref())));
  EXPECT_EQ(ended.shell_status(), 137);
  EXPECT_EQ(ended.left_behind, "");
  expect_gone(seen);
}

// Ends at once when asked; what it has started takes its time.
int has_a_tidy_child(const words& arguments) {
  auto& seen = support::board_from<stage>(arguments).join();
  if (::fork() == 0) {
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    ::sigprocmask(SIG_BLOCK, &term, nullptr);
    seen.ready.add();
    int signal = 0;
    ::sigwait(&term, &signal);
    seen.asked.add();
    if (!seen.go.wait_for(1)) return 1;
    seen.tidied.add();
    return 0;
  }
  linger();
}

const support::part has_a_tidy_child_part{"has_a_tidy_child", &has_a_tidy_child};

class asking : public testing::TestWithParam<words> {};

TEST_P(asking, reaches_the_group_and_each_has_its_grace) {  // G8
  const stage_board seen{"tidy"};
  auto running = start(words{"run", "--timeout", "300ms", "--grace", "60s"} + GetParam() +
                       words{"--"} + part("has_a_tidy_child", support::to_words(seen.ref())));
  ASSERT_TRUE(seen->ready.wait_for(1));
  ASSERT_TRUE(seen->asked.wait_for(1));
  // The command itself died of that; the child then is a child of the supervisor, or of the command
  // while that is taken apart.
  seen->go.set(1);
  const auto ended = running.wait();
  EXPECT_EQ(seen->tidied.get(), 1U) << "it was killed before it was done";
  EXPECT_EQ(ended.shell_status(), 124);
  EXPECT_EQ(ended.left_behind, "");
}

INSTANTIATE_TEST_SUITE_P(placed, asking, testing::Values(words{}, words{"--foreground"}),
                         [](const auto& each) {
                           return each.param.empty() ? "in_its_own_group" : "in_the_foreground";
                         });

// Holds a process at the point where it would end: <pid> <board>
int tracer(const words& arguments) {
  const pid_t victim = std::stoi(arguments.at(0));
  const auto seen = support::board_from<stage>(arguments, 1).visit();
  const bool traced = ::ptrace(PTRACE_SEIZE, victim, nullptr, PTRACE_O_TRACEEXIT) == 0;
  seen->asked.set(traced ? 1 : 2);
  return seen->go.wait_for(1) ? 0 : 1;  // its tracees go on without it
}

const support::part tracer_part{"tracer", &tracer};

TEST(a_process_that_the_kernel_will_not_kill, is_named) {
  const stage_board seen{"traced"};
  auto running = start(words{"run", "--json", "--"} +
                       part("leaves_a_daemon", words{"stays"} + support::to_words(seen.ref())));
  ASSERT_TRUE(seen->ready.wait_for(1));
  const support::watched_process daemon{seen->daemons[0]};
  auto tracing = support::start_part(
      "tracer", words{std::to_string(daemon.pid())} + support::to_words(seen.ref()));
  ASSERT_TRUE(seen->asked.wait_for(1));
  if (seen->asked.get() == 2) GTEST_SKIP() << "tracing is not allowed here";

  running.send(SIGTERM);
  running.send(SIGINT);
  const auto ended = running.wait();
  EXPECT_EQ(ended.shell_status(), 137);
  const auto report = ended.report();
  ASSERT_EQ(report["unconfirmed"].elements().size(), 1U);
  EXPECT_EQ(report["unconfirmed"].at(0)["pid"].number(), daemon.pid());
  EXPECT_EQ(report["unconfirmed"].at(0)["reason"].text(),
            "process " + std::to_string(tracing.pid()) + " traces it and holds its corpse");
  seen->go.set(1);
  EXPECT_EQ(tracing.wait(), 0);
  EXPECT_TRUE(daemon.wait_gone());
}

TEST(a_cgroup, helps_and_is_left_empty) {
  support::own_cgroup group;
  if (group.path().empty()) GTEST_SKIP() << group.why_not();
  const stage_board seen{"cgroup"};
  const auto ended = run(words{"run", "--json", "--cgroup", group.path(), "--"} +
                         part("leaves_a_daemon", words{"ends"} + support::to_words(seen.ref())));
  EXPECT_EQ(ended.shell_status(), 7);
  EXPECT_EQ(ended.report()["contained_by"].text(), "cgroup");
  EXPECT_EQ(ended.left_behind, "");
  expect_gone(seen);
  EXPECT_TRUE(group.remove());
}

TEST(a_cgroup_that_cannot_be_used, is_refused_with_where_to_learn) {
  const auto ended = run({"run", "--cgroup", "/proc", "--", "true"});
  EXPECT_EQ(ended.shell_status(), 125);
  EXPECT_NE(ended.errors.find("hardstop doctor"), std::string::npos) << ended.errors;
}

// Closes its output, and goes on.
int falls_silent(const words& arguments) {
  auto& seen = support::board_from<stage>(arguments).join();
  (void)!::write(STDOUT_FILENO, "last words", 10);
  ::close(STDOUT_FILENO);
  seen.ready.set(1);
  return seen.go.wait_for(1) ? 0 : 1;
}

const support::part falls_silent_part{"falls_silent", &falls_silent};

TEST(the_end_of_output, is_seen_when_the_command_closes_it) {
  const stage_board seen{"silent"};
  auto running = start(words{"run", "--"} + part("falls_silent", support::to_words(seen.ref())));
  EXPECT_EQ(running.read_output(), "last words");
  EXPECT_EQ(running.read_output(), "") << "hardstop keeps its command's output open";
  seen->go.set(1);
  EXPECT_EQ(running.wait().shell_status(), 0);
}

// Which descriptors it has.
int lists_descriptors(const words&) {
  for (int number = 0; number < 1024; ++number) {
    if (::fcntl(number, F_GETFD) >= 0) std::printf("%d ", number);
  }
  return 0;
}

const support::part lists_descriptors_part{"lists_descriptors", &lists_descriptors};

// Exits with how many of the first ten it has.
int counts_open_descriptors(const words&) {
  int open = 0;
  for (int number = 0; number < 10; ++number) {
    if (::fcntl(number, F_GETFD) >= 0) ++open;
  }
  return open;
}

const support::part counts_open_descriptors_part{"counts_open_descriptors",
                                                 &counts_open_descriptors};

TEST(a_command, finds_the_descriptors_that_it_would_find_without_us) {
  const int extra = ::dup(STDERR_FILENO);  // not close-on-exec
  const auto alone = run_other(part("lists_descriptors"));
  const auto ours = run(words{"run", "--"} + part("lists_descriptors"));
  ::close(extra);
  EXPECT_EQ(ours.output, alone.output);
  EXPECT_NE(ours.output, "0 1 2 ");
}

TEST(a_command, finds_closed_what_was_closed) {
  const auto with_closed = [](const words& command) {
    return run_other(words{"sh", "-c", "exec 3>&1; exec <&- >&- 2>&-; \"$@\"; echo $? >&3", "sh"} +
                     command);
  };
  const auto alone = with_closed(part("counts_open_descriptors"));
  const auto ours =
      with_closed(words{HARDSTOP_PROGRAM, "run", "--"} + part("counts_open_descriptors"));
  EXPECT_EQ(alone.output, "1\n");
  EXPECT_EQ(ours.output, "1\n");
}

}  // namespace
}  // namespace hardstop::test
