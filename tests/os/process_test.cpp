// Processes: pidfds, /proc, titles, signals, children that share our memory.
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "os/kernel.hpp"
#include "os/pidfd.hpp"
#include "os/proc.hpp"
#include "os/shared_child.hpp"
#include "os/signals.hpp"
#include "os/title.hpp"
#include "support/in_child.hpp"

namespace hardstop::os {
namespace {

using testing::Contains;

// A child that waits to be killed; killed and reaped at the latest by the destructor.
class sleeper {
 public:
  sleeper() : pid_{::fork()} {
    if (pid_ == 0) {
      ::alarm(60);
      for (;;)
        ::pause();
    }
  }

  ~sleeper() {
    if (pid_ > 1) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
  }

  sleeper(const sleeper&) = delete;
  sleeper& operator=(const sleeper&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }

  pid_t leave_to_others() { return std::exchange(pid_, -1); }

 private:
  pid_t pid_;
};

TEST(exit_status, is_read_from_a_wait_status) {
  EXPECT_EQ(exit_status::from_wait_status(W_EXITCODE(3, 0)), (exit_status{.code = 3}));
  EXPECT_EQ(exit_status::from_wait_status(W_EXITCODE(0, SIGKILL)),
            (exit_status{.signal = SIGKILL}));
  EXPECT_EQ(exit_status::from_wait_status(SIGABRT | WCOREFLAG),
            (exit_status{.signal = SIGABRT, .core_dumped = true}));
}

TEST(pidfd, signals_waits_and_reaps) {
  sleeper child;
  const auto handle = pidfd::open(child.pid());
  ASSERT_TRUE(handle);
  EXPECT_FALSE(handle->ended());
  EXPECT_FALSE(handle->wait_ended(std::chrono::milliseconds{1}));
  EXPECT_FALSE(handle->reap());
  EXPECT_TRUE(handle->send_signal(SIGTERM));
  EXPECT_TRUE(handle->wait_ended(std::chrono::seconds{10}));
  EXPECT_EQ(handle->reap(), (exit_status{.signal = SIGTERM}));
  child.leave_to_others();
  EXPECT_FALSE(handle->reap());
  EXPECT_EQ(handle->send_signal(SIGTERM).error().code, ESRCH);
  if (probe_kernel().pidfd_exit_info) {
    EXPECT_EQ(handle->exit_info(), (exit_status{.signal = SIGTERM}));
  }
}

TEST(pidfd, is_refused_for_another_parents_child_G3) {
  const sleeper child;
  EXPECT_TRUE(pidfd::open_child_of(child.pid(), ::getpid()));
  EXPECT_EQ(pidfd::open_child_of(child.pid(), 1).error().code, ESRCH);
}

TEST(read_stat, understands_any_name) {
  EXPECT_EQ(test::in_child([] {
              ::prctl(PR_SET_NAME, "a) R 1 (b", 0, 0, 0);
              const auto stat = read_stat(::getpid());
              HARDSTOP_CHECK(stat && stat->name == "a) R 1 (b");
              HARDSTOP_CHECK(stat->state == 'R' && stat->parent == ::getppid());
              HARDSTOP_CHECK(stat->group == ::getpgrp() && stat->session == ::getsid(0));
              HARDSTOP_CHECK(stat->threads >= 1 && stat->start_time > 0);
              HARDSTOP_CHECK(stat->arguments_end > stat->arguments_begin);
            }),
            0);
}

TEST(read_stat, tells_the_stopped_from_the_dead) {
  const sleeper child;
  ::kill(child.pid(), SIGSTOP);
  ::waitpid(child.pid(), nullptr, WUNTRACED);
  EXPECT_TRUE(read_stat(child.pid())->stopped());
  ::kill(child.pid(), SIGKILL);
  siginfo_t info{};
  ::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED | WNOWAIT);
  EXPECT_TRUE(read_stat(child.pid())->dead());
  EXPECT_FALSE(read_stat(-5));
}

TEST(read_status, tells_tracer_mask_and_user) {
  EXPECT_EQ(read_status(::getpid())->tracer, 0);
  EXPECT_EQ(read_status(::getpid())->effective_user, ::geteuid());
  EXPECT_EQ(test::in_child([] {
              const signals_blocked quiet;
              // SIGKILL and SIGSTOP cannot be blocked; those that sigset_t hides can.
              constexpr std::uint64_t unblockable =
                  (1ULL << (SIGKILL - 1)) | (1ULL << (SIGSTOP - 1));
              HARDSTOP_CHECK(read_status(::getpid())->blocked_signals == ~unblockable);
            }),
            0);
  EXPECT_EQ(read_status(::getpid())->blocked_signals, 0U);
}

TEST(append_children, finds_those_of_every_thread) {
  const sleeper child;
  std::vector<pid_t> found;
  std::atomic<pid_t> of_thread{-1};
  std::atomic<bool> done{false};
  std::thread other{[&] {
    const sleeper theirs;
    of_thread = theirs.pid();
    while (!done)
      std::this_thread::yield();
  }};
  while (of_thread == -1)
    std::this_thread::yield();
  EXPECT_TRUE(append_children(::getpid(), found));
  EXPECT_THAT(found, Contains(child.pid()));
  EXPECT_THAT(found, Contains(of_thread.load()));
  found.clear();
  EXPECT_TRUE(own_children::open()->append(found));
  EXPECT_THAT(found, Contains(of_thread.load()));
  done = true;
  other.join();
  EXPECT_FALSE(append_children(-5, found));
}

TEST(append_children, finds_more_than_fit_one_page) {
  EXPECT_EQ(test::in_child([] {
              constexpr int count = 900;
              std::vector<pid_t> born;
              for (int i = 0; i < count; ++i) {
                const pid_t child = ::fork();
                if (child == 0) ::_exit(0);
                HARDSTOP_CHECK(child > 0);
                born.push_back(child);
              }
              std::vector<pid_t> found;
              HARDSTOP_CHECK(append_children(::getpid(), found).has_value());
              std::sort(found.begin(), found.end());
              std::sort(born.begin(), born.end());
              HARDSTOP_CHECK(found == born);

              const auto own = own_children::open();
              HARDSTOP_CHECK(own.has_value());
              for (int time = 0; time < 2; ++time) {
                found.clear();
                HARDSTOP_CHECK(own->append(found).has_value());
                std::sort(found.begin(), found.end());
                HARDSTOP_CHECK(found == born);
              }
            }),
            0);
}

TEST(read_resident_memory, is_that_of_the_process) {
  EXPECT_GT(read_resident_memory(::getpid()).value_or(0), 100'000U);
  EXPECT_FALSE(read_resident_memory(-5));
}

TEST(read_thread_states, has_one_letter_for_each) {
  EXPECT_EQ(read_thread_states(::getpid())->size(),
            static_cast<std::size_t>(read_stat(::getpid())->threads));
}

TEST(set_process_title, changes_name_and_command_line_and_spares_the_environment) {
  EXPECT_EQ(
      test::in_child([] {
        ::setenv("PATH", ::getenv("PATH"), 1);
        const std::string path = ::getenv("PATH");
        set_process_title("a name that is too long", std::string(100'000, 'x'));
        HARDSTOP_CHECK(read_stat(::getpid())->name == "a name that is ");
        std::ifstream file{"/proc/self/cmdline"};
        const std::string line{std::istreambuf_iterator<char>{file}, {}};
        HARDSTOP_CHECK(line.size() > 2 && line.substr(0, 2) == "xx");
        HARDSTOP_CHECK(line.find_first_not_of(std::string_view{"x\0", 2}) == std::string::npos);
        HARDSTOP_CHECK(::getenv("PATH") == path);
      }),
      0);
}

TEST(signals, are_blocked_for_a_while_and_reset_for_good) {
  EXPECT_EQ(test::in_child([] {
              static std::atomic<int> handled{0};
              ::signal(SIGUSR1, [](int) { ++handled; });
              {
                const signals_blocked quiet;
                ::raise(SIGUSR1);
                HARDSTOP_CHECK(handled == 0);
              }
              HARDSTOP_CHECK(handled == 1);
              ::signal(SIGCHLD, SIG_IGN);
              reset_signal_dispositions();
              std::ifstream status{"/proc/self/status"};
              for (std::string line; std::getline(status, line);) {
                if (line.starts_with("SigIgn:") || line.starts_with("SigCgt:")) {
                  // The C library's own two may stay.
                  const auto left = std::stoull(line.substr(7), nullptr, 16);
                  HARDSTOP_CHECK((left & ~(3ULL << 31U)) == 0);
                }
              }
              block_all_signals();
              unblock_all_signals();
              HARDSTOP_CHECK(read_status(::getpid())->blocked_signals == 0);
            }),
            0);
}

struct shared {
  int number = 0;
  pid_t seen_parent = 0;
};

int write_into(void* argument) noexcept {
  auto& ours = *static_cast<shared*>(argument);
  ours.number = 42;
  ours.seen_parent = ::getppid();
  return 5;
}

TEST(shared_child, writes_into_our_memory_and_is_seen_by_nobody_G10) {
  EXPECT_EQ(test::in_child([] {
              static std::atomic<int> signalled{0};
              ::signal(SIGCHLD, [](int) { ++signalled; });
              shared ours;
              const auto child = run_shared_child(&write_into, &ours, share_descriptors::yes);
              HARDSTOP_CHECK(child.has_value());
              HARDSTOP_CHECK(ours.number == 42 && ours.seen_parent == ::getpid());
              HARDSTOP_CHECK(::waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD);
              reap_shared_child(*child);
              HARDSTOP_CHECK(::waitpid(-1, nullptr, __WALL) == -1 && errno == ECHILD);
              HARDSTOP_CHECK(signalled == 0);
            }),
            0);
}

int fork_inside(void* argument) noexcept {
  auto& pid = *static_cast<pid_t*>(argument);
  pid = ::fork();
  if (pid != 0) return 0;
  // The forked copy goes on below the frames of the one who waits: it must be a whole process.
  std::vector<int> memory(1000, 1);
  std::string text;
  try {
    text.resize(text.max_size() + 1);
  } catch (const std::length_error&) {
    memory.resize(42);
  }
  ::_exit(static_cast<int>(memory.size()));
}

TEST(shared_child, can_fork_a_process_that_lives_on) {
  EXPECT_EQ(test::in_child([] {
              // Orphaned by its short-lived parent, the fork comes to us.
              ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
              pid_t forked = -1;
              const auto child = run_shared_child(&fork_inside, &forked, share_descriptors::yes);
              HARDSTOP_CHECK(child.has_value() && forked > 0);
              reap_shared_child(*child);
              int status = 0;
              HARDSTOP_CHECK(::waitpid(forked, &status, 0) == forked);
              HARDSTOP_CHECK(WEXITSTATUS(status) == 42);
            }),
            0);
}

TEST(kernel, is_found_to_have_what_is_required) {
  const auto features = probe_kernel();
  EXPECT_TRUE(features.pidfd);
  EXPECT_TRUE(features.pidfd_wait);
  EXPECT_TRUE(features.memfd_sealing);
  EXPECT_TRUE(features.invisible_clone);
  EXPECT_EQ(probe_proc(), proc_support::complete);
}

}  // namespace
}  // namespace hardstop::os
