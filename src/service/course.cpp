// The phases, and what ends them. What becomes of single jobs is in course_jobs.cpp.
#include "service/course.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace hardstop::serving {

namespace {

std::string in_words(duration time) {
  return to_string(std::chrono::nanoseconds(std::chrono::round<std::chrono::milliseconds>(time)));
}

}  // namespace

void course::begin(instant now) {
  begun_ = true;
  enter(service_phase::setup, now);
}

void course::enter(service_phase next, instant now) {
  phase_ = next;
  act(enter_phase{next});
  // Setup is over when the edge says so, hook or not: the pool has to start.
  if (next == service_phase::setup || rules_.hooks.contains(next)) {
    hooks_out_.insert(next);
    act(run_hook{next});
  }
  switch (next) {
    case service_phase::setup:
      phase_ends_ = now + rules_.setup_time;
      break;
    case service_phase::dispose:
      phase_ends_ = std::min(now + rules_.dispose_time, all_ends_ - rules_.shutdown_time);
      break;
    case service_phase::shutdown:
      phase_ends_ = std::min(now + rules_.shutdown_time, all_ends_);
      break;
    case service_phase::accept:
    case service_phase::drain:
    case service_phase::over:
      phase_ends_.reset();
      break;
  }
}

bool course::hook_is_back() const {
  return !hooks_out_.contains(phase_);
}

void course::advance(instant now) {
  const auto leave = [&] {
    switch (phase_) {
      case service_phase::setup:
        return leave_setup(now);
      case service_phase::accept:
        return leave_accept(now);
      case service_phase::drain:
        return leave_drain(now);
      case service_phase::dispose:
        return leave_dispose(now);
      case service_phase::shutdown:
        return leave_shutdown(now);
      case service_phase::over:
        break;
    }
    return false;
  };
  while (leave()) {
    if (phase_ == service_phase::shutdown) act(close_pool{rules_.shutdown_time});
  }
}

bool course::leave_setup(instant now) {
  if (!begun_ || (!hook_is_back() && !is_late(now))) return false;
  if (!hook_is_back() && stops_ != 0) {
    cut_short_ = true;
    act(say{log_level::warning, "setup_cut_short", "told to stop before setup had ended", {}});
  } else if (!hook_is_back()) {
    fail("setup took longer than " + in_words(rules_.setup_time), now);
  }
  // Where setup has not ended nothing was taken, and there is nothing to drain.
  enter(failed_ || !hook_is_back() ? service_phase::shutdown
        : stops_ != 0              ? service_phase::drain
                                   : service_phase::accept,
        now);
  return true;
}

bool course::leave_accept(instant now) {
  if (stops_ != 0 || failed_ || (exhausted_ && jobs_.empty() && !taking_)) {
    begin_drain(now);
    return true;
  }
  if (!ready_ && hook_is_back()) {
    ready_ = true;
    act(become_ready{});
    take_more(now);
  }
  return false;
}

bool course::leave_drain(instant now) {
  const bool waiting_count = rules_.dispose == disposal::run && !failed_;
  const bool done = started_ == 0 && (!waiting_count || waiting_ == 0) && hook_is_back();
  if (!done && !(drain_ends_ && now >= *drain_ends_)) return false;
  end_drain(now);
  return true;
}

bool course::leave_dispose(instant now) {
  if (!is_late(now) && !(jobs_.empty() && !taking_ && hook_is_back())) return false;
  give_up_unsettled();
  enter(service_phase::shutdown, now);
  return true;
}

bool course::leave_shutdown(instant now) {
  if (!is_late(now) && !(pool_closed_ && hook_is_back())) return false;
  if (!hooks_out_.empty() || !pool_closed_) cut_short_ = true;
  phase_ = service_phase::over;
  phase_ends_.reset();
  act(enter_phase{service_phase::over});
  act(finish{status()});
  return true;
}

void course::begin_drain(instant now) {
  ready_ = false;
  if (taking_) act(interrupt_take{});
  enter(service_phase::drain, now);
  // Whoever is given them can start at once; nothing is gained by holding them while others drain.
  if (rules_.dispose == disposal::requeue || failed_) dispose_of_waiting();
  start_waiting(now);
  next_progress_ = drain_ends_ && started_ != 0 ? now : instant::max();
  tell_progress(now);
}

// All that still runs is killed. Its end is told as any other's, in the time for disposing.
void course::end_drain(instant now) {
  stop_at_drains_end(now);
  next_progress_ = instant::max();
  enter(service_phase::dispose, now);
  dispose_of_waiting();
}

