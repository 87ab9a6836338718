// The host process is left alone: its signals, children, descriptors, threads and forks (G10).
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "support/board.hpp"
#include "support/cgroup.hpp"
#include "support/other_process.hpp"
#include "support/pools.hpp"
#include "support/processes.hpp"
#include <hardstop/pool.hpp>

namespace {

using hardstop::cancel_mode;
using hardstop::outcome_kind;
using namespace std::chrono_literals;

void exit_with(int code) {
  ::_exit(code);
}

void linger() {
  for (;;)
    ::pause();
}

// Everything that makes processes begin and end: birth, results, a death, a kill, a deadline, the
// pool's end.
void live_through_it_all(hardstop::start_method method) {
  hardstop::process_pool pool({.workers = 2, .start = method});
  auto value = pool.submit<&support::twice>(21);
  auto death = pool.submit<&exit_with>(3);
  auto late = pool.submit<&linger>({.timeout = 10ms});
  auto cancelled = pool.submit<&linger>();
  EXPECT_EQ(value.get(), 42);
  const auto end = death.outcome();
  const auto* const died = end.as<hardstop::outcome::worker_died>();
  ASSERT_NE(died, nullptr) << end.describe();
  EXPECT_EQ(died->exit_code, 3) << "somebody else got the exit status";
  EXPECT_EQ(late.outcome().kind(), outcome_kind::timed_out);
  cancelled.cancel(cancel_mode::kill);
  EXPECT_EQ(cancelled.outcome().kind(), outcome_kind::cancelled);
}

// Sets a disposition and puts the old one back.
class disposition {
 public:
  disposition(int signal, void (*handler)(int)) : signal_(signal) {
    struct sigaction wanted {};

    wanted.sa_handler = handler;
    ::sigaction(signal, &wanted, &before_);
  }

  disposition(const disposition&) = delete;
  disposition& operator=(const disposition&) = delete;

  ~disposition() { ::sigaction(signal_, &before_, nullptr); }

  [[nodiscard]] bool is_still(void (*handler)(int)) const {
    struct sigaction now {};

    ::sigaction(signal_, nullptr, &now);
    return now.sa_handler == handler;
  }

 private:
  int signal_;

  struct sigaction before_ {};
};

std::atomic<int> signals_seen{0};

void count_signal(int /*signal*/) {
  ++signals_seen;
}

class host : public testing::TestWithParam<hardstop::start_method> {};

TEST_P(host, with_a_sigchld_handler_is_never_called) {
  signals_seen = 0;
  const disposition handler(SIGCHLD, &count_signal);
  live_through_it_all(GetParam());
  EXPECT_EQ(signals_seen, 0);
  EXPECT_TRUE(handler.is_still(&count_signal));
}

TEST_P(host, that_ignores_sigchld_gets_right_exit_codes) {
  const disposition ignored(SIGCHLD, SIG_IGN);
  live_through_it_all(GetParam());
  EXPECT_TRUE(ignored.is_still(SIG_IGN));
}

// Waits for every child this process has, as some programs do in a thread of their own.
class reaper_of_all {
 public:
  reaper_of_all()
      : thread_([this] {
          for (;;) {
            int status = 0;
            const pid_t ended = ::waitpid(-1, &status, 0);
            if (ended > 0) ended_[ended] = status;
            if (ended < 0 && errno == ECHILD) return;
          }
        }) {}

  // When no child is left.
  std::map<pid_t, int> all() {
    thread_.join();
    return ended_;
  }

 private:
  std::map<pid_t, int> ended_;
  std::thread thread_;
};

pid_t fork_child_that_exits_with(int code) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(code);
  return child;
}

TEST_P(host, that_waits_for_any_child_gets_its_own_and_no_other) {
  const support::board<support::counter> done("reaper");
  std::map<pid_t, int> own;
  const pid_t first = ::fork();  // so that there is something to wait for all the time
  if (first == 0) ::_exit(done.ref().visit()->wait_for(1) ? 99 : 1);
  own[first] = 99;
  reaper_of_all reaper;
  for (int round = 0; round < 5; ++round) {
    live_through_it_all(GetParam());
    own[fork_child_that_exits_with(10 + round)] = 10 + round;
  }
  done->set(1);
  const auto reaped = reaper.all();
  EXPECT_EQ(reaped.size(), own.size()) << "a child that is not the host's was seen";
  for (const auto& [child, code] : own) {
    ASSERT_TRUE(reaped.contains(child)) << "the exit status of a child was stolen";
    EXPECT_EQ(WEXITSTATUS(reaped.at(child)), code);
  }
}

