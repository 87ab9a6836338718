#include "service/course_world.hpp"

#include <algorithm>
#include <sstream>
#include <utility>

namespace hardstop::serving {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A world in which little goes wrong, or much.
double mishap(simulation::dice& dice, double at_most) {
  return dice.chance(0.6) ? 0 : at_most * static_cast<double>(dice.between(0, 100)) / 100;
}

rules random_rules(simulation::dice& dice, bool leases) {
  rules all{.slots = dice.between(1, 4),
            .prefetch = dice.between(0, 5),
            .window = dice.chance(0.5) ? 0 : dice.between(1, 12),
            .setup_time = seconds(10),
            .drain_time = milliseconds(dice.between(0, 20'000)),
            .dispose_time = milliseconds(dice.between(0, 2000)),
            .shutdown_time = milliseconds(dice.between(0, 3000)),
            .hurried_drain = milliseconds(dice.between(0, 3000)),
            .progress_interval = seconds(5),
            .dispose = disposal::run,
            .journals = dice.chance(0.5),
            .source_leases = leases,
            .hooks = {}};
  std::vector<disposal> policies{disposal::raise, disposal::run, disposal::callback};
  if (leases) policies.push_back(disposal::requeue);
  if (all.journals) policies.push_back(disposal::journal);
  all.dispose = dice.pick(policies);
  for (const auto phase : {service_phase::accept, service_phase::drain, service_phase::dispose,
                           service_phase::shutdown}) {
    if (dice.chance(0.3)) all.hooks.insert(phase);
  }
  return all;
}

}  // namespace

course_world::course_world(std::uint64_t seed)
    : dice_(seed),
      weather_{.hook_fails = mishap(dice_, 0.2),
               .hook_hangs = mishap(dice_, 0.2),
               .take_fails = mishap(dice_, 0.5),
               .take_hangs = mishap(dice_, 0.1),
               .settle_fails = mishap(dice_, 0.8),
               .settle_hangs = mishap(dice_, 0.1),
               .refused_ack = mishap(dice_, 0.1),
               .lease_lost = mishap(dice_, 0.1),
               .unkillable = mishap(dice_, 0.1),
               .pool_hangs = mishap(dice_, 0.3),
               .journal_breaks = mishap(dice_, 0.01),
               .pool_breaks = mishap(dice_, 0.01),
               .cancels = mishap(dice_, 0.1),
               .grants_leases = dice_.chance(0.7)},
      rules_(random_rules(dice_, weather_.grants_leases)),
      course_(rules_),
      supply_(dice_.between(0, 60)) {}

void course_world::note(const std::string& text) {
  const auto at = std::chrono::duration_cast<milliseconds>(now_.time_since_epoch()).count();
  trace_.push_back(std::to_string(at) + " " + text);
}

void course_world::require(bool fine, const std::string& promise) const {
  if (!fine) throw broken_promise(promise);
}

void course_world::after(duration delay, std::function<void()> what) {
  pending_.push({now_ + delay, ++order_, std::move(what)});
}

void course_world::soon(std::function<void()> what) {
  after(milliseconds(dice_.between(0, 20)), std::move(what));
}

std::size_t course_world::open() const {
  return static_cast<std::size_t>(std::count_if(
      jobs_.begin(), jobs_.end(), [](const auto& each) { return !each.second.settled; }));
}

void course_world::run() {
  const auto stops = dice_.between(1, 4);
  duration at = milliseconds(dice_.between(0, 8000));
  for (std::uint64_t index = 0; index < stops; ++index) {
    // Not always: a source may end by itself.
    if (index == 0 && supply_ < 30 && dice_.chance(0.3)) break;
    after(at, [this] { stop(); });
    at += milliseconds(dice_.between(0, 4000));
  }
  // Something may never answer, and then somebody loses patience.
  after(std::chrono::minutes(5), [this] {
    if (!first_stop_) stop();
  });
  course_.begin(now_);
  obey();
  constexpr std::uint64_t too_many = 200'000;
  while (!status_) {
    require(++events_ < too_many, "a service ends");
    const instant tick = course_.next_tick();
    const bool event_first = !pending_.empty() && pending_.top().when <= tick;
    require(event_first || tick != instant::max(),
            "a service that is not over waits for something");
    if (event_first) {
      now_ = std::max(now_, pending_.top().when);
      const auto what = pending_.top().what;
      pending_.pop();
      what();
    } else {
      now_ = std::max(now_, tick);
      course_.tick(now_);
    }
    obey();
  }
}

void course_world::stop() {
  if (status_) return;
  note("stop");
  if (!first_stop_) first_stop_ = now_;
  course_.stop(now_);
}

void course_world::obey() {
  for (auto actions = course_.take_actions(); !actions.empty(); actions = course_.take_actions()) {
    for (const action& each : actions) {
      require(!status_, "nothing is done after the end");
      std::visit([this](const auto& what) { on(what); }, each);
    }
  }
}

// --- phases

void course_world::on(const enter_phase& what) {
  note("phase " + std::string(to_string(what.phase)));
  require(what.phase >= phase_, "phases go one way");
  phase_ = what.phase;
  if (what.phase > service_phase::accept) ready_ = false;
}

void course_world::on(const become_ready& /*what*/) {
  require(phase_ == service_phase::accept, "ready means accepting");
  ready_ = true;
}

void course_world::on(const run_hook& what) {
  const auto phase = what.phase;
  if (dice_.chance(weather_.hook_hangs)) {
    hook_late_ = true;
    return;
  }
  after(milliseconds(dice_.between(0, 1500)), [this, phase] {
    if (status_) return;
    if (dice_.chance(weather_.hook_fails)) {
      note("hook fails");
      hook_failed_ = hook_failed_ || phase == phase_;
      course_.hook_failed(phase, "it threw", now_);
    } else {
      course_.hook_returned(phase, now_);
    }
  });
}

void course_world::on(const close_pool& /*what*/) {
  if (dice_.chance(weather_.pool_hangs)) {
    hook_late_ = true;
    return;
  }
  soon([this] { course_.pool_closed(now_); });
}

void course_world::on(const say& what) {
  note("says " + what.event + ": " + what.text);
}

void course_world::on(const finish& what) {
  note("finish " + std::to_string(static_cast<int>(what.status)));
  check_finish(what.status);
  status_ = what.status;
}

// --- taking

void course_world::on(const take_jobs& what) {
  require(ready_ && phase_ == service_phase::accept, "jobs are taken only while accepting");
  require(!taking_, "one take at a time");
  require(what.at_most >= 1 && what.at_most + open() <= rules_.slots + rules_.prefetch,
          "never more in hand than slots and prefetch");
  if (rules_.window != 0) {
    std::uint64_t oldest = last_number_ + 1;
    for (const auto& [number, job] : jobs_) {
      if (!job.settled) oldest = std::min(oldest, static_cast<std::uint64_t>(number));
    }
    require(last_number_ + what.at_most < oldest + rules_.window,
            "job k + window is not taken while k is open");
  }
  taking_ = true;
  take_size_ = what.at_most;
  take_hangs_ = dice_.chance(weather_.take_hangs);
  if (take_hangs_) return;
  soon([this] {
    if (!taking_) return;
    taking_ = false;
    if (status_) return;
    if (dice_.chance(weather_.take_fails)) return course_.take_failed("outage", now_);
    std::vector<taken> fresh;
    const auto count = std::min<std::uint64_t>(supply_, dice_.between(0, take_size_));
    for (std::uint64_t index = 0; index < count; ++index) {
      const job_number number{++last_number_};
      const duration grace = milliseconds(dice_.chance(0.5) ? 0 : dice_.between(0, 3000));
      taken job{.number = number,
                .receipt = {.job = std::to_string(last_number_), .attempt = 1},
                .name = "f",
                .grace = grace,
                .lease = {}};
      if (weather_.grants_leases) job.lease = seconds(3);
      fresh.push_back(job);
      jobs_[number].grace = grace;
      if (phase_ > service_phase::dispose) {
        came_too_late_ = true;
        jobs_[number].settled = true;
      }
    }
    supply_ -= count;
    note("took " + std::to_string(count));
    course_.took(fresh, supply_ == 0, now_);
  });
}

void course_world::on(const interrupt_take& /*what*/) {
  if (!taking_ || dice_.chance(0.2)) return;
  soon([this] {
    if (!std::exchange(taking_, false) || status_) return;
    course_.took({}, false, now_);
  });
}

// --- running

void course_world::on(const admit_job& what) {
  const job_number job = what.job;
  soon([this, job] {
    if (status_ || broken_) return;
    if (rules_.journals && dice_.chance(weather_.journal_breaks)) {
      broken_ = true;
      note("journal breaks");
      return course_.broke_down("disk full", now_);
    }
    jobs_[job].admitted = true;
    jobs_[job].in_journal = rules_.journals;
    course_.admitted(job, now_);
  });
}

void course_world::on(const start_job& what) {
  known_job& job = jobs_.at(what.job);
  require(job.admitted, "nothing starts before the journal has it");
  require(!job.started && !job.settling && !job.settled, "an attempt starts once");
  require(phase_ == service_phase::accept ||
              (phase_ == service_phase::drain && rules_.dispose == disposal::run),
          "nothing starts in a drain, unless what was taken counts as started");
  job.started = true;
  const auto running = std::count_if(jobs_.begin(), jobs_.end(), [](const auto& each) {
    return each.second.started && !each.second.ended;
  });
  require(static_cast<std::size_t>(running) <= rules_.slots, "never more than the slots run");
  const job_number number = what.job;
  if (dice_.chance(weather_.pool_breaks)) {
    soon([this, number] {
      if (status_) return;
      broken_ = true;
      jobs_.at(number).ended = true;
      course_.not_begun(number, {.kind = outcome_kind::not_started, .text = "pool broken"}, now_);
    });
    return;
  }
  const auto ends =
      milliseconds(dice_.chance(0.1) ? dice_.between(0, 60'000) : dice_.between(0, 500));
  after(ends, [this, number] {
    end(number, dice_.chance(0.8) ? outcome_kind::value : outcome_kind::exception);
  });
  if (dice_.chance(weather_.cancels)) {
    soon([this, number] {
      if (status_) return;
      jobs_.at(number).cancelled = true;
      course_.cancel({std::to_string(static_cast<std::uint64_t>(number)), 1}, now_);
    });
  }
}

void course_world::end(job_number number, outcome_kind how) {
  known_job& job = jobs_.at(number);
  if (std::exchange(job.ended, true) || status_) return;
  job.ended_well = how == outcome_kind::value;
  job.was_stopped = how == outcome_kind::cancelled;
  course_.ended(number, {.kind = how, .text = how == outcome_kind::value ? "" : "it failed"}, now_);
}

void course_world::on(const stop_job& what) {
  known_job& job = jobs_.at(what.job);
  require(job.started && !job.settled, "only what runs is stopped");
  const bool because_of_drain = phase_ == service_phase::drain && !job.lost;
  if (because_of_drain && !job.cancelled) {
    require(course_.drain_ends().has_value(), "a drain without a deadline stops nothing");
    require(now_ + job.grace >= *course_.drain_ends(),
            "nothing is stopped for the drain's sake before its grace must begin");
    if (what.grace == duration::zero()) job.killed_by_drain = true;
  }
  job.stop_sent = true;
  if (dice_.chance(weather_.unkillable)) {
    hook_late_ = true;
    return;
  }
  const job_number number = what.job;
  const duration grace = what.grace.value_or(job.grace);
  after(grace, [this, number] { end(number, outcome_kind::cancelled); });
}

// --- settling

void course_world::on(const settle_job& what) {
  known_job& job = jobs_.at(what.job);
  using verdict = settlement::verdict;
  require(!job.settling && !job.settled,
          "one word at a time to the source, and none after the last");
  require(!job.started || job.ended, "what runs is not settled");
  require(what.how.what != verdict::ack || job.ended_well, "ack means done");
  require(what.how.what != verdict::nack || what.how.reason != nack_reason::returned ||
              !job.started || broken_,
          "what has begun counts as an attempt");
  require(what.how.what != verdict::journaled || job.in_journal,
          "what is left to the journal is in it");
  require(what.how.what != verdict::lost || job.lost || !rules_.source_leases,
          "what is not lost is told");
  require(what.end_recorded == job.end_written, "the journal is told once");
  job.settling = true;
  const job_number number = what.job;
  const bool talks = what.how.what == verdict::ack || what.how.what == verdict::nack;
  soon([this, number, talks] {
    if (status_) return;
    known_job& at = jobs_.at(number);
    if (rules_.journals && !broken_ && !at.end_written) {
      at.end_written = true;
      course_.end_recorded(number);
    }
    if (talks && dice_.chance(weather_.settle_hangs)) return;
    soon([this, number, talks] {
      if (status_) return;
      known_job& it = jobs_.at(number);
      it.settling = false;
      if (talks && dice_.chance(weather_.settle_fails)) {
        return course_.settle_failed(number, "outage", now_);
      }
      it.settled = true;
      course_.settled(number, !(talks && dice_.chance(weather_.refused_ack)), now_);
    });
  });
}

void course_world::on(const extend_leases& what) {
  for (const job_number job : what.jobs)
    require(!jobs_.at(job).settled, "leases of what is settled are not extended");
  soon([this, jobs = what.jobs] {
    if (status_) return;
    if (dice_.chance(weather_.take_fails)) return course_.extend_failed("outage", now_);
    std::vector<job_number> lost;
    for (const job_number job : jobs) {
      if (!dice_.chance(weather_.lease_lost)) continue;
      lost.push_back(job);
      jobs_.at(job).lost = true;
    }
    course_.extended(lost, now_);
  });
}

// --- the end

void course_world::check_finish(exit_status status) {
  std::ostringstream left;
  bool all_accounted = true;
  for (const auto& [number, job] : jobs_) {
    if (job.settled) continue;
    const bool recorded = rules_.journals && job.in_journal;
    const bool accounted = recorded || rules_.source_leases;
    all_accounted = all_accounted && accounted;
    left << " " << static_cast<std::uint64_t>(number);
  }
  const bool none_left = left.str().empty();
  if (status == exit_status::success) {
    require(none_left, "status 0 means that nothing is left; left:" + left.str());
    require(!broken_ && !hook_failed_, "status 0 means that nothing failed");
    for (const auto& [number, job] : jobs_)
      require(!job.killed_by_drain || !job.was_stopped,
              "status 0 means that nothing was cut short");
  } else if (status == exit_status::cut_short) {
    require(all_accounted, "status 75 means that all is accounted for; left:" + left.str());
  } else {
    require(broken_ || hook_failed_ || hook_late_ || !all_accounted || came_too_late_ ||
                !rules_.source_leases,
            "status 70 has a reason");
  }
  if (first_stop_) {
    const duration most = rules_.drain_time + rules_.dispose_time + rules_.shutdown_time;
    if (!broken_ && !hook_failed_ && !hook_late_) {
      require(now_ <= *first_stop_ + most + milliseconds(1), "the end comes within the grace");
    }
  }
}

}  // namespace hardstop::serving
