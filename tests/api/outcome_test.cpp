// How a job ended, in words and as exceptions.
#include <chrono>
#include <csignal>
#include <exception>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <hardstop/containment.hpp>
#include <hardstop/errors.hpp>
#include <hardstop/event.hpp>
#include <hardstop/outcome.hpp>

using hardstop::outcome;
using namespace std::chrono_literals;
using testing::HasSubstr;

namespace {

outcome::facts ran() {
  return {.job = "deep", .pid = 4711, .attempt = 1, .ran_for = 1500ms};
}

outcome::facts killed() {
  auto facts = ran();
  facts.cancel = hardstop::cancel_answer::killed;
  facts.processes_stopped = 3;
  return facts;
}

template <class Error>
void expect_thrown_as(const outcome& how, const std::string& advice) {
  try {
    hardstop::throw_job_error(how);
    FAIL();
  } catch (const Error& thrown) {
    EXPECT_THAT(thrown.what(), HasSubstr(how.describe()));
    EXPECT_THAT(thrown.what(), HasSubstr(advice));
    EXPECT_EQ(thrown.outcome().kind(), how.kind());
    EXPECT_EQ(thrown.outcome().pid(), how.pid());
  }
  EXPECT_THROW(std::rethrow_exception(hardstop::make_job_error(how)), Error);
}

}  // namespace

TEST(outcome, value) {
  const outcome how(ran(), outcome::value());
  EXPECT_TRUE(how.is_value());
  EXPECT_EQ(how.describe(), "job 'deep' returned its value in process 4711 after 1.5 s");
  EXPECT_EQ(hardstop::make_job_error(how), nullptr);
}

TEST(outcome, a_value_in_spite_of_a_cancel_tells) {
  auto facts = ran();
  facts.cancel = hardstop::cancel_answer::finished_first;
  const outcome how(facts, outcome::value());
  EXPECT_EQ(how.cancel(), hardstop::cancel_answer::finished_first);
  EXPECT_THAT(how.describe(), HasSubstr("asked to stop and finished first"));
}

TEST(outcome, exception) {
  const outcome how(ran(), outcome::exception{.type = "std::out_of_range", .what = "no 7"});
  EXPECT_EQ(how.describe(), "job 'deep' threw std::out_of_range: no 7 in process 4711 after 1.5 s");
  expect_thrown_as<hardstop::job_exception>(how, "The function itself threw");
  try {
    hardstop::throw_job_error(how);
  } catch (const hardstop::job_exception& thrown) {
    EXPECT_EQ(thrown.type(), "std::out_of_range");
    EXPECT_EQ(thrown.message(), "no 7");
  }
}

TEST(outcome, cancelled) {
  using extent = outcome::cancelled::extent;
  using source = outcome::cancelled::source;
  const outcome before({.job = "deep"}, outcome::cancelled{extent::never_started, source::caller});
  EXPECT_EQ(before.describe(), "job 'deep' was cancelled before it started");
  const outcome running(killed(), outcome::cancelled{extent::killed, source::caller});
  EXPECT_EQ(running.describe(),
            "job 'deep' was cancelled: process 4711 was killed after 1.5 s; all 3 processes of its "
            "tree are gone");
  const outcome shut(killed(), outcome::cancelled{extent::killed, source::shutdown});
  EXPECT_THAT(shut.describe(), HasSubstr("cancelled by the shutdown of its pool"));
  expect_thrown_as<hardstop::job_cancelled>(running, "submitted again");
}

TEST(outcome, timed_out) {
  const outcome how(ran(), outcome::timed_out{.limit = 1500ms});
  EXPECT_EQ(how.describe(),
            "job 'deep' timed out: process 4711 was killed when its limit of 1.5 s had passed");
  expect_thrown_as<hardstop::job_timed_out>(how, "job_options::timeout");
}

TEST(outcome, worker_died) {
  auto facts = ran();
  facts.attempt = 2;
  const outcome crashed(facts, outcome::worker_died{.signal = SIGSEGV,
                                                    .core_dumped = true,
                                                    .peak_memory = 3U << 20U,
                                                    .cpu_time = 1400ms,
                                                    .likely_cause = "a wild pointer"});
  EXPECT_EQ(crashed.describe(),
            "job 'deep' lost its worker: process 4711 (attempt 2) was ended by SIGSEGV (a wild "
            "pointer or an exhausted stack) after 1.5 s, core dumped, peak memory 3 MiB, CPU time "
            "1.4 s; likely cause: a wild pointer");
  const outcome left(ran(), outcome::worker_died{.exit_code = 3});
  EXPECT_THAT(left.describe(), HasSubstr("exited with status 3 within the job"));
  expect_thrown_as<hardstop::worker_died>(left, "job_options::retries");
}

TEST(outcome, memory_limit) {
  const outcome how(ran(), outcome::memory_limit{.limit = 1U << 30U, .used = 1288490188});
  EXPECT_EQ(how.describe(),
            "job 'deep' exceeded its memory limit of 1 GiB: process 4711 was killed at 1.2 GiB "
            "after 1.5 s");
  expect_thrown_as<hardstop::memory_limit_exceeded>(how, "max_memory");
}

TEST(outcome, not_started) {
  using cause = outcome::not_started::cause;
  const outcome shut({.job = "deep"}, outcome::not_started{.why = cause::shutdown});
  EXPECT_EQ(shut.describe(), "job 'deep' never started: its pool was shut down");
  expect_thrown_as<hardstop::job_not_started>(shut, "another pool");
  const outcome broken({.job = "deep"},
                       outcome::not_started{.why = cause::pool_broken, .reason = "no /proc"});
  EXPECT_EQ(broken.describe(), "job 'deep' never started: its pool is broken (no /proc)");
  expect_thrown_as<hardstop::job_not_started>(broken, "make a new pool");
}

TEST(outcome, unconfirmed_is_told_with_every_kill) {
  auto facts = killed();
  facts.unconfirmed = hardstop::unconfirmed{.pid = 88, .reason = "in uninterruptible sleep"};
  const outcome how(facts, outcome::timed_out{.limit = 1s});
  EXPECT_THAT(how.describe(),
              HasSubstr("process 88 could not be confirmed gone: in uninterruptible sleep"));
}

TEST(outcome, errors_are_copied_without_throwing) {
  static_assert(std::is_nothrow_copy_constructible_v<hardstop::job_error>);
}

TEST(outcome, durations_in_words) {
  using hardstop::to_string;
  EXPECT_EQ(to_string(0ns), "0 s");
  EXPECT_EQ(to_string(17ns), "17 ns");
  EXPECT_EQ(to_string(40us), "40 us");
  EXPECT_EQ(to_string(999'999ns), "1 ms");
  EXPECT_EQ(to_string(250ms), "250 ms");
  EXPECT_EQ(to_string(1500ms), "1.5 s");
  EXPECT_EQ(to_string(2h), "7200 s");
  EXPECT_EQ(to_string(-1s), "-1 s");
}

TEST(containment, a_report_reads_as_text) {
  hardstop::containment_report report;
  report.kill = {.level = hardstop::kill_containment::sweep,
                 .explanation = "no delegated cgroup",
                 .cure = "name one in pool_options::cgroup"};
  EXPECT_THAT(report.describe(), HasSubstr("kill: sweep. no delegated cgroup"));
  EXPECT_THAT(report.describe(), HasSubstr("to get more: name one"));
}

TEST(event, kinds_in_words) {
  EXPECT_EQ(hardstop::to_string(hardstop::event_kind::worker_died), "worker died");
}
