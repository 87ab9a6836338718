// G2 for a process that sweeps by itself, as `hardstop run` does.
#include "guardian/tree_sweep.hpp"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "guardian/test_pool.hpp"
#include "guardian/villains.hpp"
#include "support/in_child.hpp"
#include "support/survivors.hpp"

namespace hardstop::test {
namespace {

using testing::IsEmpty;

// Starts a villain as the leader of a group of its own; it must get ready.
pid_t start(const std::string& name) {
  std::array<int, 2> lane{};
  HARDSTOP_CHECK(::pipe2(lane.data(), O_CLOEXEC) == 0);
  const pid_t self = ::getpid();
  const pid_t root = ::fork();
  if (root == 0) {
    ::setpgid(0, 0);
    guardian::worker_birth birth;
    birth.guardian_pid = self;
    birth.lane = os::descriptor{lane[1]};
    villain_named(name)(birth);
    ::_exit(0);
  }
  ::close(lane[1]);
  char byte = 0;
  HARDSTOP_CHECK(::read(lane[0], &byte, 1) == 1);
  ::close(lane[0]);
  return root;
}

class stopped_command : public testing::TestWithParam<std::string> {};

TEST_P(stopped_command, leaves_nothing_behind_G2) {
  const marker mark;
  EXPECT_EQ(in_child([] {
              ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
              const pid_t root = start(GetParam());
              const auto outcome = guardian::stop_tree(root, std::chrono::seconds{10});
              HARDSTOP_CHECK(outcome.survivors.empty());
              HARDSTOP_CHECK(outcome.root && outcome.root->pid == root);
              HARDSTOP_CHECK(outcome.root->status.signal == SIGKILL);
              HARDSTOP_CHECK(outcome.processes_stopped >= 1);
              HARDSTOP_CHECK(::waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD);
            }),
            0);
  EXPECT_THAT(mark.survivors(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(all, stopped_command,
                         testing::Values("idle", "daemon", "orphans", "fork_chain", "fork_bomb",
                                         "hopping_bomb", "shell_pipeline", "stops_its_group",
                                         "leaves_vfork_parent", "tree_of_4"),
                         [](const auto& of) { return of.param; });

TEST(stop_tree, sweeps_what_a_command_that_has_ended_left) {
  const marker mark;
  EXPECT_EQ(in_child([] {
              ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
              (void)start("exits_with_children");
              const auto outcome = guardian::stop_tree(0, std::chrono::seconds{10});
              HARDSTOP_CHECK(!outcome.root && outcome.survivors.empty());
            }),
            0);
  EXPECT_THAT(mark.survivors(), IsEmpty());
}

// A copy of this test's program that runs as root whoever starts it; made by root for the test.
class set_uid_program {
 public:
  set_uid_program() {
    std::filesystem::copy_file("/proc/self/exe", path_);
    std::filesystem::permissions(path_, std::filesystem::perms{04755});
  }

  ~set_uid_program() { std::filesystem::remove(path_); }

  set_uid_program(const set_uid_program&) = delete;
  set_uid_program& operator=(const set_uid_program&) = delete;

  [[nodiscard]] const char* path() const { return path_.c_str(); }

 private:
  std::filesystem::path path_ = "/tmp/hardstop-test-root-" + std::to_string(::getpid());
};

TEST(stop_tree, names_whom_it_may_not_kill) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can make a set-uid program";
  constexpr int not_set_uid = 77;
  constexpr uid_t nobody = 65534;
  const set_uid_program program;
  const marker mark;
  const int status = in_child([&] {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    HARDSTOP_CHECK(::setresuid(nobody, nobody, nobody) == 0);
    std::array<int, 2> said{};
    HARDSTOP_CHECK(::pipe(said.data()) == 0);
    const pid_t root = ::fork();
    if (root == 0) {
      ::dup2(said[1], STDOUT_FILENO);
      ::execl(program.path(), "root", become_root_argument, nullptr);
      ::_exit(1);
    }
    ::close(said[1]);
    char byte = 0;
    if (::read(said[0], &byte, 1) != 1) ::_exit(not_set_uid);
    const auto outcome = guardian::stop_tree(root, std::chrono::milliseconds{20});
    HARDSTOP_CHECK(outcome.survivors.size() == 1);
    HARDSTOP_CHECK(outcome.survivors[0].pid == root);
    HARDSTOP_CHECK(outcome.survivors[0].reason == wire::survival::permission);
  });
  for (const auto& left : mark.survivors())
    ::kill(left.pid, SIGKILL);
  EXPECT_THAT(mark.survivors_after(std::chrono::seconds{10}), IsEmpty());
  if (WEXITSTATUS(status) == not_set_uid) GTEST_SKIP() << "/tmp does not allow set-uid programs";
  EXPECT_EQ(status, 0);
}

TEST(reap_any, tells_how_a_child_ended) {
  EXPECT_EQ(in_child([] {
              HARDSTOP_CHECK(!guardian::reap_any());
              if (::fork() == 0) ::_exit(7);
              std::optional<guardian::corpse> ended;
              while (!(ended = guardian::reap_any())) {
              }
              HARDSTOP_CHECK(ended->status.code == 7 && ended->status.signal == 0);
              HARDSTOP_CHECK(ended->peak_memory > 0);
            }),
            0);
}

}  // namespace
}  // namespace hardstop::test
