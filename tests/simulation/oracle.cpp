// What must be true, whatever has happened. Each line is a promise; the number in front is the one
// it is part of.
#include <algorithm>

#include "simulation/world.hpp"

namespace hardstop::simulation {

namespace {

using schedule::end_kind;
using schedule::ending;
using schedule::guardian_phase;
using schedule::stop_reason;
using schedule::worker_state;

// An event's time may be so much older than the world's clock, and a claim is never taken to be
// later than the event in which it is seen.
constexpr duration staleness = std::chrono::microseconds(20);

// Nobody could keep a time limit more exactly: an unclaimed frame is looked at again after half a
// millisecond at least.
constexpr duration lateness = std::chrono::microseconds(500) + staleness;

bool due(const job_record& job, const attempt_record& attempt, instant now) {
  return schedule::later(attempt.began_at, job.timeout) <= now;
}

const frame* waiting_behind_front(const model_worker& who) {
  bool first = true;
  for (const schedule::job* at = who.lane.front(); at != nullptr;
       at = schedule::job_list::after(*at)) {
    const frame* const seen = const_cast<model_worker&>(who).find(at->ticket);
    if (!first && seen->state == word::waiting) return seen;
    first = false;
  }
  return nullptr;
}

}  // namespace

void world::check_begin(const model_worker& who, const frame& begun) const {
  const job_record& job = *begun.job;
  require(who.scribbled || !job.ended(), "G1: nothing begins after its job has ended");
  if (job.kind == nature::scribbling) return;  // it may have hidden that it ran
  require(job.begun() <= job.retries, "G1: no job runs again but by a retry it allows");
  for (const attempt_record& before : job.attempts) {
    if (!before.began) continue;
    const bool unread = job.tainted && before.published;  // somebody scribbled over its result
    require(before.died || unread, "G2: an attempt begins when the one before is dead");
    require(!before.unconfirmed, "G2: nothing is tried again while something of it may live");
    require(before.worker != who.id,
            "an attempt that died with its worker cannot be repeated there");
  }
}

// The signal may arrive at any later moment of the worker's life.
void world::check_kill(const model_worker& who) const {
  const frame* const running = who.running;
  const bool can_begin = std::any_of(who.lane_frames.begin(), who.lane_frames.end(),
                                     [](const frame& at) { return at.state == word::waiting; });
  switch (who.stopping) {
    case stop_reason::none:
      throw violation("a kill has a reason");
    case stop_reason::garbage:
      require(who.scribbled, "G3: only who wrote garbage is killed for it");
      for (const frame& at : who.lane_frames) {
        const bool forgotten = at.state == word::waiting && !at.job->ended() &&
                               at.job->node->ticket == at.ticket &&
                               at.job->node->state == schedule::job_state::in_lane;
        require(!forgotten, "G12: what has not begun is taken back from a corrupt worker");
      }
      return;
    case stop_reason::start_timeout:
      return require(who.lane_frames.empty(), "G3: nothing runs in a worker that is not ready");
    case stop_reason::retire:
      return require(who.scribbled || (running == nullptr && !can_begin),
                     "G3: nothing runs in a retiring worker");
    case stop_reason::shutdown:
      return require(who.home->kill_at <= now_ && (who.scribbled || !can_begin),
                     "a shutdown kills when its time has come");
    default:
      break;
  }
  if (who.scribbled) return;
  require(!can_begin, "G3: no other attempt can begin in a worker that is being killed");
  if (running == nullptr) return;  // it has finished just now
  const job_record& job = *running->job;
  switch (who.stopping) {
    case stop_reason::cancel:
      require(job.kill_asked || job.grace_ends <= now_,
              "G3: a cancel kills the attempt it names or nothing");
      return require(job.kill_asked || job.shield_ends <= now_,
                     "G8: a cancel waits for a shielded section");
    case stop_reason::deadline:
      return require(due(job, running->record(), now_ + staleness),
                     "G3: a deadline kills the attempt it names or nothing");
    case stop_reason::memory:
      return require(running->record().over_memory,
                     "G3: a memory limit kills the attempt it names or nothing");
    default:
      return;
  }
}

void world::check_ending(const job_record& job, const ending& how) const {
  require(job.endings == 0, "G1: a job ends once");
  if (!job.tainted) check_honest_ending(job, how);
  if (how.kind == end_kind::not_started) {
    require(how.why != schedule::why_not_started::none, "not started says why");
    require(how.why != schedule::why_not_started::shutdown || job.pool->pending_dropped ||
                job.pool->kill_at <= now_ || job.attempts.empty(),
            "shutdown drops what waits only when told to");
  }
  if (how.reason == stop_reason::cancel) {
    require(job.cancel_accepted, "only who was cancelled ends as cancelled by its caller");
  }
  if (how.reason == stop_reason::shutdown && how.started) {
    require(job.pool->kill_at <= now_ || job.pool->pending_dropped,
            "a shutdown ends what runs at its time limit");
  }
}

void world::check_honest_ending(const job_record& job, const ending& how) const {
  const attempt_record* const last = job.attempts.empty() ? nullptr : &job.attempts.back();
  const bool ran = job.begun() > 0;
  require(how.started == ran, "G1: an ending tells the truth about whether the job ever ran");
  if (!how.started) {
    require(how.kind == end_kind::cancelled || how.kind == end_kind::not_started,
            "G1: a job that never ran was cancelled or not started");
    return;
  }
  if (how.kind == end_kind::finished) {
    require(last->published, "G1: finished means that there is a complete result");
    return;
  }
  require(how.kind != end_kind::not_started, "G1: what ran is not called not started");
  require(!last->published, "G1: a result published before death wins");
  if (!how.worker_death) {
    return require(job.retries > 0 && (!last->began || last->died),
                   "only who waits for a retry ends without a death");
  }
  require(last->began && last->died, "G2: a stop is told when the worker is gone");
  switch (how.kind) {
    case end_kind::timed_out:
      return require(due(job, *last, now_ + staleness), "G6: nobody times out before its time");
    case end_kind::memory_limit:
      return require(last->over_memory, "a memory limit is that of the very attempt");
    case end_kind::cancelled:
      return require(how.reason == stop_reason::shutdown || job.kill_asked ||
                         job.grace_ends != schedule::never,
                     "G8: a job that was only asked to stop is not reported as stopped");
    case end_kind::worker_died:
      require(!job.kill_asked && job.grace_ends == schedule::never,
              "G8: who was to be killed and is dead was cancelled");
      require(job.begun() > job.retries || job.cancel_accepted ||
                  how.worker_death->unconfirmed_pid != 0 || job.pool->pending_dropped ||
                  job.pool->kill_at <= now_ || job.pool->intake == schedule::intake::broken,
              "a job whose worker died is tried as often as it allows");
      return require(how.reason == stop_reason::none, "an honest worker is not called corrupt");
    default:
      return;
  }
}

void world::check_deadlines() const {
  for (const auto& home : pools_) {
    const bool over = home->kill_at <= now_;
    require(!over || home->jobs.empty(), "a shutdown lets nothing wait beyond its time limit");
    for (const auto& who : home->crew) {
      require(!over || who->state != worker_state::ready || who->lane.empty(),
              "a shutdown lets nothing run beyond its time limit");
      if (who->state != worker_state::ready || who->running == nullptr || who->scribbled) continue;
      const job_record& job = *who->running->job;
      require(!due(job, who->running->record(), now_ - lateness), "G6: a deadline is kept");
      require(std::max(job.grace_ends, job.shield_ends) > now_,
              "G8: the grace ends when it ends, or the shielded section");
    }
  }
}

void world::check_after_event() {
  follow_permits();
  if (in_batch_) return;
  check_nobody_is_forgotten();
  for (const auto& home : pools_)
    check_pool(*home);
}

void world::check_pool(const model_pool& home) const {
  std::size_t active = 0;
  std::size_t starting = 0;
  std::size_t spares = 0;
  std::size_t in_lanes = 0;
  std::size_t used_up = 0;
  for (const auto& who : home.crew) {
    require(who->state != worker_state::gone, "the gone are discarded");
    if (who->state == worker_state::starting) ++starting;
    if (who->state != worker_state::ready) continue;
    if (who->spare) {
      ++spares;
      continue;
    }
    ++active;
    used_up += who->used_up ? 1U : 0U;
    in_lanes += who->lane.size();
  }
  require(active == home.active && starting == home.starting && spares == home.spares.size(),
          "the pool knows its workers");
  require(in_lanes == home.in_lanes && used_up == home.used_up, "the pool knows its lanes");
  require(home.workers.size() == home.crew.size(), "the pool has the workers it was given");
  require(active <= home.policy.workers, "no more workers are active than the policy says");
  if (home.closed_told) return;
  check_order(home);
  check_capacity(home);
  if (home.phase == guardian_phase::up) check_hostages(home);
}

void world::check_order(const model_pool& home) const {
  const schedule::job* at = home.jobs.front();
  for (int seen = 0; at != nullptr && seen < 8; ++seen) {
    const schedule::job* const next = schedule::job_list::after(*at);
    require(next == nullptr || at->order < next->order, "the queue is in order of acceptance");
    at = next;
  }
}

void world::check_capacity(const model_pool& home) const {
  const bool waiting = !home.jobs.empty();
  require(!waiting || home.intake != schedule::intake::broken, "nothing waits in a broken pool");
  if (home.phase == guardian_phase::unborn) {
    require(!waiting || home.birth_timer.armed(), "a pool in which jobs wait is born, or will be");
  }
  if (home.phase != guardian_phase::up) return;
  std::size_t full = 0;
  for (const auto& who : home.crew) {
    if (who->state != worker_state::ready || who->spare) continue;
    full += who->lane_full ? 1U : 0U;
    require(!waiting || !who->lane.empty() || !who->takes, "nobody is idle while jobs wait");
  }
  const std::size_t demand = home.jobs.size() + home.in_lanes;
  const std::size_t wanted = std::min(home.policy.workers, demand);
  const bool pausing = home.birth_timer.armed() ||
                       (home.failures >= home.policy.births_before_broken && home.starting > 0);
  require(home.active + home.starting >= wanted || pausing, "lost capacity is replaced at once");
  require(!waiting || full > 0 || home.active == home.policy.workers || home.spares.empty(),
          "no spare stands by while jobs wait");
  if (home.active > 0 && !home.closing && !home.hold_restock && !pausing) {
    require(home.starting + home.spares.size() >= home.policy.spares + home.used_up,
            "spares are replaced at once, and who is used up in advance");
  }
}

void world::check_hostages(const model_pool& home) const {
  bool idle = false;
  for (const auto& who : home.crew) {
    idle |= who->state == worker_state::ready && !who->spare && who->lane.empty() && who->takes;
  }
  const schedule::job* const next = home.jobs.front();
  for (const auto& who : home.crew) {
    if (who->state != worker_state::ready || who->spare || who->scribbled) continue;
    const frame* const hostage = waiting_behind_front(*who);
    if (hostage == nullptr) continue;
    require(!idle, "no frame waits behind a job while somebody is idle");
    require(next == nullptr || next->priority <= hostage->job->node->priority,
            "no frame waits in a lane in front of a higher priority");
  }
}

// Long after the last event: whoever was to be stopped has been.
void world::check_stopped() const {
  for (const job_record* const job : outstanding_) {
    require(!job->kill_asked && job->grace_ends == schedule::never,
            "G8: who is cancelled by force or grace ends");
    require(job->timeout == schedule::forever || job->node->state != schedule::job_state::running,
            "G6: whoever has a deadline ends");
  }
}

// After the storm: nothing fails any more, all that can be delivered has been, time has passed.
void world::check_restored(const model_pool& home) const {
  require(!home.cursed || home.jobs.outstanding() == 0,
          "G1: a pool that cannot start a worker breaks");
  if (home.closed_told || home.intake == schedule::intake::broken) return;
  if (!home.jobs.empty()) {
    require(home.phase == guardian_phase::up, "a pool in which jobs wait has a guardian");
    require(home.active == home.policy.workers, "a pool in which jobs wait has all its workers");
  }
  if (home.phase == guardian_phase::up && home.active > 0 && !home.closing && !home.hold_restock) {
    require(home.spares.size() >= home.policy.spares, "a pool that works has all its spares");
  }
}

void world::check_the_end() const {
  for (const job_record& job : jobs_)
    require(job.endings == 1, "G1: every job has ended");
  for (const auto& home : pools_)
    require(home->closed_told, "every pool that is shut down ends");
  check_all_came_back();
  require(scheduler_.timers_armed() == 0 && !scheduler_.next_timer(), "no timer is left");
}

}  // namespace hardstop::simulation