void course::give_up_unsettled() {
  for (const auto& [number, it] : jobs_) {
    const bool recorded = it.at == stage::settling ? it.end_recorded : it.at != stage::admitting;
    const bool in_journal = rules_.journals && recorded;
    const bool accounted = in_journal || rules_.source_leases;
    (accounted ? cut_short_ : failed_) = true;
    const char* const where = it.at == stage::started    ? "its processes were not confirmed gone"
                              : it.at == stage::settling ? "its source could not be told of its end"
                                                         : "it could not be handed back";
    const char* const next = in_journal             ? "; the journal has it"
                             : rules_.source_leases ? "; it comes back when its lease runs out"
                                                    : "; it is lost";
    act(say{accounted ? log_level::warning : log_level::error, "job_left",
            "job " + it.receipt.job + " ('" + it.name + "'): " + where + next, number});
  }
}

exit_status course::status() const {
  if (failed_) return exit_status::failure;
  return cut_short_ ? exit_status::cut_short : exit_status::success;
}

void course::fail(const std::string& text, instant now) {
  act(say{log_level::error, "service_failed", text, {}});
  failed_ = true;
  if (!drain_ends_) drain_ends_ = now + rules_.drain_time;
}

void course::hook_returned(service_phase phase, instant now) {
  hooks_out_.erase(phase);
  advance(now);
}

void course::hook_failed(service_phase phase, std::string text, instant now) {
  const std::string all =
      "the hook of " + std::string(to_string(phase)) + " failed: " + std::move(text);
  if (phase == phase_) {
    fail(all, now);
  } else {
    // It was left behind, and what it needed may be gone: that has been counted already.
    act(say{log_level::warning, "hook_failed", all, {}});
  }
  hook_returned(phase, now);
}

void course::broke_down(const std::string& text, instant now) {
  fail(text, now);
  if (phase_ >= service_phase::drain) dispose_of_waiting();
  advance(now);
}

void course::pool_closed(instant now) {
  pool_closed_ = true;
  advance(now);
}

void course::stop(instant now) {
  if (++stops_ == 1) {
    all_ends_ = now + rules_.drain_time + rules_.dispose_time + rules_.shutdown_time;
  }
  const instant latest = now + (stops_ == 1   ? rules_.drain_time
                                : stops_ == 2 ? std::min(rules_.hurried_drain, rules_.drain_time)
                                              : duration::zero());
  drain_ends_ = drain_ends_ ? std::min(*drain_ends_, latest) : latest;
  if (phase_ == service_phase::setup && begun_) {
    // There is nothing to drain or to dispose of; but the time to end in good order stays.
    phase_ends_ = std::min(*phase_ends_, all_ends_ - rules_.shutdown_time);
  }
  if (phase_ == service_phase::drain) {
    next_progress_ = now;
    tick(now);
  } else {
    advance(now);
  }
}

void course::tell_progress(instant now) {
  if (phase_ != service_phase::drain || now < next_progress_ || !drain_ends_) return;
  next_progress_ = now + rules_.progress_interval;
  duration oldest{0};
  for (const auto& [number, it] : jobs_) {
    if (it.at == stage::started) oldest = std::max<duration>(oldest, now - it.started_at);
  }
  act(say{log_level::info,
          "drain_progress",
          std::to_string(started_) + " running, oldest " + in_words(oldest) + ", deadline in " +
              in_words(std::max(duration::zero(), duration(*drain_ends_ - now))),
          {}});
}

void course::tick(instant now) {
  if (phase_ == service_phase::drain && drain_ends_) stop_at_drains_end(now);
  tell_progress(now);
  retry_settling(now);
  extend_when_due(now);
  take_more(now);
  advance(now);
}

instant course::next_tick() const {
  instant next = instant::max();
  const auto at = [&](instant when) { next = std::min(next, when); };
  if (phase_ends_) at(*phase_ends_);
  if (phase_ == service_phase::drain && drain_ends_) at(*drain_ends_);
  at(next_progress_);
  if (phase_ == service_phase::accept && ready_ && !taking_ && take_failures_ != 0) at(take_again_);
  if (!extending_ && !jobs_.empty()) at(extend_at_);
  for (const auto& [number, it] : jobs_) {
    if (it.at == stage::settling && !it.settle_sent) at(it.settle_again);
    if (it.at == stage::started && phase_ == service_phase::drain && drain_ends_ &&
        !it.out_of_time) {
      at(*drain_ends_ - it.grace);
    }
  }
  return phase_ == service_phase::over ? instant::max() : next;
}

}  // namespace hardstop::serving
