#include "cli/run/course.hpp"

#include <algorithm>

namespace hardstop::cli {
namespace {

bool asks_to_stop(int signal) {
  return signal == SIGTERM || signal == SIGINT;
}

// Durations may be max(), "for ever".
os::time_point after(os::time_point time, os::duration wait) {
  return wait > os::time_point::max() - time ? os::time_point::max() : time + wait;
}

}  // namespace

run_course::rules run_course::rules_of(const run_plan& plan) {
  return {
      .timeout = plan.timeout,
      .grace = plan.grace.value_or(default_grace),
      .grace_after_term = plan.grace,
      .ask_with = plan.ask_with,
      .rest = plan.rest,
  };
}

run_course::run_course(const rules& chosen, os::time_point begin) : rules_{chosen} {
  if (rules_.timeout) timeout_at_ = after(begin, *rules_.timeout);
}

os::time_point run_course::next() const {
  switch (phase_) {
    case run_phase::running:
      return std::min(timeout_at_, kill_at_);
    case run_phase::emptying:
      return std::min(patient_until_, kill_at_);
    case run_phase::sweeping:
      return give_up_at_;
    case run_phase::over:
      break;
  }
  return never;
}

int run_course::time_is(os::time_point time) {
  if (time < next()) return 0;
  if (phase_ == run_phase::sweeping) phase_ = run_phase::over;
  if (phase_ == run_phase::emptying || time >= kill_at_) sweep(asked_because_, time);
  if (phase_ != run_phase::running) return 0;

  timeout_at_ = never;
  cause_ = asked_because_ = stop_cause::timeout;
  if (rules_.grace == os::duration::zero() || rules_.ask_with == SIGKILL) {
    sweep(stop_cause::timeout, time);
    return 0;
  }
  patient_until_ = after(time, rules_.grace);
  kill_at_ = std::min(kill_at_, patient_until_);
  return rules_.ask_with;
}

int run_course::signalled(int signal, os::time_point time) {
  if (asks_to_stop(signal) && phase_ != run_phase::sweeping && ++stop_signals_ > 1) {
    sweep(stop_cause::stop_signal, time);
  }
  // Once the command is reaped, nobody vouches for its group's number.
  if (phase_ != run_phase::running) return 0;
  if (asks_to_stop(signal)) {
    if (asked_because_ == stop_cause::none) asked_because_ = stop_cause::stop_signal;
    patient_until_ = std::min(patient_until_, after(time, rules_.grace));
    if (signal == SIGTERM && rules_.grace_after_term) {
      kill_at_ = std::min(kill_at_, after(time, *rules_.grace_after_term));
    }
  }
  return signal;
}

void run_course::command_ended(os::time_point time) {
  if (phase_ != run_phase::running) return;
  // The timeout was for the command. Who else was asked still has the rest of the grace.
  timeout_at_ = never;
  const bool stopped_by_us = cause_ != stop_cause::none;
  if (rules_.rest == leftovers::keep && !stopped_by_us) {
    phase_ = run_phase::over;
  } else if (patient_until_ != never && time < patient_until_) {
    phase_ = run_phase::emptying;
  } else {
    sweep(stop_cause::none, time);
  }
}

void run_course::group_empty(os::time_point time) {
  if (phase_ == run_phase::emptying) sweep(stop_cause::none, time);
}

void run_course::memory_exceeded(os::time_point time) {
  sweep(stop_cause::memory_limit, time);
}

void run_course::front_lost(os::time_point time) {
  sweep(stop_cause::front_lost, time);
}

void run_course::nothing_left() {
  if (phase_ == run_phase::sweeping) phase_ = run_phase::over;
}

void run_course::sweep(stop_cause because, os::time_point time) {
  if (phase_ == run_phase::sweeping || phase_ == run_phase::over) return;
  // The first cause stands, and what comes after the command's end did not cause it.
  if (cause_ == stop_cause::none && phase_ == run_phase::running) cause_ = because;
  phase_ = run_phase::sweeping;
  give_up_at_ = after(time, rules_.sweep_limit);
}

}  // namespace hardstop::cli
