// A job's way in and out, and the timers.
#include "schedule/scheduler.hpp"

#include <algorithm>
#include <utility>

#include "schedule/event.hpp"

namespace hardstop::schedule {

void scheduler::open(pool& p, const pool_policy& policy) {
  p.policy = policy;
}

void scheduler::submit(pool& p, job& what, instant now) {
  const event ends(*this, now);
  what.pool = &p;
  what.order = ++last_order_;
  ++p.counters.submitted;
  p.jobs.admit(what);
  if (!accepts(p)) {
    end_unstarted(
        what, p.intake == intake::broken ? why_not_started::pool_broken : why_not_started::shutdown,
        now);
    return;
  }
  if (p.jobs.levels_in_play() > 1) make_way(p, what.priority, now);
  if (what.permits != nullptr && what.permits->needs != nullptr) return make_runnable(what, now);
  // Into a lane without touching the queue, if nobody is to be overtaken.
  worker* const who = p.jobs.empty() ? pick(p) : nullptr;
  if (who != nullptr && assign(*who, what, now) == placing::placed) {
    shelve(*who, now);
  } else {
    make_runnable(what, now);
    if (who != nullptr || p.jobs.levels_in_play() > 1) pump(p, now);
  }
  if (p.active < p.policy.workers || p.hold_restock || p.used_up != 0) restock(p, now);
}

void scheduler::make_runnable(job& what, instant now) {
  pool& p = *what.pool;
  if (p.intake == intake::broken) return end_unstarted(what, why_not_started::pool_broken, now);
  if (p.drop_pending) return end_unstarted(what, why_not_started::shutdown, now);
  const bool is_new = what.state == job_state::fresh;
  what.state = job_state::queued;
  what.started_at = never;
  if (what.permits != nullptr && what.permits->needs != nullptr) {
    permit_claim& needs = *what.permits->needs;
    permits_.queue(needs, now);
    if (needs.state == claim_state::waiting) p.without_permits.push_back(what);
    return;
  }
  is_new ? p.jobs.push_back(what) : p.jobs.push_in_order(what);
}

void scheduler::leave_queue(job& what) {
  pool& p = *what.pool;
  const job_permits* const with = what.permits;
  if (with != nullptr && with->needs != nullptr && with->needs->state == claim_state::waiting) {
    p.without_permits.remove(what);
  } else {
    p.jobs.remove(what);
  }
}

void scheduler::end(job& what, ending how, instant now) {
  pool& p = *what.pool;
  if (what.permits != nullptr) {
    return_permits(what, permit_return::released, now);
    if (permit_claim* const needs = std::exchange(what.permits->needs, nullptr)) {
      world_.claim_over(*needs);
    }
  }
  p.jobs.release(what);
  ++p.counters.ended[static_cast<std::size_t>(how.kind)];
  what.state = job_state::ended;
  how.cancel_was_requested = what.cancel_requested;
  world_.complete(what, std::move(how));
}

// Neither queued nor in a lane. An earlier attempt may have run and died; then "not started" would
// be a lie.
void scheduler::end_unstarted(job& what, why_not_started why, instant now) {
  const bool shutdown = why == why_not_started::shutdown;
  ending how;
  how.started = what.ran;
  how.why = why;
  how.reason = shutdown ? stop_reason::shutdown : stop_reason::none;
  how.kind = !what.ran  ? end_kind::not_started
             : shutdown ? end_kind::cancelled
                        : end_kind::worker_died;
  end(what, std::move(how), now);
}

bool scheduler::finished(worker& who, schedule::ticket which, instant now) {
  job* const first = who.lane.front();
  if (first == nullptr || first->ticket != which || who.wrote_garbage) return false;
  prove(who);
  detach(*first);
  end_shield(*first, now);
  if (first->permits != nullptr && first->seals_lane) let_linger(*first, who, now);
  ending how;
  how.started = true;
  end(*first, std::move(how), now);
  return true;
}

job_state scheduler::observe(job& what, instant now) {
  if (what.state == job_state::in_lane && world_.claimed_at(*what.worker, what, now))
    note_claimed(what, now);
  return what.state;
}

void scheduler::time_reached(instant now) {
  const event ends(*this, now);
  while (timer* const due = timers_.take_due(now))
    fire(*due, now);
}

void scheduler::fire(timer& due, instant now) {
  switch (due.kind) {
    case timer_kind::job:
      return job_due(static_cast<job&>(due), now);
    case timer_kind::worker:
      return worker_due(static_cast<worker&>(due), now);
    case timer_kind::pool_birth:
      return restock(*static_cast<pool_timer&>(due).owner, now);
    case timer_kind::pool_idle:
      return idle_due(*static_cast<pool_timer&>(due).owner, now);
    case timer_kind::pool_shutdown:
      return shutdown_due(*static_cast<pool_timer&>(due).owner, now);
  }
}

pool_picture scheduler::picture(const pool& p) {
  pool_picture seen;
  seen.queued = p.jobs.size() + p.without_permits.size();
  seen.starting = p.starting;
  seen.spares = p.spares.size();
  seen.lane_depth = std::min(p.lanes.value(), p.policy.max_lane_depth);
  seen.job_time = p.lanes.job_time();
  for (const worker* who = p.workers.front(); who != nullptr; who = sibling_list::after(*who)) {
    seen.in_lanes += who->lane.size();
    if (!who->lane.empty()) ++seen.running;
    if (who->state == worker_state::ready && !who->spare && who->lane.empty()) ++seen.idle;
    if (who->state == worker_state::retiring) ++seen.retiring;
    if (who->state == worker_state::stopping) ++seen.stopping;
  }
  return seen;
}

}  // namespace hardstop::schedule
