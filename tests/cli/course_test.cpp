// What a run does next, whatever happens in which order.
#include "cli/run/course.hpp"

#include <csignal>

#include <gtest/gtest.h>

namespace hardstop::cli {
namespace {

using namespace std::chrono_literals;

// A run that began at zero of a clock of its own.
struct history {
  explicit history(const run_course::rules& rules) : course{rules, os::time_point{}} {}

  static os::time_point at(os::duration since_begin) { return os::time_point{} + since_begin; }

  // The signal that the group is sent.
  int time(os::duration since_begin) { return course.time_is(at(since_begin)); }

  int signal(int number, os::duration since_begin) {
    return course.signalled(number, at(since_begin));
  }

  void command_ends(os::duration since_begin) { course.command_ended(at(since_begin)); }

  [[nodiscard]] os::duration next() const { return course.next() - os::time_point{}; }

  run_course course;
};

constexpr run_course::rules plain{};
constexpr run_course::rules ten_seconds{.timeout = 10s};
constexpr os::duration never = os::time_point::max() - os::time_point{};

TEST(a_command_that_ends_by_itself, has_its_leftovers_killed) {
  history run{plain};
  EXPECT_EQ(run.next(), never);
  run.command_ends(1s);
  EXPECT_EQ(run.course.phase(), run_phase::sweeping);
  EXPECT_EQ(run.course.cause(), stop_cause::none);
  run.course.nothing_left();
  EXPECT_EQ(run.course.phase(), run_phase::over);
}

TEST(a_command_that_ends_by_itself, may_leave_something_if_that_was_asked_for) {
  history run{{.rest = leftovers::keep}};
  run.command_ends(1s);
  EXPECT_EQ(run.course.phase(), run_phase::over);
}

TEST(a_command_that_times_out, is_asked_and_then_killed) {
  history run{ten_seconds};
  EXPECT_EQ(run.next(), 10s);
  EXPECT_EQ(run.time(9s), 0);
  EXPECT_EQ(run.time(10s), SIGTERM);
  EXPECT_EQ(run.course.phase(), run_phase::running);
  EXPECT_EQ(run.next(), 15s);
  EXPECT_EQ(run.time(15s), 0);
  EXPECT_EQ(run.course.phase(), run_phase::sweeping);
  EXPECT_EQ(run.course.cause(), stop_cause::timeout);
}

TEST(a_command_that_times_out, is_not_asked_without_a_grace) {
  history without{{.timeout = 10s, .grace = 0s}};
  EXPECT_EQ(without.time(10s), 0);
  EXPECT_EQ(without.course.phase(), run_phase::sweeping);
  history killing{{.timeout = 10s, .ask_with = SIGKILL}};
  EXPECT_EQ(killing.time(10s), 0);
  EXPECT_EQ(killing.course.phase(), run_phase::sweeping);
}

TEST(a_command_that_times_out, leaves_nothing_even_where_leftovers_are_kept) {
  history run{{.timeout = 10s, .rest = leftovers::keep}};
  (void)run.time(10s);
  run.command_ends(11s);
  EXPECT_EQ(run.course.phase(), run_phase::emptying);
  run.course.group_empty(history::at(12s));
  EXPECT_EQ(run.course.phase(), run_phase::sweeping);
}

TEST(whoever_was_asked_beside_the_command, has_the_rest_of_the_grace) {
  history run{ten_seconds};
  (void)run.time(10s);
  run.command_ends(11s);
  EXPECT_EQ(run.course.phase(), run_phase::emptying);
  EXPECT_EQ(run.next(), 15s);
  EXPECT_EQ(run.time(15s), 0);
  EXPECT_EQ(run.course.phase(), run_phase::sweeping);
  EXPECT_EQ(run.course.cause(), stop_cause::timeout);
}

TEST(a_command_that_ends_before_its_timeout, does_not_time_out) {
  history run{ten_seconds};
  run.command_ends(10s);
  EXPECT_EQ(run.time(10s), 0);
  EXPECT_EQ(run.course.cause(), stop_cause::none);
}

TEST(signals, are_passed_on) {
  history run{plain};
  for (const int signal : {SIGHUP, SIGUSR1, SIGHUP, SIGWINCH, SIGTSTP, SIGCONT, SIGQUIT, SIGTERM}) {
    EXPECT_EQ(run.signal(signal, 1s), signal);
    EXPECT_EQ(run.course.phase(), run_phase::running);
  }
}

TEST(signals, are_dropped_once_nobody_vouches_for_the_group) {
  history run{plain};
  (void)run.signal(SIGTERM, 1s);
  run.command_ends(2s);
  EXPECT_EQ(run.course.phase(), run_phase::emptying);
  EXPECT_EQ(run.signal(SIGUSR1, 3s), 0);
  EXPECT_EQ(run.course.phase(), run_phase::emptying);
}

TEST(a_second_stop_signal, kills) {
  for (const auto& [first, second] : {std::pair{SIGTERM, SIGTERM}, std::pair{SIGINT, SIGTERM}}) {
    history run{plain};
    EXPECT_EQ(run.signal(first, 1s), first);
    EXPECT_EQ(run.signal(second, 2s), 0);
    EXPECT_EQ(run.course.phase(), run_phase::sweeping);
    EXPECT_EQ(run.course.cause(), stop_cause::stop_signal);
  }
}

TEST(a_first_sigterm, has_a_limit_only_if_a_grace_was_named) {
  history without{plain};
  (void)without.signal(SIGTERM, 1s);
  EXPECT_EQ(without.next(), never);

  history with{{.grace = 3s, .grace_after_term = 3s}};
  EXPECT_EQ(with.signal(SIGTERM, 1s), SIGTERM);
  EXPECT_EQ(with.next(), 4s);
  (void)with.time(4s);
  EXPECT_EQ(with.course.phase(), run_phase::sweeping);
  EXPECT_EQ(with.course.cause(), stop_cause::stop_signal);
}

TEST(an_interrupt, has_no_limit_even_if_a_grace_was_named) {
  // An interpreter survives a Ctrl-C.
  history run{{.grace = 3s, .grace_after_term = 3s}};
  EXPECT_EQ(run.signal(SIGINT, 1s), SIGINT);
  EXPECT_EQ(run.next(), never);
}

TEST(a_timeout_after_a_stop_signal, grants_its_own_grace) {
  history run{{.timeout = 100s}};
  (void)run.signal(SIGTERM, 1s);
  EXPECT_EQ(run.time(100s), SIGTERM);
  EXPECT_EQ(run.next(), 105s);
}

TEST(a_stop_signal_after_a_timeout, does_not_prolong_the_grace) {
  history run{ten_seconds};
  (void)run.time(10s);
  EXPECT_EQ(run.signal(SIGTERM, 14s), SIGTERM);
  EXPECT_EQ(run.next(), 15s);
}

TEST(too_much_memory, is_the_end_at_once) {
  history run{ten_seconds};
  run.course.memory_exceeded(history::at(1s));
  EXPECT_EQ(run.course.phase(), run_phase::sweeping);
  EXPECT_EQ(run.course.cause(), stop_cause::memory_limit);
}

TEST(a_lost_front, is_the_end_at_once_whatever_was_to_be_kept) {
  history run{{.rest = leftovers::keep}};
  run.course.front_lost(history::at(1s));
  EXPECT_EQ(run.course.phase(), run_phase::sweeping);
  EXPECT_EQ(run.course.cause(), stop_cause::front_lost);
}

TEST(the_first_cause, stands) {
  history run{ten_seconds};
  (void)run.time(10s);
  run.course.memory_exceeded(history::at(11s));
  EXPECT_EQ(run.course.cause(), stop_cause::timeout);
}

TEST(what_cannot_be_killed, is_waited_for_so_long_and_no_longer) {
  history run{{.sweep_limit = 2s}};
  run.course.memory_exceeded(history::at(1s));
  EXPECT_EQ(run.next(), 3s);
  run.command_ends(2s);
  EXPECT_EQ(run.course.phase(), run_phase::sweeping);
  (void)run.time(3s);
  EXPECT_EQ(run.course.phase(), run_phase::over);
}

TEST(a_timeout_of_for_ever, never_comes) {
  history run{{.timeout = os::duration::max()}};
  EXPECT_EQ(run.next(), never);
}

}  // namespace
}  // namespace hardstop::cli
