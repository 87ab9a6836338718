// hardstop as PID 1, as in a container: it passes signals on, and reaps whoever is left to it.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "cli/command.hpp"
#include "support/other_process.hpp"

namespace hardstop::test {
namespace {

constexpr int exit_no_namespace = 77;

enum class own_proc { yes, no };

// Executes the words as PID 1 of a namespace of its own, and ends as they do.
int be_init_of(const words& arguments, own_proc proc) {
  if (::geteuid() != 0 && ::unshare(CLONE_NEWUSER) != 0) return exit_no_namespace;
  if (::unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) return exit_no_namespace;
  // Signals meant for hardstop come here first; none before it is known where to pass them.
  sigset_t meant_for_it;
  sigemptyset(&meant_for_it);
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1})
    sigaddset(&meant_for_it, signal);
  ::sigprocmask(SIG_BLOCK, &meant_for_it, nullptr);
  const pid_t init = ::fork();
  if (init == 0) {
    ::sigprocmask(SIG_UNBLOCK, &meant_for_it, nullptr);
    // Nothing of this is seen outside.
    if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
      ::_exit(exit_no_namespace);
    if (proc == own_proc::yes && ::mount("proc", "/proc", "proc", 0, nullptr) != 0) {
      ::_exit(exit_no_namespace);
    }
    // LeakSanitizer cannot trace its process here, and ends it with a failure for that.
    ::setenv("LSAN_OPTIONS", "detect_leaks=0", 1);
    auto copy = arguments;
    ::execvp(copy.front().c_str(), support::as_argv(copy).data());
    ::_exit(98);
  }
  static pid_t passed_to = init;
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1})
    ::signal(signal, [](int which) { ::kill(passed_to, which); });
  ::sigprocmask(SIG_UNBLOCK, &meant_for_it, nullptr);
  int status = -1;
  while (::waitpid(init, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int init(const words& arguments) {
  return be_init_of(arguments, own_proc::yes);
}

int init_without_proc(const words& arguments) {
  return be_init_of(arguments, own_proc::no);
}

const support::part init_part{"init", &init};
const support::part init_without_proc_part{"init_without_proc", &init_without_proc};

words as_init(const words& arguments) {
  return part("init", words{HARDSTOP_PROGRAM} + arguments);
}

#define SKIP_WITHOUT_NAMESPACES(ended)                                    \
  if ((ended).shell_status() == exit_no_namespace) {                      \
    GTEST_SKIP() << "this machine allows no PID namespaces to this user"; \
  }

TEST(as_pid_1, hardstop_runs_a_command_and_ends_as_it_does) {
  const auto ended = run_other(as_init({"run", "--", "sh", "-c", "echo $PPID; exit 9"}));
  SKIP_WITHOUT_NAMESPACES(ended);
  EXPECT_EQ(ended.output, "2\n");  // the supervisor is all there is between
  EXPECT_EQ(ended.shell_status(), 9);
}

TEST(as_pid_1, a_signal_death_is_an_exit_code) {
  const auto ended = run_other(as_init({"run", "--", "sh", "-c", "kill -TERM $$"}));
  SKIP_WITHOUT_NAMESPACES(ended);
  EXPECT_EQ(ended.wait_status, (128 + SIGTERM) << 8);
}

TEST(as_pid_1, hardstop_times_out_and_leaves_nothing) {
  const auto ended =
      run_other(as_init({"run", "--timeout", "50ms", "--grace", "50ms", "--json", "--", "sh", "-c",
                         "trap '' TERM; setsid sleep 1000 & sleep 1001"}));
  SKIP_WITHOUT_NAMESPACES(ended);
  EXPECT_EQ(ended.shell_status(), 137);
  EXPECT_GE(ended.report()["processes_stopped"].number(), 1);
  EXPECT_EQ(ended.left_behind, "");
}

TEST(as_pid_1, hardstop_passes_signals_on) {
  running_command running{
      as_init({"run", "--", "sh", "-c",
               "trap 'echo caught; exit 6' TERM; echo up; while :; do sleep 0.01; done"})};
  const auto first = running.read_output();
  if (first.empty()) GTEST_SKIP() << "this machine allows no PID namespaces to this user";
  EXPECT_EQ(first, "up\n");
  running.send(SIGTERM);
  const auto ended = running.wait();
  EXPECT_EQ(ended.output, "caught\n");
  EXPECT_EQ(ended.shell_status(), 6);
  EXPECT_EQ(ended.left_behind, "");
}

// Enters the namespace of that process, as `docker exec` does, and leaves an orphan there that ends
// at once. Tells the orphan's number outside: <pid>
int leave_orphan(const words& arguments) {
  const auto path = "/proc/" + arguments.at(0) + "/ns/pid";
  const int space = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (space < 0 || ::setns(space, CLONE_NEWPID) != 0) return exit_no_namespace;
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return 1;
  const pid_t parent = ::fork();
  if (parent == 0) {
    const pid_t orphan = ::fork();
    if (orphan == 0) {
      // Not before it is one.
      char byte = 0;
      ::close(ends[1]);
      (void)!::read(ends[0], &byte, 1);
      ::_exit(0);
    }
    ::_exit(0);
  }
  // As seen from here.
  int orphan = 0;
  (void)support::comes_true([&] {
    const auto children = support::children_of(parent);
    if (!children.empty()) orphan = children.front();
    const auto line = support::look_at(parent);
    return orphan != 0 || (line && line->state == 'Z');
  });
  ::waitpid(parent, nullptr, 0);
  std::printf("%d\n", orphan);
  return 0;
}

const support::part leave_orphan_part{"leave_orphan", &leave_orphan};

TEST(as_pid_1, hardstop_reaps_whoever_is_left_to_it) {
  running_command running{as_init({"run", "--", "sh", "-c", "echo up; sleep 1000"})};
  if (running.read_output().empty()) {
    GTEST_SKIP() << "this machine allows no PID namespaces to this user";
  }
  const pid_t hardstop = support::children_of(running.pid()).front();
  const auto left = run_other(part("leave_orphan", {std::to_string(hardstop)}));
  ASSERT_EQ(left.shell_status(), 0);
  // Not even a corpse: hardstop has it neither among its children nor forgotten.
  EXPECT_TRUE(support::comes_true([&] { return support::children_of(hardstop).size() == 1; }));
  running.send(SIGTERM);
  EXPECT_EQ(running.wait().shell_status(), 128 + SIGTERM);
}

TEST(a_foreign_proc, is_noticed) {
  // It would show the children of somebody else, who happens to have our number.
  for (const auto& arguments : {words{"run", "--", "echo", "it ran"}, words{"doctor"}}) {
    const auto ended = run_other(part("init_without_proc", words{HARDSTOP_PROGRAM} + arguments));
    SKIP_WITHOUT_NAMESPACES(ended);
    EXPECT_EQ(ended.shell_status(), arguments.front() == "run" ? 125 : 1);
    EXPECT_NE((ended.output + ended.errors).find("--mount-proc"), std::string::npos);
    EXPECT_EQ(ended.output.find("it ran"), std::string::npos);
  }
}

}  // namespace
}  // namespace hardstop::test
