// Cancel, deadline and memory limit: how a stop finds the one attempt it names, or nothing (G3,
// G8).
#include <algorithm>

#include "schedule/event.hpp"
#include "schedule/scheduler.hpp"

namespace hardstop::schedule {

namespace {

// A frame that still waits when its deadline is due is looked at again after this, however short
// its time limit.
constexpr duration least_recheck = std::chrono::microseconds(500);

}  // namespace

cancel_answer scheduler::cancel(job& what, cancel_mode mode, duration grace, instant now) {
  if (what.state == job_state::fresh || what.state == job_state::ended)
    return cancel_answer::too_late;
  const event ends(*this, now);
  pool& p = *what.pool;
  if (what.state == job_state::queued) {
    leave_queue(what);
    end_cancelled_unstarted(what, now);
    wind_down(p, now);
    return cancel_answer::accepted;
  }
  worker& who = *what.worker;
  if (take_back(what, now)) {
    end_cancelled_unstarted(what, now);
    if (who.state == worker_state::ready) feed(who, now);
    rebalance(p, now);
    wind_down(p, now);
    return cancel_answer::accepted;
  }
  if (mode == cancel_mode::take_back) return cancel_answer::too_late;
  const bool shielded = what.shield_ends > now;
  if (mode == cancel_mode::grace && grace <= duration::zero() && !shielded)
    mode = cancel_mode::kill;
  if (mode != cancel_mode::kill && !what.cancel_requested) world_.ask(who, what);
  what.cancel_requested = true;
  if (mode == cancel_mode::kill) kill_attempt(what, stop_reason::cancel, now);
  if (mode == cancel_mode::grace) {
    what.grace_ends = std::min(what.grace_ends, later(now, std::max(grace, duration::zero())));
    const instant kill_at = cancel_due(what);
    const instant due = what.armed() ? std::min(what.due, kill_at) : kill_at;
    if (who.state == worker_state::ready) timers_.arm(what, due);
  }
  return cancel_answer::accepted;
}

instant scheduler::cancel_due(const job& what) {
  return std::max(what.grace_ends, what.shield_ends);
}

void scheduler::shield(worker& who, schedule::ticket which, duration longest, instant now) {
  job* const what = who.lane.front();
  if (what == nullptr || what->ticket != which || what->shielded_since != never) return;
  ++who.pool->counters.shields;
  what->shielded_since = now;
  if (what->grace_ends > now) what->shield_ends = later(now, std::max(longest, duration::zero()));
}

void scheduler::unshield(worker& who, schedule::ticket which, instant now) {
  const event ends(*this, now);
  job* const what = who.lane.front();
  if (what == nullptr || what->ticket != which) return;
  end_shield(*what, now);
  if (what->grace_ends == never || what->stopping != stop_reason::none) return;
  if (what->grace_ends > now) {
    if (who.state == worker_state::ready)
      timers_.arm(*what, what->armed() ? std::min(what->due, what->grace_ends) : what->grace_ends);
    return;
  }
  note_claimed(*what, now);
  kill_attempt(*what, stop_reason::cancel, now);
}

// Also when its attempt is over.
void scheduler::end_shield(job& what, instant now) {
  if (what.shielded_since == never) return;
  what.pool->counters.shielded += std::max(now - what.shielded_since, duration::zero());
  what.shielded_since = never;
  what.shield_ends = instant::min();
}

void scheduler::end_cancelled_unstarted(job& what, instant now) {
  what.cancel_requested = true;
  ending how;
  how.kind = end_kind::cancelled;
  how.started = what.ran;
  how.reason = stop_reason::cancel;
  end(what, std::move(how), now);
}

// Sends SIGKILL to the worker of a claimed attempt, if that attempt is what it would hit.
//
// An honest worker claims frames in the order of the lane, and publishes the result of one before
// it claims the next. So of the claimed frames only the last can be running; those before it have
// finished, their results are in the lane and will be read, at the latest after the worker's death.
//
// First everything behind the attempt is taken back. If all of it was still unclaimed, the worker
// can begin nothing any more: at the moment the signal arrives it runs this attempt, or nothing
// because it has just finished it. No other attempt can be hit, whatever stands in front of this
// one in the lane. If a frame behind it turns out to be claimed, this attempt has finished, and the
// signal would hit the other one: nobody is killed, and the result that must be in the lane is
// fetched. A worker that has no such result has lied about the claim; settled() finds out.
void scheduler::kill_attempt(job& what, stop_reason why, instant now) {
  worker& who = *what.worker;
  pool& p = *who.pool;
  if (what.stopping == stop_reason::none) what.stopping = why;
  if (who.state != worker_state::ready) return;  // it is being killed already
  timers_.disarm(what);
  for (job* behind = job_list::after(what); behind != nullptr;) {
    job* const next = job_list::after(*behind);
    if (!take_back(*behind, now)) {
      shelve(who, now);
      world_.settle(who, behind->ticket);
      return rebalance(p, now);
    }
    make_runnable(*behind, now);
    behind = next;
  }
  stop(who, why, now);
  rebalance(p, now);
}

void scheduler::settled(worker& who, schedule::ticket witness, instant now) {
  const event ends(*this, now);
  if (who.state != worker_state::ready) return;
  const job* const first = who.lane.front();
  if (first == nullptr || first->ticket == witness) return;
  for (const job* at = first; at != nullptr; at = job_list::after(*at)) {
    if (at->ticket == witness) return corrupt(who, now);
  }
}

void scheduler::corrupt(worker& who, instant now) {
  const event ends(*this, now);
  who.wrote_garbage = true;
  if (who.state == worker_state::stopping || who.state == worker_state::gone) return;
  requeue_unclaimed(who, who.lane.front(), now);
  stop(who, stop_reason::garbage, now);
  rebalance(*who.pool, now);
}

void scheduler::memory_exceeded(worker& who, schedule::ticket which, instant now) {
  const event ends(*this, now);
  for (job* at = who.lane.front(); at != nullptr; at = job_list::after(*at)) {
    if (at->ticket != which) continue;
    if (observe(*at, now) == job_state::running) kill_attempt(*at, stop_reason::memory, now);
    return;
  }
}

// Its deadline counts from the claim, which rings no bell: when dispatch + timeout has come, the
// claim is looked up.
void scheduler::job_due(job& what, instant now) {
  if (observe(what, now) != job_state::running) {
    return timers_.arm(what, later(now, std::max(limit_of(what), least_recheck)));
  }
  const instant deadline = later(what.started_at, limit_of(what));
  const instant due = std::min(deadline, cancel_due(what));
  if (due > now) return timers_.arm(what, due);
  kill_attempt(what, cancel_due(what) < deadline ? stop_reason::cancel : stop_reason::deadline,
               now);
}

// From its start until it is stopped.
duration scheduler::limit_of(const job& what) {
  constexpr int times_as_long = 5;
  const duration notice = what.worker->pool->policy.notice;
  const bool takes_notice = what.timeout != forever && what.timeout >= notice * times_as_long;
  return takes_notice ? what.timeout - notice : what.timeout;
}

}  // namespace hardstop::schedule
