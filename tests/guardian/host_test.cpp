// G10: the host is left alone.
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "guardian/test_pool.hpp"
#include "os/proc.hpp"
#include "support/in_child.hpp"
#include "support/sanitized.hpp"
#include "support/survivors.hpp"

namespace hardstop::test {
namespace {

using guardian::start_method;
using testing::IsEmpty;

constexpr std::array all_starts{start_method::fork, start_method::forkserver, start_method::spawn};

std::atomic<int> child_signals{0};

void count_child_signal(int) {
  ++child_signals;
}

void live_through_a_pool(start_method start) {
  test_pool pool{start};
  (void)pool.kill_and_wait(pool.spawn("daemon"));
  (void)pool.gone(pool.spawn("exits"));
}

TEST(host, sees_no_child_signal_and_no_child) {
  EXPECT_EQ(in_child([] {
              ::signal(SIGCHLD, &count_child_signal);
              for (const auto start : all_starts) {
                live_through_a_pool(start);
                HARDSTOP_CHECK(child_signals == 0);
                HARDSTOP_CHECK(::waitpid(-1, nullptr, 0) == -1 && errno == ECHILD);
              }
            }),
            0);
}

TEST(host, keeps_a_loop_that_waits_for_any_child) {
  EXPECT_EQ(in_child([] {
              std::atomic<bool> done{false};
              std::atomic<int> stolen{0};
              std::thread loop{[&] {
                while (!done) {
                  if (::waitpid(-1, nullptr, WNOHANG) > 0) ++stolen;
                }
              }};
              for (const auto start : all_starts)
                live_through_a_pool(start);
              done = true;
              loop.join();
              HARDSTOP_CHECK(stolen == 0);
            }),
            0);
}

TEST(host, may_ignore_child_signals) {
  EXPECT_EQ(in_child([] {
              ::signal(SIGCHLD, SIG_IGN);
              for (const auto start : all_starts)
                live_through_a_pool(start);
            }),
            0);
}

TEST(host, keeps_its_mask_dispositions_and_flags) {
  EXPECT_EQ(in_child([] {
              ::signal(SIGUSR1, &count_child_signal);
              ::signal(SIGUSR2, SIG_IGN);
              sigset_t mask;
              sigemptyset(&mask);
              sigaddset(&mask, SIGHUP);
              ::sigprocmask(SIG_SETMASK, &mask, nullptr);
              for (const auto start : all_starts)
                live_through_a_pool(start);

              sigset_t after;
              ::sigprocmask(SIG_SETMASK, nullptr, &after);
              for (int signal = 1; signal < NSIG; ++signal) {
                HARDSTOP_CHECK(::sigismember(&after, signal) == (signal == SIGHUP ? 1 : 0) ||
                               ::sigismember(&after, signal) < 0);
              }
              HARDSTOP_CHECK(::signal(SIGUSR1, SIG_DFL) == &count_child_signal);
              HARDSTOP_CHECK(::signal(SIGUSR2, SIG_DFL) == SIG_IGN);
              HARDSTOP_CHECK(::signal(SIGCHLD, SIG_DFL) == SIG_DFL);
              int subreaper = 1;
              ::prctl(PR_GET_CHILD_SUBREAPER, &subreaper, 0, 0, 0);
              HARDSTOP_CHECK(subreaper == 0);
              HARDSTOP_CHECK(os::read_stat(::getpid())->name == "guardian_test");
            }),
            0);
}

TEST(host, may_be_a_subreaper_and_keeps_no_corpse) {
  EXPECT_EQ(in_child([] {
              ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
              for (const auto start : all_starts) {
                live_through_a_pool(start);  // reaps by pidfd, see test_pool::both_end
                HARDSTOP_CHECK(::waitpid(-1, nullptr, 0) == -1 && errno == ECHILD);
              }
              // The same when ours are killed: what they orphan is adopted, too.
              for (const bool first : {true, false}) {
                test_pool pool;
                const auto worker = pool.spawn("idle");
                (void)(first ? pool.link().warden : pool.link().guardian).send_signal(SIGKILL);
                HARDSTOP_CHECK(pool.both_end());
                (void)worker.handle.wait_ended(std::chrono::seconds{10});
                (void)worker.handle.reap();
                HARDSTOP_CHECK(::waitpid(-1, nullptr, 0) == -1 && errno == ECHILD);
              }
            }),
            0);
}

TEST(host, may_be_the_first_process_of_a_container) {
  constexpr int not_allowed = 77;
  const int status = in_child([] {
    if (::unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) ::_exit(not_allowed);
    const int inside = in_child([] {
      if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
          ::mount("proc", "/proc", "proc", 0, nullptr) != 0) {
        ::_exit(not_allowed);
      }
      HARDSTOP_CHECK(::getpid() == 1);
      for (const auto start : all_starts) {
        live_through_a_pool(start);
        HARDSTOP_CHECK(::waitpid(-1, nullptr, 0) == -1 && errno == ECHILD);
      }
    });
    ::_exit(WEXITSTATUS(inside) | WTERMSIG(inside));
  });
  if (WEXITSTATUS(status) == not_allowed) GTEST_SKIP() << "no right to make a PID namespace";
  EXPECT_EQ(status, 0);
}

TEST(host, may_have_threads_that_allocate) {
  const marker mark;
  EXPECT_EQ(in_child([] {
              std::atomic<bool> done{false};
              std::vector<std::thread> threads;
              for (int i = 0; i < 3; ++i) {
                threads.emplace_back([&done] {
                  std::vector<std::string> kept;
                  while (!done) {
                    kept.emplace_back(static_cast<std::size_t>(kept.size() * 37 % 5000), 'x');
                    if (kept.size() > 100) kept.clear();
                  }
                });
              }
              constexpr int births = sanitized ? 30 : 150;
              for (int birth = 0; birth < births; ++birth) {
                test_pool pool;
                if (birth % 10 == 0) (void)pool.kill_and_wait(pool.spawn("idle"));
              }
              done = true;
              for (auto& thread : threads)
                thread.join();
            }),
            0);
  EXPECT_THAT(mark.survivors_after(std::chrono::seconds{10}), IsEmpty());
}

TEST(host, may_give_birth_from_any_thread) {
  EXPECT_EQ(in_child([] {
              std::vector<std::thread> threads;
              for (int i = 0; i < 4; ++i) {
                threads.emplace_back([] {
                  for (const auto start : all_starts)
                    live_through_a_pool(start);
                });
              }
              for (auto& thread : threads)
                thread.join();
              HARDSTOP_CHECK(::waitpid(-1, nullptr, 0) == -1 && errno == ECHILD);
            }),
            0);
}

TEST(host, can_ask_for_a_plain_fork) {
  const marker mark;
  EXPECT_EQ(in_child([] {
              ::setenv("HARDSTOP_BIRTH", "fork", 1);
              for (const auto start : all_starts) {
                live_through_a_pool(start);
                HARDSTOP_CHECK(::waitpid(-1, nullptr, 0) == -1 && errno == ECHILD);
              }
            }),
            0);
  EXPECT_THAT(mark.survivors_after(std::chrono::seconds{10}), IsEmpty());
}

TEST(host, keeps_what_it_had_buffered_to_itself) {
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  EXPECT_EQ(in_child([&] {
              ::dup2(pipe[1], STDOUT_FILENO);
              std::printf("once");
              test_pool pool;
              const auto worker = pool.spawn("flushes_and_exits");
              (void)pool.gone(worker);
              pool.dismiss();
              std::fflush(stdout);
            }),
            0);
  ::close(pipe[1]);
  std::array<char, 64> text{};
  EXPECT_EQ(::read(pipe[0], text.data(), text.size()), 4) << text.data();
  ::close(pipe[0]);
}

}  // namespace
}  // namespace hardstop::test
