// What a job finds around it, what is kept of its output, and how much memory it may use.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "scenario/gates.hpp"
#include "support/board.hpp"
#include "support/contents.hpp"
#include "support/pools.hpp"
#include "support/processes.hpp"
#include <hardstop/pool.hpp>

namespace {

using hardstop::outcome_kind;
using namespace std::chrono_literals;
using hardstop::start_method;

class environment : public testing::TestWithParam<start_method> {
 protected:
  hardstop::pool_options with(hardstop::worker_environment wanted) {
    return {.workers = 1, .start = GetParam(), .environment = std::move(wanted)};
  }
};

std::string variable(const std::string& name) {
  const char* const value = std::getenv(name.c_str());
  return value == nullptr ? "unset" : value;
}

TEST_P(environment, has_variables_set_and_unset) {
  ::setenv("HARDSTOP_SCENARIO_KEPT", "kept", 1);
  ::setenv("HARDSTOP_SCENARIO_GONE", "gone", 1);
  hardstop::process_pool pool(with(
      {.variables = {{"HARDSTOP_SCENARIO_NEW", "new"}, {"HARDSTOP_SCENARIO_GONE", std::nullopt}}}));
  EXPECT_EQ(pool.submit<&variable>("HARDSTOP_SCENARIO_NEW").get(), "new");
  EXPECT_EQ(pool.submit<&variable>("HARDSTOP_SCENARIO_KEPT").get(), "kept");
  EXPECT_EQ(pool.submit<&variable>("HARDSTOP_SCENARIO_GONE").get(), "unset");
  EXPECT_EQ(variable("HARDSTOP_SCENARIO_GONE"), "gone") << "the client's own is not touched";
}

TEST_P(environment, may_begin_with_no_variables) {
  hardstop::process_pool pool(
      with({.inherit_variables = false, .variables = {{"HARDSTOP_SCENARIO_ONLY", "one"}}}));
  EXPECT_EQ(pool.submit<&variable>("HARDSTOP_SCENARIO_ONLY").get(), "one");
  EXPECT_EQ(pool.submit<&variable>("PATH").get(), "unset");
}

std::string working_directory() {
  const std::unique_ptr<char, void (*)(void*)> path(::getcwd(nullptr, 0), &std::free);
  return path.get();
}

unsigned file_mask() {
  return ::umask(0);
}

int niceness() {
  return ::getpriority(PRIO_PROCESS, 0);
}

bool only_cpu_0() {
  cpu_set_t allowed;
  ::sched_getaffinity(0, sizeof allowed, &allowed);
  return CPU_COUNT(&allowed) == 1 && CPU_ISSET(0, &allowed);
}

unsigned long core_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_CORE, &limit);
  return limit.rlim_cur;
}

TEST_P(environment, is_what_was_asked_for) {
  hardstop::process_pool pool(with({.working_directory = "/",
                                    .umask = 0027,
                                    .nice = 5,
                                    .affinity = {0},
                                    .resource_limits = {{RLIMIT_CORE, 0, 0}}}));
  EXPECT_EQ(pool.submit<&working_directory>().get(), "/");
  EXPECT_EQ(pool.submit<&file_mask>().get(), 0027U);
  EXPECT_EQ(pool.submit<&niceness>().get(), std::min(niceness() + 5, 19));
  EXPECT_TRUE(pool.submit<&only_cpu_0>().get());
  EXPECT_EQ(pool.submit<&core_limit>().get(), 0U);
}

bool signals_are_default() {
  sigset_t blocked;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  for (int signal = 1; signal < SIGRTMIN; ++signal) {
    if (::sigismember(&blocked, signal) != 0) return false;

    struct sigaction action {};

    if (::sigaction(signal, nullptr, &action) != 0) continue;
    if (action.sa_handler != SIG_DFL) return false;
  }
  return true;
}

