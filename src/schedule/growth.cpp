// When workers, spares and guardians are started, when they leave, and when starting them is given
// up.
//
// A pool has slots: so many workers are to be active at a time. They grow with demand up to the
// policy's number and shrink when workers are idle for long. An active worker that is lost is
// replaced by a spare at once, and the spare by a new one; nobody waits for a corpse.
#include <algorithm>
#include <string>

#include "schedule/event.hpp"
#include "schedule/scheduler.hpp"

namespace hardstop::schedule {

namespace {

constexpr duration first_delay = std::chrono::milliseconds(10);
constexpr duration longest_delay = std::chrono::seconds(1);

// The first failure costs nothing, the further ones 10 ms, 20 ms, … up to a second.
duration back_off(unsigned failures) {
  if (failures < 2) return duration::zero();
  return std::min(longest_delay, first_delay * (std::int64_t{1} << std::min(failures - 2, 10U)));
}

// Jobs that want a worker, or have one that lives.
std::size_t demand(const pool& p) {
  return p.jobs.size() + p.in_lanes;
}

std::size_t live(const pool& p) {
  return p.active + p.spares.size();
}

bool hopeless(const pool& p) {
  constexpr unsigned times_as_many = 3;
  const unsigned limit = p.policy.births_before_broken;
  return live(p) == 0 && (p.own_failures >= limit || p.failures >= limit * times_as_many);
}

std::size_t spares_wanted(const pool& p) {
  // Not for a pool that is about to end, and not before the first worker is up, whose first result
  // they would delay.
  if (p.closing) return p.jobs.empty() ? 0 : p.used_up;
  return p.used_up + (p.active > 0 ? p.policy.spares : 0);
}

}  // namespace

// Brings workers to the number that is wanted.
void scheduler::restock(pool& p, instant now) {
  if (p.phase != guardian_phase::up) return ensure_born(p, now);
  if (p.hold_restock && demand(p) == 0) return;
  p.hold_restock = false;
  p.slots = std::max(p.slots, std::min(p.policy.workers, demand(p)));
  const std::size_t slots = p.closing ? std::min(p.slots, demand(p)) : p.slots;
  while (p.active < slots && !p.spares.empty())
    promote(*p.spares.front(), now);
  const std::size_t wanted = slots - std::min(slots, p.active) + spares_wanted(p);
  while (p.starting + p.spares.size() < wanted && may_start(p, now))
    spawn(p, now);
}

void scheduler::fill(pool& p, instant now) {
  if (p.phase != guardian_phase::up || p.closing) return;
  const event ends(*this, now);
  p.slots = p.policy.workers;
  restock(p, now);
}

bool scheduler::may_start(pool& p, instant now) {
  if (p.intake == intake::broken) return false;
  if (hopeless(p) && p.starting > 0) return false;  // one more try at a time
  if (now >= p.births_resume) return true;
  timers_.arm(p.birth_timer, p.births_resume);
  return false;
}

void scheduler::spawn(pool& p, instant now) {
  worker& fresh = world_.spawn(p);
  fresh.pool = &p;
  fresh.state = worker_state::starting;
  p.workers.push_back(fresh);
  ++p.starting;
  ++p.counters.spawns;
  if (p.missing > 0) {
    --p.missing;
    ++p.counters.respawns;
  }
  timers_.arm(fresh, later(now, p.policy.start_timeout));
}

void scheduler::worker_ready(worker& who, instant now) {
  const event ends(*this, now);
  if (who.state != worker_state::starting) return;  // asked to leave, or killed, before it was up
  pool& p = *who.pool;
  timers_.disarm(who);
  --p.starting;
  who.state = worker_state::ready;
  if (p.active < p.slots) {
    activate(who, now);
  } else {
    who.spare = true;
    who.idle_since = now;
    p.spares.push_back(who);
    if (!p.closing && p.spares.size() > spares_wanted(p)) retire(who, now);
  }
  restock(p, now);
}

void scheduler::activate(worker& who, instant now) {
  ++who.pool->active;
  feed(who, now);
}

void scheduler::promote(worker& who, instant now) {
  who.pool->spares.remove(who);
  who.spare = false;
  activate(who, now);
}

// Out of whatever it does in its pool; its lane is left to the caller.
void scheduler::withdraw(worker& who) {
  pool& p = *who.pool;
  timers_.disarm(who);
  if (who.state == worker_state::starting) --p.starting;
  if (who.state != worker_state::ready) return;
  if (who.spare) {
    p.spares.remove(who);
    who.spare = false;
    return;
  }
  (who.takes ? p.taking : p.resting).remove(who);
  if (who.used_up) --p.used_up;
  who.used_up = false;
  p.in_lanes -= who.lane.size();
  --p.active;
}

// It has no job.
void scheduler::retire(worker& who, instant now) {
  withdraw(who);
  who.state = worker_state::retiring;
  timers_.arm(who, later(now, who.pool->policy.retire_timeout));
  world_.retire(who);
}

void scheduler::recycle(worker& who, instant now) {
  if (who.state != worker_state::ready || who.leaving) return;
  const event ends(*this, now);
  who.leaving = true;
  if (!who.spare) {
    requeue_unclaimed(who, who.lane.front(), now);
    shelve(who, now);
  }
  if (who.lane.empty()) retire(who, now);
  rebalance(*who.pool, now);
}

// The caller has made sure that nobody else's attempt runs there, and finds new capacity
// afterwards.
void scheduler::stop(worker& who, stop_reason why, instant now) {
  withdraw(who);
  for (job* at = who.lane.front(); at != nullptr; at = job_list::after(*at))
    timers_.disarm(*at);
  if (who.state != worker_state::retiring) ++who.pool->missing;
  who.state = worker_state::stopping;
  who.stopping = why;
  ++who.pool->counters.kills;
  withdraw_claims(who, now);
  world_.kill(who);
}

void scheduler::worker_due(worker& who, instant now) {
  pool& p = *who.pool;
  switch (who.state) {
    case worker_state::starting:
      stop(who, stop_reason::start_timeout, now);
      return restock(p, now);
    case worker_state::ready:
      who.lane_full = false;
      feed(who, now);
      return rebalance(p, now);
    case worker_state::retiring:
      return stop(who, stop_reason::retire, now);
    case worker_state::stopping:
    case worker_state::gone:
      return;
  }
}

// The coldest idle workers leave; the spares only when the pool has no active worker left to stand
// by.
void scheduler::idle_due(pool& p, instant now) {
  if (p.closing) return;
  for (;;) {
    const bool standing_by = p.active == 0;
    worker* const coldest = standing_by ? p.spares.front() : p.taking.at(0).back();
    if (coldest == nullptr || live(p) + p.starting <= p.policy.min_workers) return;
    // Idle, yet wanted: some job has finished and nobody has read of it.
    const bool wanted = !standing_by && demand(p) >= p.slots;
    const instant leaves = later(wanted ? now : coldest->idle_since, p.policy.idle_timeout);
    if (leaves > now) return timers_.arm(p.idle_timer, leaves);
    retire(*coldest, now);
    if (standing_by) continue;
    --p.slots;
    if (p.active > 0) continue;
    for (worker* who = p.spares.front(); who != nullptr; who = worker_list::after(*who))
      who->idle_since = now;
  }
}

// Guardians.

void scheduler::ensure_born(pool& p, instant now) {
  if (p.phase != guardian_phase::unborn || p.jobs.empty() || !may_start(p, now)) return;
  p.phase = guardian_phase::being_born;
  p.worked = false;
  ++p.counters.births;
  world_.birth(p);
}

void scheduler::guardian_up(pool& p, instant now) {
  if (p.phase != guardian_phase::being_born) return;
  const event ends(*this, now);
  p.phase = guardian_phase::up;
  restock(p, now);
  wind_down(p, now);
}

void scheduler::birth_failed(pool& p, std::string_view reason, instant now) {
  if (p.phase != guardian_phase::being_born) return;
  const event ends(*this, now);
  p.phase = guardian_phase::unborn;
  count_failure(p, reason, now);
  restock(p, now);
  wind_down(p, now);
}

void scheduler::guardian_lost(pool& p, instant now) {
  if (p.phase != guardian_phase::up && p.phase != guardian_phase::being_born) return;
  const event ends(*this, now);
  p.phase = guardian_phase::lost;
  for (worker* who = p.workers.front(); who != nullptr; who = sibling_list::after(*who)) {
    if (who->state == worker_state::stopping) continue;
    withdraw(*who);
    for (job* at = who->lane.front(); at != nullptr; at = job_list::after(*at))
      timers_.disarm(*at);
    if (who->state != worker_state::retiring) ++p.missing;
    who->state = worker_state::stopping;
    who->guardian_lost = true;
    withdraw_claims(*who, now);
  }
}

void scheduler::guardian_gone(pool& p, instant now) {
  if (p.phase == guardian_phase::unborn || p.phase == guardian_phase::closed) return;
  const event ends(*this, now);
  const bool expected = p.phase == guardian_phase::dismissed;
  guardian_lost(p, now);
  p.phase = guardian_phase::unborn;
  p.slots = 0;
  if (!expected && !p.worked && !p.jobs.empty()) {
    count_failure(p, "its supervising process was lost before any worker took a job", now);
  }
  restock(p, now);
  wind_down(p, now);
}

// Giving up.

void scheduler::count_failure(pool& p, std::string_view reason, instant now, fault whose) {
  ++p.failures;
  if (whose == fault::own) ++p.own_failures;
  p.last_failure = reason;
  p.births_resume = later(now, back_off(p.failures));
  if (demand(p) == 0) p.hold_restock = true;
  break_if_hopeless(p, now);
}

void scheduler::break_if_hopeless(pool& p, instant now) {
  if (!hopeless(p) || p.starting > 0 || p.intake == intake::broken) return;
  p.intake = intake::broken;
  p.broken_reason = p.last_failure;
  drop_unstarted(p, why_not_started::pool_broken, now);
}

}  // namespace hardstop::schedule
