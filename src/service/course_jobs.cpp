// What becomes of each job that was taken.
#include <algorithm>
#include <string>
#include <utility>

#include "service/course.hpp"

namespace hardstop::serving {

namespace {

constexpr duration first_pause = std::chrono::milliseconds(100);
constexpr duration longest_pause = std::chrono::seconds(5);

// Before a source that failed so often is asked again.
duration pause_after(unsigned failures) {
  const unsigned doublings = std::min(failures, 10U) - 1;
  return std::min(longest_pause, first_pause * (1U << doublings));
}

}  // namespace

// --- taking

std::size_t course::room() const {
  const std::size_t bound = rules_.slots + rules_.prefetch;
  std::size_t room = bound - std::min(bound, jobs_.size());
  if (rules_.window != 0 && !jobs_.empty()) {
    const auto oldest = static_cast<std::uint64_t>(jobs_.begin()->first);
    const std::uint64_t latest = oldest + rules_.window - 1;
    room = std::min<std::size_t>(room, latest - std::min(latest, last_taken_));
  } else if (rules_.window != 0) {
    room = std::min(room, rules_.window);
  }
  return room;
}

void course::take_more(instant now) {
  if (phase_ != service_phase::accept || !ready_ || taking_ || exhausted_ || now < take_again_) {
    return;
  }
  const std::size_t most = room();
  // Asking a source has a price of its own: not for each job, as long as some are in store.
  if (most == 0 || (waiting_ != 0 && most < (rules_.prefetch + 1) / 2)) return;
  taking_ = true;
  act(take_jobs{most});
}

void course::took(const std::vector<taken>& fresh, bool exhausted, instant now) {
  taking_ = false;
  take_failures_ = 0;
  exhausted_ = exhausted_ || exhausted;
  if (phase_ > service_phase::dispose && !fresh.empty()) {
    (rules_.source_leases ? cut_short_ : failed_) = true;
    act(say{log_level::error,
            "job_left",
            std::to_string(fresh.size()) + " jobs came from the source when all was over; they " +
                (rules_.source_leases ? "come back when their leases run out" : "are lost"),
            {}});
    return;
  }
  for (const taken& each : fresh) {
    ++counted_.taken;
    last_taken_ = static_cast<std::uint64_t>(each.number);
    auto& it = jobs_[each.number];
    it.receipt = each.receipt;
    it.name = each.name;
    it.grace = each.grace;
    it.lease = each.lease;
    ++waiting_;
    act(admit_job{each.number});
    if (each.lease) {
      lease_ = std::min(lease_.value_or(*each.lease), *each.lease);
      extend_at_ = std::min(extend_at_, now + *lease_ / 3);
    }
  }
  if (phase_ == service_phase::dispose ||
      (phase_ == service_phase::drain && (rules_.dispose == disposal::requeue || failed_))) {
    dispose_of_waiting();
  }
  take_more(now);
  advance(now);
}

void course::take_failed(const std::string& text, instant now) {
  taking_ = false;
  ++counted_.source_errors;
  take_again_ = now + pause_after(++take_failures_);
  act(say{log_level::warning, "source_failed", "taking jobs failed: " + text, {}});
  advance(now);
}

// --- running

course::jobs::iterator course::at_stage(job_number job, stage expected) {
  const auto found = jobs_.find(job);
  return found != jobs_.end() && found->second.at == expected ? found : jobs_.end();
}

void course::admitted(job_number job, instant now) {
  const auto found = at_stage(job, stage::admitting);
  if (found == jobs_.end()) return;  // disposed of before the journal had it
  found->second.at = stage::waiting;
  if (phase_ >= service_phase::dispose) {
    dispose_of(job, found->second);
  } else {
    start_waiting(now);
  }
  advance(now);
}

void course::start_waiting(instant now) {
  const bool drains_all = phase_ == service_phase::drain && rules_.dispose == disposal::run;
  if (failed_ || (phase_ != service_phase::accept && !drains_all)) return;
  for (auto& [number, it] : jobs_) {
    if (started_ >= rules_.slots || waiting_ == 0) return;
    if (it.at != stage::waiting) continue;
    it.at = stage::started;
    it.started_at = now;
    --waiting_;
    ++started_;
    act(start_job{number});
  }
}

void course::not_begun(job_number job, attempt_end why, instant now) {
  if (why.kind == outcome_kind::not_started) fail(why.text, now);
  ended(job, std::move(why), now);
}

void course::ended(job_number job, attempt_end how, instant now) {
  const auto found = at_stage(job, stage::started);
  if (found == jobs_.end()) return;
  const job_state_of_service& it = found->second;
  if (how.kind == outcome_kind::cancelled && (it.killed || it.out_of_time)) cut_short_ = true;
  settle(job, found->second, verdict_on(it, how));
  if (phase_ == service_phase::dispose && failed_) dispose_of_waiting();
  start_waiting(now);
  take_more(now);
  advance(now);
}

settlement course::verdict_on(const job_state_of_service& it, const attempt_end& how) const {
  using verdict = settlement::verdict;
  if (how.kind == outcome_kind::value) return {.what = verdict::ack, .reason = {}, .text = {}};
  if (it.lease_lost) return {.what = verdict::lost, .reason = {}, .text = how.text};
  const auto nack = [&](nack_reason reason, std::string text) {
    return settlement{.what = verdict::nack, .reason = reason, .text = std::move(text)};
  };
  if (how.refused) return nack(nack_reason::refused, how.text);
  if (how.kind == outcome_kind::not_started) return nack(nack_reason::returned, how.text);
  if (how.kind == outcome_kind::cancelled) {
    if (it.killed || it.out_of_time) {
      return nack(nack_reason::failed, "killed when the service's time to drain was over");
    }
    if (it.cancel_wanted) return nack(nack_reason::cancelled, how.text);
  }
  return nack(nack_reason::failed, how.text);
}

void course::cancel(const receipt& which, instant now) {
  const auto found = std::find_if(jobs_.begin(), jobs_.end(),
                                  [&](const auto& each) { return each.second.receipt == which; });
  if (found == jobs_.end()) return;  // has ended, or is another attempt
  auto& [number, it] = *found;
  switch (it.at) {
    case stage::admitting:
    case stage::waiting:
      settle(number, it,
             {.what = settlement::verdict::nack,
              .reason = nack_reason::cancelled,
              .text = "cancelled before it started"});
      break;
    case stage::started:
      if (!std::exchange(it.cancel_wanted, true)) act(stop_job{number, std::nullopt});
      break;
    case stage::settling:
      break;
  }
  advance(now);
}

// Those with a grace are asked so early that it ends with the drain.
void course::stop_at_drains_end(instant now) {
  const bool over = now >= *drain_ends_;
  for (auto& [number, it] : jobs_) {
    if (it.at != stage::started || it.killed) continue;
    if (over) {
      it.killed = true;
      act(stop_job{number, duration::zero()});
    } else if (!it.out_of_time && it.grace > duration::zero() && now >= *drain_ends_ - it.grace) {
      it.out_of_time = true;
      act(stop_job{number, *drain_ends_ - now});
    }
  }
}

// --- disposing and settling

void course::dispose_of_waiting() {
  for (auto& [number, it] : jobs_) {
    if (it.at == stage::admitting || it.at == stage::waiting) dispose_of(number, it);
  }
}

void course::dispose_of(job_number job, job_state_of_service& it) {
  using verdict = settlement::verdict;
  const settlement back{.what = verdict::nack,
                        .reason = nack_reason::returned,
                        .text = "the service stopped before it began"};
  switch (rules_.dispose) {
    case disposal::journal:
      // Once the journal has it.
      if (it.at == stage::waiting) settle(job, it, {.what = verdict::journaled, .text = back.text});
      return;
    case disposal::raise:
    case disposal::callback:
      settle(job, it, {.what = verdict::handed_over, .text = back.text});
      return;
    case disposal::run:
      if (!failed_ && phase_ == service_phase::drain) return;
      [[fallthrough]];
    case disposal::automatic:
    case disposal::requeue:
      break;
  }
  if (rules_.source_leases) {
    settle(job, it, back);
  } else if (rules_.journals) {
    if (it.at == stage::waiting) settle(job, it, {.what = verdict::journaled, .text = back.text});
  } else {
    failed_ = true;
    act(say{log_level::error, "job_lost",
            "job " + it.receipt.job + " ('" + it.name +
                "') was taken and will not run: its source does not take it back",
            job});
    settle(job, it, {.what = verdict::lost, .text = back.text});
  }
}

void course::leave_stage(const job_state_of_service& it) {
  if (it.at == stage::started) --started_;
  if (it.at == stage::admitting || it.at == stage::waiting) --waiting_;
}

void course::settle(job_number job, job_state_of_service& it, settlement how) {
  leave_stage(it);
  it.at = stage::settling;
  it.how = how;
  it.settle_sent = true;
  act(settle_job{job, std::move(how), false});
}

void course::end_recorded(job_number job) {
  if (const auto found = jobs_.find(job); found != jobs_.end()) found->second.end_recorded = true;
}

void course::settled(job_number job, bool accepted, instant now) {
  const auto found = at_stage(job, stage::settling);
  if (found == jobs_.end()) return;
  const job_state_of_service& it = found->second;
  if (accepted) {
    count(it.how, it);
  } else {
    ++counted_.lost_leases;
    act(say{log_level::warning, "lease_lost",
            "job " + it.receipt.job + " ('" + it.name +
                "') was given to somebody else before its end could be told",
            job});
  }
  jobs_.erase(found);
  take_more(now);
  advance(now);
}

void course::count(const settlement& how, const job_state_of_service& it) {
  switch (how.what) {
    case settlement::verdict::ack:
      ++counted_.finished;
      return;
    case settlement::verdict::lost:
      ++counted_.lost_leases;
      return;
    case settlement::verdict::journaled:
      ++counted_.journaled;
      return;
    case settlement::verdict::handed_over:
      ++counted_.returned;
      return;
    case settlement::verdict::nack:
      break;
  }
  switch (how.reason) {
    case nack_reason::failed:
      ++(it.killed || it.out_of_time ? counted_.killed : counted_.failed);
      return;
    case nack_reason::returned:
      ++counted_.returned;
      return;
    case nack_reason::cancelled:
      ++counted_.cancelled;
      return;
    case nack_reason::refused:
      ++counted_.refused;
      return;
  }
}

void course::settle_failed(job_number job, const std::string& text, instant now) {
  const auto found = at_stage(job, stage::settling);
  if (found == jobs_.end()) return;
  job_state_of_service& it = found->second;
  ++counted_.source_errors;
  it.settle_sent = false;
  it.settle_again = now + pause_after(++it.settle_tries);
  act(say{log_level::warning, "source_failed",
          "the end of job " + it.receipt.job + " ('" + it.name + "') could not be told: " + text,
          job});
}

void course::retry_settling(instant now) {
  for (auto& [number, it] : jobs_) {
    if (it.at != stage::settling || it.settle_sent || now < it.settle_again) continue;
    it.settle_sent = true;
    act(settle_job{number, it.how, it.end_recorded});
  }
}

// --- leases

void course::extend_when_due(instant now) {
  if (extending_ || now < extend_at_) return;
  extend_leases all;
  for (const auto& [number, it] : jobs_) {
    if (it.lease) all.jobs.push_back(number);
  }
  extend_at_ = instant::max();
  if (all.jobs.empty()) return;
  extending_ = true;
  act(std::move(all));
}

void course::extended(const std::vector<job_number>& lost, instant now) {
  extending_ = false;
  extend_at_ = lease_ ? now + *lease_ / 3 : instant::max();
  for (const job_number number : lost) {
    const auto found = jobs_.find(number);
    if (found == jobs_.end() || found->second.lease_lost) continue;
    job_state_of_service& it = found->second;
    it.lease_lost = true;
    if (it.at == stage::started) {
      act(say{log_level::warning, "lease_lost",
              "job " + it.receipt.job + " ('" + it.name +
                  "') is somebody else's by now: it is killed here",
              number});
      act(stop_job{number, duration::zero()});
    } else if (it.at != stage::settling) {
      settle(number, it, {.what = settlement::verdict::lost, .text = "its lease was lost"});
    }
  }
  advance(now);
}

void course::extend_failed(const std::string& text, instant now) {
  extending_ = false;
  ++counted_.source_errors;
  extend_at_ = now + std::min(lease_.value_or(longest_pause) / 10, longest_pause);
  act(say{log_level::warning, "source_failed", "extending leases failed: " + text, {}});
}

}  // namespace hardstop::serving