TEST_P(environment, has_default_signals_whatever_the_client_has) {
  sigset_t some;
  sigset_t before;
  sigemptyset(&some);
  sigaddset(&some, SIGUSR1);
  ::pthread_sigmask(SIG_BLOCK, &some, &before);
  ::signal(SIGUSR2, SIG_IGN);
  {
    hardstop::process_pool pool(with({}));
    EXPECT_TRUE(pool.submit<&signals_are_default>().get());
  }
  ::signal(SIGUSR2, SIG_DFL);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

std::string read_descriptor(int descriptor) {
  std::string text(64, '\0');
  const auto length = ::pread(descriptor, text.data(), text.size(), 0);
  if (length < 0) return "not open";
  text.resize(static_cast<std::size_t>(length));
  return text;
}

TEST_P(environment, has_the_descriptors_it_was_given) {
  const int given = static_cast<int>(::memfd_create("given", MFD_CLOEXEC));
  ASSERT_GE(given, 0);
  ASSERT_EQ(::pwrite(given, "hello", 5, 0), 5);
  {
    hardstop::process_pool pool(with({.descriptors = {given}}));
    EXPECT_EQ(pool.submit<&read_descriptor>(given).get(), "hello");
  }
  ::close(given);
}

std::string standard_input() {
  std::string text(16, '\0');
  const auto length = ::read(STDIN_FILENO, text.data(), text.size());
  return length == 0 ? "nothing" : "something";
}

TEST_P(environment, reads_nothing_from_the_clients_terminal) {
  hardstop::process_pool pool(with({}));
  EXPECT_EQ(pool.submit<&standard_input>().get(), "nothing");
}

void say(const std::string& out, const std::string& error) {
  std::cout << out;  // not flushed
  std::fprintf(stderr, "%s", error.c_str());
}

void say_and_linger(const std::string& out, scenario::gates_ref ref) {
  (void)!::write(STDOUT_FILENO, out.data(), out.size());
  scenario::linger(ref);
}

TEST_P(environment, keeps_the_output_of_each_attempt) {
  const support::board<scenario::gates> seen("output");
  hardstop::process_pool pool(with(
      {.standard_output = hardstop::stdio::capture, .standard_error = hardstop::stdio::capture}));
  auto first = pool.submit<&say>("one", "uno");
  auto second = pool.submit<&say>("two", "due");
  EXPECT_EQ(first.outcome().output(), "one");
  EXPECT_EQ(first.outcome().error_output(), "uno");
  EXPECT_EQ(second.outcome().output(), "two");
  EXPECT_EQ(second.outcome().error_output(), "due");

  auto killed = pool.submit<&say_and_linger>("last words", seen.ref());
  ASSERT_TRUE(seen->begun.wait_for(1));
  killed.cancel(hardstop::cancel_mode::kill);
  EXPECT_EQ(killed.outcome().output(), "last words");

  auto dead = pool.submit([] {
    (void)!::write(STDERR_FILENO, "oh no", 5);
    ::_exit(1);
  });
  EXPECT_EQ(dead.outcome().error_output(), "oh no");
}

TEST_P(environment, keeps_the_end_of_long_output) {
  hardstop::process_pool pool(with({.standard_output = hardstop::stdio::capture}));
  auto job = pool.submit([] {
    const std::string line(1023, 'x');
    for (int count = 0; count < 300; ++count)
      std::printf("%s\n", line.c_str());
    std::printf("the end");
  });
  const auto output = job.outcome().output();
  EXPECT_LE(output.size(), 64U * 1024);
  EXPECT_GT(output.size(), 60U * 1024);
  EXPECT_TRUE(output.ends_with("x\nthe end"));
}

INSTANTIATE_TEST_SUITE_P(of_workers_made_by, environment,
                         testing::ValuesIn(support::every_start_method),
                         [](const auto& method) { return support::name_of(method.param); });

void use(std::size_t bytes, bool to_the_end) {
  const std::unique_ptr<char[]> memory(new char[bytes]);
  std::memset(memory.get(), 1, bytes);
  while (!to_the_end)
    ::pause();
}

TEST(a_memory_limit, stops_the_job_that_exceeds_it_and_no_other) {
  constexpr std::uint64_t limit = std::uint64_t{48} << 20;
  hardstop::process_pool pool({.workers = 2, .max_memory = limit});
  auto modest = pool.submit<&use>(std::size_t{8} << 20, true);
  auto greedy = pool.submit<&use>(std::size_t{150} << 20, false);
  const auto end = greedy.outcome();
  const auto* const stopped = end.as<hardstop::outcome::memory_limit>();
  ASSERT_NE(stopped, nullptr) << end.describe();
  EXPECT_EQ(stopped->limit, limit);
  EXPECT_GT(stopped->used, limit);
  EXPECT_TRUE(modest.outcome().is_value());
  EXPECT_THROW(greedy.get(), hardstop::memory_limit_exceeded);
}

TEST(a_memory_limit, of_a_job_goes_before_the_pools) {
  hardstop::process_pool pool({.workers = 1, .max_memory = std::uint64_t{32} << 20});
  auto allowed =
      pool.submit<&use>({.max_memory = std::uint64_t{300} << 20}, std::size_t{100} << 20, true);
  EXPECT_TRUE(allowed.outcome().is_value()) << allowed.outcome().describe();
  auto refused = pool.submit<&use>(std::size_t{100} << 20, false);
  EXPECT_EQ(refused.outcome().kind(), outcome_kind::memory_limit) << refused.outcome().describe();
}

}  // namespace
