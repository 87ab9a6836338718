// How a pool ends: no new jobs, then no jobs, then no workers, then no guardian.
#include <algorithm>

#include "schedule/event.hpp"
#include "schedule/scheduler.hpp"

namespace hardstop::schedule {

void scheduler::shut_down(pool& p, pending waiting, std::optional<instant> kill_at, instant now) {
  if (p.phase == guardian_phase::closed) return;
  const event ends(*this, now);
  p.closing = true;
  if (p.intake == intake::open) p.intake = intake::shut_down;
  if (waiting == pending::cancel && !p.drop_pending) {
    p.drop_pending = true;
    drop_unstarted(p, why_not_started::shutdown, now);
  }
  if (kill_at && !p.kill_all) {
    const instant due =
        p.shutdown_timer.armed() ? std::min(*kill_at, p.shutdown_timer.due) : *kill_at;
    timers_.arm(p.shutdown_timer, due);
    if (due <= now) {
      timers_.disarm(p.shutdown_timer);
      shutdown_due(p, now);
    }
  }
  wind_down(p, now);
}

// Everything that waits in the queue or unclaimed in a lane ends.
void scheduler::drop_unstarted(pool& p, why_not_started why, instant now) {
  // What was called for permits comes from the second list to the first as others end.
  while (!p.jobs.empty() || !p.without_permits.empty()) {
    job* const next = p.jobs.empty() ? p.without_permits.front() : p.jobs.front();
    leave_queue(*next);
    end_unstarted(*next, why, now);
  }
  for (worker* who = p.workers.front(); who != nullptr; who = sibling_list::after(*who)) {
    requeue_unclaimed(*who, who->lane.front(),
                      now);  // which ends them: the pool takes nothing back
    if (who->state == worker_state::ready && !who->spare) shelve(*who, now);
  }
}

// Nothing is to survive this, so each worker with something left in its lane is killed as a whole:
// all of it is claimed, and what has finished ends with its result.
void scheduler::shutdown_due(pool& p, instant now) {
  if (p.kill_all) return;
  p.kill_all = true;
  p.drop_pending = true;
  drop_unstarted(p, why_not_started::shutdown, now);
  for (worker* who = p.workers.front(); who != nullptr; who = sibling_list::after(*who)) {
    for (job* at = who->lane.front(); at != nullptr; at = job_list::after(*at)) {
      if (at->stopping == stop_reason::none) at->stopping = stop_reason::shutdown;
    }
    const bool busy = who->state == worker_state::ready && !who->lane.empty();
    if (busy || who->state == worker_state::starting) stop(*who, stop_reason::shutdown, now);
  }
  wind_down(p, now);
}

// Takes the next step towards the end that is possible now; called after everything that can make
// one possible.
void scheduler::wind_down(pool& p, instant now) {
  if (!p.closing || p.jobs.outstanding() > 0) return;
  for (worker* who = p.workers.front(); who != nullptr; who = sibling_list::after(*who)) {
    if (who->state == worker_state::starting || who->state == worker_state::ready)
      retire(*who, now);
  }
  if (!p.workers.empty()) return;
  if (p.phase == guardian_phase::up) {
    p.phase = guardian_phase::dismissed;
    world_.dismiss(p);
  } else if (p.phase == guardian_phase::unborn) {
    close(p);
  }
}

void scheduler::close(pool& p) {
  timers_.disarm(p.birth_timer);
  timers_.disarm(p.idle_timer);
  timers_.disarm(p.shutdown_timer);
  p.phase = guardian_phase::closed;
  world_.closed(p);
}

}  // namespace hardstop::schedule