TEST_P(host, with_threads_that_allocate_and_fork_starts_pools) {
  std::atomic<bool> over{false};
  std::atomic<int> stolen{0};
  std::vector<std::thread> threads;
  for (int number = 0; number < 3; ++number) {
    threads.emplace_back([&, number] {
      while (!over) {
        for (int count = 0; count < 1000; ++count) {
          const auto some = std::make_unique<std::string>(static_cast<std::size_t>(count), 'x');
        }
        const pid_t child = fork_child_that_exits_with(number);
        int status = -1;
        if (::waitpid(child, &status, 0) != child || WEXITSTATUS(status) != number) ++stolen;
      }
    });
  }
  for (int round = 0; round < 20; ++round)
    live_through_it_all(GetParam());
  over = true;
  for (auto& thread : threads)
    thread.join();
  EXPECT_EQ(stolen, 0);
}

TEST_P(host, keeps_its_signal_mask_and_is_no_subreaper) {
  sigset_t before;
  sigset_t after;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &before);
  live_through_it_all(GetParam());
  ::pthread_sigmask(SIG_SETMASK, nullptr, &after);
  int subreaper = -1;
  ::prctl(PR_GET_CHILD_SUBREAPER, &subreaper, 0, 0, 0);
  EXPECT_EQ(subreaper, 0);
  for (int signal = 1; signal < NSIG; ++signal) {
    EXPECT_EQ(::sigismember(&before, signal), ::sigismember(&after, signal)) << signal;
  }
}

std::vector<std::string> links_in(const std::string& folder) {
  std::vector<std::string> targets;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory{::opendir(folder.c_str()), &::closedir};
  while (const dirent* const entry = ::readdir(directory.get())) {
    if (entry->d_name[0] == '.') continue;
    std::string target(256, '\0');
    const auto path = folder + "/" + entry->d_name;
    const auto length = ::readlink(path.c_str(), target.data(), target.size());
    target.resize(length < 0 ? 0 : static_cast<std::size_t>(length));
    targets.push_back(entry->d_name + (" " + target));
  }
  return targets;
}

TEST_P(host, has_only_descriptors_that_an_exec_closes) {
  std::set<std::string> before;
  for (const auto& name : links_in("/proc/self/fd"))
    before.insert(name);
  hardstop::process_pool pool({.workers = 2, .start = GetParam()});
  EXPECT_EQ(pool.submit<&support::twice>(1).get(), 2);
  for (const auto& name : links_in("/proc/self/fd")) {
    const int descriptor = std::atoi(name.c_str());
    const int flags = ::fcntl(descriptor, F_GETFD);
    if (flags < 0 || before.contains(name)) continue;  // the listing's own is closed by now
    EXPECT_NE(flags & FD_CLOEXEC, 0) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(G10, host, testing::ValuesIn(support::every_start_method),
                         [](const auto& method) { return support::name_of(method.param); });

// Hosts that adopt orphans: the only ones that have us as children.

void expect_no_children() {
  const int answer = ::waitpid(-1, nullptr, WNOHANG | __WALL);
  EXPECT_EQ(answer, -1) << (answer == 0 ? "a child is left" : "a corpse is left");
  EXPECT_EQ(errno, ECHILD);
}

void live_as_adopter() {
  for (const auto method : support::every_start_method) {
    signals_seen = 0;
    const disposition handler(SIGCHLD, &count_signal);
    live_through_it_all(method);
    expect_no_children();
    EXPECT_LE(signals_seen, 1) << support::name_of(method);
  }
}

int adopter(const std::vector<std::string>& /*words*/) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  live_as_adopter();
  return testing::Test::HasFailure() ? 1 : 0;
}

// In a pid namespace of its own. 77: this machine does not let us make one.
int first_process(const std::vector<std::string>& words) {
  if (words.empty()) {
    if (::unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) return 77;
    auto child = support::start_part("first_process", {"inside"});
    return WEXITSTATUS(child.wait());
  }
  ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
  if (::getpid() != 1 || ::mount("proc", "/proc", "proc", 0, nullptr) != 0) return 77;
  live_as_adopter();
  // Nobody but us in our world.
  EXPECT_EQ(support::all_processes(), std::vector<int>{1});
  return testing::Test::HasFailure() ? 1 : 0;
}

const support::part adopter_part{"adopter", &adopter};
const support::part first_process_part{"first_process", &first_process};

// G10, and no zombie
TEST(adopting_host, that_is_a_subreaper_keeps_no_corpse) {
  EXPECT_EQ(support::start_part("adopter").wait(), 0);
}

TEST(adopting_host, that_is_process_1_keeps_no_corpse) {
  const int status = support::start_part("first_process").wait();
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
    GTEST_SKIP() << "pid namespaces need rights that this user does not have";
  }
  EXPECT_EQ(status, 0);
}

