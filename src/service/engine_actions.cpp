// What the course wants done, and where.
#include <string>
#include <utility>

#include "service/engine.hpp"
#include "service/fault.hpp"
#include <hardstop/errors.hpp>

namespace hardstop::serving {

void service_engine::perform_all() {
  // Doing one may answer at once and bring more.
  for (auto actions = course_->take_actions(); !actions.empty();
       actions = course_->take_actions()) {
    for (action& each : actions)
      std::visit([this](auto& what) { perform(std::move(what)); }, each);
  }
  forget_settled();
}

// The course has let go of them: so has everybody.
void service_engine::forget_settled() {
  for (auto at = held_.begin(); at != held_.end();) {
    if (course_->open().contains(at->first)) {
      ++at;
    } else {
      free_cells_.insert(at->second.cell);
      at = held_.erase(at);
    }
  }
}

void service_engine::perform(run_hook what) {
  in_host([this, phase = what.phase] { call_hook(phase); });
}

void service_engine::perform(take_jobs what) {
  taker_->post(what.at_most);
}

void service_engine::perform(interrupt_take /*what*/) {
  source_->interrupt();
}

void service_engine::perform(admit_job what) {
  held_job& held = held_.at(what.job);
  record_order order{job_admitted{what.job, &held.what}, next_step::admit, &held};
  if (journal_) {
    recorder_->post(std::move(order));
  } else {
    course_->admitted(what.job, std::chrono::steady_clock::now());
  }
}

void service_engine::perform(start_job what) {
  held_job& held = held_.at(what.job);
  const instant now = std::chrono::steady_clock::now();
  if (journal_ && journal_broken_) {
    course_->not_begun(what.job,
                       {.kind = outcome_kind::not_started,
                        .refused = false,
                        .text = "the journal cannot be written"},
                       now);
    return;
  }
  fault_point("after journal before start");
  if (journal_) {
    try {
      journal_->mark_begun(held.cell, what.job);
    } catch (const queue_failure& failure) {
      journal_broken_ = true;
      course_->not_begun(
          what.job, {.kind = outcome_kind::not_started, .refused = false, .text = failure.what()},
          now);
      return;
    }
  }
  held.started_at = std::chrono::system_clock::now();
  if (runner_->starts_at_once() && !directories_) {
    begun(what.job, try_to_start(what.job, held));
  } else {
    starter_->post(start_order{what.job, &held});
  }
}

void service_engine::perform(const stop_job& what) {
  held_job& held = held_.at(what.job);
  if (!held.handle) {
    held.stop_when_begun = what;
    return;
  }
  const bool at_once = what.grace && *what.grace == duration::zero();
  static_cast<void>(
      held.handle.cancel(at_once ? cancel_mode::kill : cancel_mode::ask_then_kill, what.grace));
  fault_point("between two kills");
}

void service_engine::perform(settle_job what) {
  held_job& held = held_.at(what.job);
  using verdict = settlement::verdict;
  if (what.how.what == verdict::nack && what.how.reason != nack_reason::returned) {
    log(log_level::warning, "job_" + std::string(to_string(what.how.reason)),
        "job " + held.what.receipt.job + ": " + what.how.text,
        {{"job", held.what.receipt.job},
         {"name", held.what.message.name},
         {"attempt", std::to_string(held.what.receipt.attempt)}});
  }
  if (what.how.what == verdict::handed_over && options_.dispose == disposal::raise) {
    raised_.push_back(held.what);
  }
  record_order order{job_ended{what.job, std::move(what.how), held.started_at}, next_step::settle,
                     &held};
  if (journal_ && !what.end_recorded) {
    recorder_->post(std::move(order));
  } else {
    proceed(order);
  }
}

void service_engine::perform(extend_leases what) {
  extend_order order;
  for (const job_number job : what.jobs)
    order.jobs.emplace_back(job, held_.at(job).what.receipt);
  settler_->post(std::move(order));
}

void service_engine::perform(close_pool what) {
  starter_->post(close_order{what.within});
}

void service_engine::perform(enter_phase what) {
  const std::string name(to_string(what.phase));
  log(log_level::info, "phase", "phase: " + name, {{"phase", name}});
  if (what.phase == service_phase::drain) {
    const auto until = course_->drain_ends();
    std::string told = "STOPPING=1\nSTATUS=draining";
    if (until) {
      const duration left = *until - std::chrono::steady_clock::now() + options_.dispose_time +
                            options_.shutdown_time;
      const auto microseconds = std::chrono::ceil<std::chrono::microseconds>(left);
      told += "\nEXTEND_TIMEOUT_USEC=" +
              std::to_string(std::max<std::int64_t>(microseconds.count(), 0));
    }
    systemd_->tell(told);
  } else if (what.phase > service_phase::drain) {
    systemd_->tell("STATUS=" + name);
  }
}

void service_engine::perform(become_ready /*what*/) {
  systemd_->tell("READY=1\nSTATUS=taking jobs");
  log(log_level::info, "ready", "ready: taking jobs from " + source_->describe(),
      {{"source", source_->describe()}});
}

void service_engine::perform(say what) {
  std::vector<std::pair<std::string, std::string>> fields;
  if (what.job) {
    if (const auto held = held_.find(*what.job); held != held_.end()) {
      fields = {{"job", held->second.what.receipt.job}, {"name", held->second.what.message.name}};
    }
  }
  if (what.event == "drain_progress") {
    systemd_->tell("STATUS=draining: " + what.text);
    what.text = "draining: " + what.text;
  }
  log(what.level, what.event, std::move(what.text), std::move(fields));
}

void service_engine::perform(finish what) {
  status_ = what.status;
  log(log_level::info, "over",
      "over: " + std::to_string(course_->counted().finished) + " finished, " +
          std::to_string(course_->counted().failed) + " failed, " +
          std::to_string(course_->counted().killed) + " killed, " +
          std::to_string(course_->counted().returned) + " handed back, " +
          std::to_string(course_->counted().journaled) + " in the journal; exit status " +
          std::to_string(static_cast<int>(what.status)),
      {{"status", std::to_string(static_cast<int>(what.status))}});
}

// --- what comes back from other threads, in the core

void service_engine::begun(job_number job, start_result what) {
  const auto found = held_.find(job);
  if (found == held_.end()) return;  // given up meanwhile; its pool is closing
  if (what.failure) {
    course_->not_begun(job, *std::move(what.failure), std::chrono::steady_clock::now());
    return;
  }
  held_job& held = found->second;
  held.handle = std::move(what.handle);
  held.tmpdir = std::move(what.tmpdir);
  held.watch = std::make_unique<end_watch>(*this, job);
  held.handle.on_done(*held.watch);
  if (held.stop_when_begun) perform(*std::exchange(held.stop_when_begun, {}));
}

void service_engine::end_watch::run() noexcept {
  fault_point("in mid-result");
  to_.post([&to = to_, job = job_](course&, instant) { to.end_of(job); });
}

void service_engine::end_of(job_number job) {
  const auto found = held_.find(job);
  if (found == held_.end()) return;
  held_job& held = found->second;
  fault_point("after result before ack");
  attempt_end how{.kind = held.handle.kind(), .refused = false, .text = {}};
  if (how.kind != outcome_kind::value) {
    const outcome all = held.handle.outcome();
    how.text = all.describe();
    if (const auto* thrown = all.as<outcome::exception>()) {
      how.refused = thrown->type == "hardstop::message_refused" ||
                    thrown->type == "hardstop.MessageRefusedError";
    }
  }
  held.handle.release_payload();
  if (!held.tmpdir.empty()) {
    clerk_->post(abandoned_directory{std::exchange(held.tmpdir, {})});
  }
  course_->ended(job, std::move(how), std::chrono::steady_clock::now());
}

}  // namespace hardstop::serving
