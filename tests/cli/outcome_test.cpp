// How hardstop ends, given how a run went.
#include "cli/run/outcome.hpp"

#include <csignal>

#include <gtest/gtest.h>

#include "cli/json_reader.hpp"

namespace hardstop::cli {
namespace {

run_outcome ended(stop_cause cause, os::exit_status command) {
  run_outcome outcome;
  outcome.cause = cause;
  outcome.command = command;
  return outcome;
}

int status_of(const run_outcome& outcome, timeout_status how = timeout_status::timed_out) {
  return shell_status(end_of(outcome, how));
}

constexpr os::exit_status code_3{.code = 3};
constexpr os::exit_status by_term{.signal = SIGTERM};
constexpr os::exit_status by_kill{.signal = SIGKILL};

TEST(the_end_of_a_run, is_the_commands_own) {
  EXPECT_EQ(status_of(ended(stop_cause::none, code_3)), 3);
  const auto end = end_of(ended(stop_cause::none, by_term), timeout_status::timed_out);
  EXPECT_EQ(end.signal, SIGTERM);
  EXPECT_EQ(shell_status(end), 143);
}

TEST(the_end_of_a_run, tells_a_timeout) {
  EXPECT_EQ(status_of(ended(stop_cause::timeout, code_3)), 124);
  EXPECT_EQ(status_of(ended(stop_cause::timeout, by_term)), 124);
  EXPECT_EQ(status_of(ended(stop_cause::timeout, by_kill)), 137);
}

TEST(the_end_of_a_run, is_the_commands_own_in_a_timeout_if_that_was_asked_for) {
  constexpr auto preserved = timeout_status::preserved;
  EXPECT_EQ(status_of(ended(stop_cause::timeout, code_3), preserved), 3);
  EXPECT_EQ(status_of(ended(stop_cause::timeout, by_term), preserved), 143);
  EXPECT_EQ(end_of(ended(stop_cause::timeout, by_term), preserved).signal, 0);
}

TEST(the_end_of_a_run, tells_a_kill) {
  EXPECT_EQ(status_of(ended(stop_cause::memory_limit, by_kill)), 137);
  EXPECT_EQ(status_of(ended(stop_cause::stop_signal, by_kill)), 137);
  // It was faster.
  EXPECT_EQ(status_of(ended(stop_cause::stop_signal, code_3)), 3);
  // Not confirmed to have ended.
  run_outcome stuck;
  stuck.cause = stop_cause::timeout;
  EXPECT_EQ(status_of(stuck), 137);
}

TEST(the_end_of_a_run, tells_why_there_was_none) {
  run_outcome none;
  none.failure = run_failure{.exit_code = 127, .message = "there is no such program."};
  EXPECT_EQ(status_of(none), 127);
  EXPECT_EQ(test::read_json(to_report(none, {}))["why"].text(), "not_started");
  EXPECT_EQ(to_message(none, {}), "hardstop run: there is no such program.\n");
}

TEST(a_report, names_who_could_not_be_confirmed) {
  auto outcome = ended(stop_cause::timeout, by_kill);
  outcome.unconfirmed.push_back({.pid = 12, .reason = "it sleeps"});
  const auto report = test::read_json(to_report(outcome, {}));
  EXPECT_EQ(report["unconfirmed"].at(0)["pid"].number(), 12);
  EXPECT_EQ(report["unconfirmed"].at(0)["reason"].text(), "it sleeps");
  EXPECT_EQ(to_message(outcome, {}),
            "hardstop run: process 12 was killed, but has not ended: it sleeps.\n");
}

}  // namespace
}  // namespace hardstop::cli
