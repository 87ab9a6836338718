// Whoever of hardstop's own processes is killed or stopped: nothing is left, nothing hangs (G5).
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include <gtest/gtest.h>

#include "cli/command.hpp"
#include "support/board.hpp"
#include "support/cgroup.hpp"
#include "support/other_process.hpp"

namespace hardstop::test {
namespace {

struct stage {
  support::counter ready;
  support::counter go;
  support::pid_list<4> processes;
};

using stage_board = support::board<stage>;

// A command with a daemon. Both ignore everything.
int stays(const words& arguments) {
  auto& seen = support::board_from<stage>(arguments).join();
  for (int signal = 1; signal < NSIG; ++signal)
    ::signal(signal, SIG_IGN);
  if (::fork() == 0) {
    ::setsid();
    if (::fork() != 0) ::_exit(0);
  }
  seen.processes.add();
  return seen.go.wait_for(1) ? 0 : 1;
}

const support::part stays_part{"stays", &stays};

class a_run : public testing::Test {
 protected:
  void start_with(const words& options) {
    running_.emplace(start(words{"run"} + options + words{"--"} +
                           part("stays", support::to_words(seen_.ref()))));
    ASSERT_TRUE(seen_->processes.wait_for(2));
    supervisor_ = support::watched_process{supervisor_of(running_->pid())};
    ASSERT_TRUE(supervisor_);
    for (std::size_t place = 0; place < 2; ++place)
      tree_.emplace_back(seen_->processes[place]);
  }

  void expect_gone() {
    EXPECT_TRUE(supervisor_.wait_gone());
    for (const auto& process : tree_)
      EXPECT_TRUE(process.wait_gone());
    EXPECT_TRUE(support::comes_true([&] { return support::survivors(running_->mark()).empty(); }));
  }

  stage_board seen_{"loss"};
  std::optional<running_command> running_;
  support::watched_process supervisor_;
  std::vector<support::watched_process> tree_;
};

TEST_F(a_run, ends_with_its_front) {
  start_with({"--leftovers", "keep"});
  running_->send(SIGKILL);
  const auto ended = running_->wait();
  EXPECT_EQ(ended.shell_status(), 137);
  expect_gone();
}

TEST_F(a_run, is_reported_although_its_front_is_gone) {
  const std::string file = "/proc/self/fd/";
  const int report = ::memfd_create("report", 0);  // inherited
  start_with({"--json=" + file + std::to_string(report)});
  running_->send(SIGKILL);
  (void)running_->wait();
  expect_gone();
  std::string text(4096, '\0');
  const auto size = ::pread(report, text.data(), text.size(), 0);
  ::close(report);
  ASSERT_GT(size, 0);
  text.resize(static_cast<std::size_t>(size));
  EXPECT_EQ(read_json(text)["why"].text(), "hardstop_killed");
}

TEST_F(a_run, ends_with_its_supervisor) {
  start_with({"--json"});
  EXPECT_TRUE(supervisor_.send(SIGKILL));
  const auto ended = running_->wait();
  EXPECT_EQ(ended.left_behind, "");
  EXPECT_EQ(ended.shell_status(), 125);
  EXPECT_EQ(ended.report()["why"].text(), "supervisor_lost");
  expect_gone();
}

TEST_F(a_run, leaves_no_cgroup_when_its_supervisor_is_killed) {
  support::own_cgroup group;
  if (group.path().empty()) GTEST_SKIP() << group.why_not();
  start_with({"--cgroup", group.path()});
  EXPECT_TRUE(supervisor_.send(SIGKILL));
  EXPECT_EQ(running_->wait().shell_status(), 125);
  expect_gone();
  EXPECT_TRUE(group.remove());
}

TEST_F(a_run, loses_at_least_its_command_when_both_are_killed_at_once) {
  start_with({});
  support::watched_process command;
  for (const int child : support::children_of(supervisor_.pid())) {
    const auto line = support::look_at(child);
    if (line && line->group == child) command = support::watched_process{child};
  }
  ASSERT_TRUE(command);
  running_->send(SIGSTOP);  // so that it cannot act between the two
  EXPECT_TRUE(WIFSTOPPED(running_->wait_for_change(WUNTRACED)));
  EXPECT_TRUE(supervisor_.send(SIGKILL));
  running_->send(SIGKILL);
  (void)running_->wait();
  EXPECT_TRUE(command.wait_gone());
  seen_->go.set(1);  // the daemon is out of anybody's reach
  expect_gone();
}

TEST_F(a_run, ends_with_its_front_although_its_supervisor_is_stopped) {
  start_with({});
  running_->send(SIGSTOP);  // it would wake its supervisor
  EXPECT_TRUE(WIFSTOPPED(running_->wait_for_change(WUNTRACED)));
  // It may have stopped, or be about to, when its front goes.
  EXPECT_TRUE(supervisor_.send(SIGSTOP));
  running_->send(SIGKILL);
  (void)running_->wait();
  expect_gone();
}

TEST_F(a_run, goes_on_when_its_supervisor_is_stopped) {
  start_with({"--json"});
  EXPECT_TRUE(supervisor_.send(SIGSTOP));
  running_->send(SIGTERM);
  running_->send(SIGINT);
  const auto ended = running_->wait();
  EXPECT_EQ(ended.shell_status(), 137);
  EXPECT_EQ(ended.report()["why"].text(), "stopped");
  EXPECT_EQ(ended.left_behind, "");
}

TEST_F(a_run, ends_although_its_front_is_stopped) {
  start_with({"--json"});
  running_->send(SIGSTOP);
  EXPECT_TRUE(WIFSTOPPED(running_->wait_for_change(WUNTRACED)));
  seen_->go.set(1);
  const auto ended = running_->wait();
  EXPECT_EQ(ended.shell_status(), 0);
  EXPECT_EQ(ended.report()["why"].text(), "exited");
  EXPECT_EQ(ended.left_behind, "");
}

// What a shell had started before it became hardstop is not hardstop's to kill.
TEST(a_child_from_before, is_spared) {
  auto running =
      running_command{{"sh", "-c", "sleep 1000 & echo $!; exec \"$@\"", "sh", HARDSTOP_PROGRAM,
                       "run", "--", "sh", "-c", "echo up; sleep 1001"}};
  std::string lines;
  while (lines.find("up\n") == std::string::npos)
    lines += running.read_output();
  const support::watched_process before{std::stoi(lines)};
  const auto children = support::children_of(running.pid());
  for (const int child : children) {
    if (child == before.pid()) continue;
    EXPECT_TRUE(support::watched_process{child}.send(SIGKILL));
  }
  const auto ended = running.wait();
  EXPECT_EQ(ended.shell_status(), 125);
  EXPECT_FALSE(before.gone());
  EXPECT_TRUE(before.send(SIGKILL));
  EXPECT_TRUE(before.wait_gone());
  EXPECT_EQ(support::describe(support::survivors(running.mark())), "");
}

}  // namespace
}  // namespace hardstop::test