// A thousand pools, and what they leave.

struct belongings {
  std::size_t descriptors = 0;
  std::size_t threads = 0;
  std::size_t shared_memory = 0;
  std::size_t children = 0;

  static belongings now() {
    std::size_t shared = 0;
    std::istringstream maps(support::contents("/proc/self/maps"));
    for (std::string line; std::getline(maps, line);) {
      if (line.find("memfd:hardstop") != std::string::npos) ++shared;
    }
    return {.descriptors = links_in("/proc/self/fd").size(),
            .threads = links_in("/proc/self/task").size(),
            .shared_memory = shared,
            .children = support::children_of(::getpid()).size()};
  }

  friend bool operator==(const belongings&, const belongings&) = default;

  friend std::ostream& operator<<(std::ostream& out, const belongings& all) {
    return out << all.descriptors << " descriptors, " << all.threads << " threads, "
               << all.shared_memory << " mappings of shared memory, " << all.children
               << " children";
  }
};

// G5, G10
TEST(host_after_a_thousand_pools, has_what_it_had_before) {
  const support::own_cgroup cgroup;  // without one where there is none
  const auto one_pool = [&](int number) {
    hardstop::pool_options options{.workers = 1, .spares = number % 2};
    if (number % 50 == 0) options.start = hardstop::start_method::forkserver;
    if (number % 4 == 0) options.cgroup = cgroup.path();
    hardstop::process_pool pool(options);
    if (number % 3 == 0) {
      auto left = pool.submit<&linger>();
      left.cancel();
    }
    EXPECT_EQ(pool.submit<&support::twice>(number).get(), 2 * number);
    return support::ancestry::of_guardian(pool.submit<&support::parent_pid>().get());
  };
  for (int number = 0; number < 10; ++number)
    (void)one_pool(number);
  const auto before = belongings::now();
  for (int number = 0; number < 1000; ++number) {
    const auto above = one_pool(number);
    ASSERT_TRUE(above.guardian.wait_gone());
    ASSERT_TRUE(above.warden.wait_gone());
  }
  EXPECT_EQ(belongings::now(), before);
  if (!cgroup.path().empty()) {
    EXPECT_EQ(::rmdir(cgroup.path().c_str()), 0) << "something is left in the pools' cgroup";
  }
}

// A host that forks while it has a pool.

TEST(forked_child_of_a_host, is_told_and_ends_in_silence) {
  auto pool = std::make_unique<hardstop::process_pool>(hardstop::pool_options{.workers = 1});
  auto future = pool->submit<&linger>();
  auto done = pool->submit<&support::twice>(1);
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(30);  // a child that hangs fails
    int refusals = 0;
    const auto refused = [&](auto&& use) {
      try {
        use();
      } catch (const hardstop::forked_child& error) {
        if (*error.what() != '\0') ++refusals;
      }
    };
    refused([&] { (void)pool->submit<&support::twice>(1); });
    refused([&] { future.cancel(); });
    refused([&] { future.wait(); });
    refused([&] { (void)future.outcome(); });
    refused([&] { (void)pool->stats(); });
    refused([&] { pool->shutdown(); });
    {
      const auto gone = std::move(future);
      pool.reset();
    }
    ::_exit(refusals);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 6) << "uses refused";
  // and the parent's pool did not notice
  future.cancel(cancel_mode::kill);
  EXPECT_EQ(future.outcome().kind(), outcome_kind::cancelled);
  EXPECT_EQ(done.get(), 2);
}

// exit() in a forked child runs the static destructors of the library and of the program.
TEST(forked_child_of_a_host, may_exit) {
  hardstop::process_pool pool({.workers = 1});
  EXPECT_EQ(pool.submit<&support::twice>(1).get(), 2);
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(30);
    std::exit(0);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(pool.submit<&support::twice>(2).get(), 4);
}

}  // namespace
