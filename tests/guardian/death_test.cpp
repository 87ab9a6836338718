// G5: whichever process goes, and however, the others see to it that nothing is left.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <string>
#include <tuple>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "guardian/test_pool.hpp"
#include "os/pidfd.hpp"
#include "os/proc.hpp"
#include "support/in_child.hpp"
#include "support/survivors.hpp"

namespace hardstop::test {
namespace {

using guardian::start_method;
using testing::IsEmpty;

// Generous, so that a slow machine is no failure; what it really takes is measured elsewhere.
constexpr std::chrono::seconds limit{10};

class every_start : public testing::TestWithParam<start_method> {};

std::string name_of(const testing::TestParamInfo<start_method>& info) {
  constexpr std::array names{"fork", "forkserver", "spawn"};
  return names.at(static_cast<std::size_t>(info.param));
}

INSTANTIATE_TEST_SUITE_P(all, every_start,
                         testing::Values(start_method::fork, start_method::forkserver,
                                         start_method::spawn),
                         name_of);

TEST_P(every_start, guardian_killed) {
  const marker mark;
  test_pool pool{GetParam()};
  for (const auto* name : {"daemon", "setsid_grandchild", "ignores_signals"})
    pool.spawn(name);
  (void)pool.link().guardian.send_signal(SIGKILL);
  EXPECT_TRUE(pool.both_end());
  EXPECT_THAT(mark.survivors_after(limit), IsEmpty());
}

TEST_P(every_start, warden_killed) {
  const marker mark;
  test_pool pool{GetParam()};
  for (const auto* name : {"daemon", "setsid_grandchild", "ignores_signals"})
    pool.spawn(name);
  (void)pool.link().warden.send_signal(SIGKILL);
  EXPECT_TRUE(pool.both_end());
  EXPECT_THAT(mark.survivors_after(limit), IsEmpty());
}

// A client in a process of its own, with villains about, that then ends as it is told.
int client_that(start_method start, const std::function<void()>& end) {
  return in_child([&] {
    test_pool pool{start};
    for (const auto* name : {"daemon", "setsid_grandchild", "ignores_signals"})
      pool.spawn(name);
    end();
  });
}

TEST_P(every_start, client_killed) {
  const marker mark;
  const int status = client_that(GetParam(), [] { ::raise(SIGKILL); });
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  EXPECT_THAT(mark.survivors_after(limit), IsEmpty());
}

TEST_P(every_start, client_exits) {
  const marker mark;
  EXPECT_EQ(client_that(GetParam(), [] { ::_exit(0); }), 0);
  EXPECT_THAT(mark.survivors_after(limit), IsEmpty());
}

TEST_P(every_start, client_executes_something_else) {
  // Its pidfd does not tell; the socket does. It lives on as `cat` until the pipe is closed.
  const marker mark;
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
  const pid_t client = ::fork();
  if (client == 0) {
    test_pool pool{GetParam()};
    for (const auto* name : {"daemon", "setsid_grandchild"})
      pool.spawn(name);
    ::dup2(pipe[0], STDIN_FILENO);
    ::unsetenv("HARDSTOP_TEST_MARK");
    ::execlp("cat", "cat", nullptr);
    ::_exit(127);
  }
  ::close(pipe[0]);
  while (os::read_stat(client)->name != "cat")
    ::usleep(1000);
  EXPECT_THAT(mark.survivors_after(limit), IsEmpty());
  EXPECT_EQ(::waitpid(client, nullptr, WNOHANG), 0) << "the client was to be left alone";
  ::close(pipe[1]);
  ::waitpid(client, nullptr, 0);
}

TEST(death, of_a_client_whose_fork_keeps_the_socket_open) {
  const marker mark;
  pid_t keeper = -1;
  std::array<int, 2> told{};
  ASSERT_EQ(::pipe2(told.data(), O_CLOEXEC), 0);
  client_that(start_method::fork, [&] {
    keeper = ::fork();
    if (keeper == 0) {
      ::alarm(60);
      ::pause();
    }
    (void)!::write(told[1], &keeper, sizeof keeper);
    ::raise(SIGKILL);
  });
  ASSERT_EQ(::read(told[0], &keeper, sizeof keeper), static_cast<ssize_t>(sizeof keeper));
  for (const int end : told)
    ::close(end);
  // Only that fork, which is the host's own, may be left.
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!mark.survivors({keeper}).empty() && std::chrono::steady_clock::now() < deadline) {
  }
  EXPECT_THAT(mark.survivors({keeper}), IsEmpty());
  ::kill(keeper, SIGKILL);
  EXPECT_THAT(mark.survivors_after(limit), IsEmpty());
}

TEST(death, of_a_client_while_its_guardian_hangs) {
  const marker mark;
  in_child([] {
    auto plan = test_pool::plan_for(start_method::fork);
    os::descriptor spec{::memfd_create("spec", MFD_CLOEXEC)};
    (void)!::write(spec.get(), "hang", 4);
    plan.spec = std::move(spec);
    plan.confirm_within = std::chrono::milliseconds{1};
    const auto begun = guardian::begin_birth(plan);
    ::raise(SIGKILL);
  });
  EXPECT_THAT(mark.survivors_after(limit), IsEmpty());
}

TEST(death, of_a_worker_with_a_pool_of_its_own_G2) {
  const marker mark;
  test_pool pool;
  const auto worker = pool.spawn("has_a_pool");
  ASSERT_GE(mark.survivors().size(), 6U);  // two guardians, two wardens, two workers
  EXPECT_EQ(pool.kill_and_wait(worker).unconfirmed.reason, wire::survival::none);
  EXPECT_THAT(mark.survivors({pool.link().warden.pid(), pool.link().guardian.pid()}), IsEmpty());
}

}  // namespace
}  // namespace hardstop::test
