// What the jobs in a dead worker's lane come to.
#include <cassert>
#include <string>

#include "schedule/event.hpp"
#include "schedule/scheduler.hpp"

namespace hardstop::schedule {

namespace {

// No system header here; it is this on every Linux.
constexpr int sigkill = 9;

std::string describe(const worker& who, const death& how) {
  if (!how.last_words.empty()) return how.last_words;
  if (who.stopping == stop_reason::start_timeout)
    return "a worker was not ready within its time limit";
  const std::string when = who.proved ? "a worker" : "a worker that had not taken any job yet";
  if (who.stopping == stop_reason::garbage) return when + " wrote what cannot be true";
  if (how.signal != 0) return when + " was killed by signal " + std::to_string(how.signal);
  return when + " exited with code " + std::to_string(how.exit_code);
}

// It came to nothing, and so may the next one: not because of a job, not because somebody wanted it
// to end.
bool failed(const worker& who, worker_state before) {
  if (who.proved || who.guardian_lost || before == worker_state::retiring) return false;
  return before != worker_state::stopping || who.stopping == stop_reason::start_timeout ||
         who.stopping == stop_reason::garbage;
}

}  // namespace

void scheduler::worker_gone(worker& who, const death& how, instant now) {
  assert(who.state != worker_state::gone);
  const event ends(*this, now);
  pool& p = *who.pool;
  if (how.guardian_lost) guardian_lost(p, now);  // this may be the first that is heard of it
  const worker_state before = who.state;
  withdraw(who);
  who.state = worker_state::gone;
  settle_lane(who, how, now);
  if (before == worker_state::starting || before == worker_state::ready) ++p.missing;
  p.workers.remove(who);
  if (!who.lingering.empty()) {
    if (how.unconfirmed_pid != 0) {
      keep_claims(who.lingering, how, now);
    } else {
      return_claims(who.lingering, permit_return::released, now);
    }
  }
  if (failed(who, before)) {
    const bool from_outside = how.signal == sigkill && who.stopping == stop_reason::none;
    count_failure(p, describe(who, how), now, from_outside ? fault::outside : fault::own);
  }
  world_.discard(who);
  rebalance(p, now);
  wind_down(p, now);
}

// The lane was read to its end, so whatever is still in it has no result.
//
// Unclaimed frames never began; they go back to the queue. Of an honest worker at most one claimed
// frame is left, the one it died in. If more are, the memory of the lane was scribbled over: frames
// were marked that never ran, or results of frames that did run were made to vanish. Nobody can
// tell which, and no job may run twice unless it allows that, so all of them count as having run.
void scheduler::settle_lane(worker& who, const death& how, instant now) {
  requeue_unclaimed(who, who.lane.front(), now);
  if (who.lane.size() > 1) who.wrote_garbage = true;
  while (job* const victim = who.lane.front()) {
    detach(*victim);
    end_shield(*victim, now);
    if (victim->permits != nullptr) return_at_death(*victim, how, now);
    end_with_worker(*victim, who, how, now);
  }
}

void scheduler::end_with_worker(job& what, const worker& who, const death& how, instant now) {
  ending result;
  result.started = true;
  result.reason = what.stopping;
  if (result.reason == stop_reason::none && what.grace_ends != never)
    result.reason = stop_reason::cancel;
  if (result.reason == stop_reason::none && who.wrote_garbage) result.reason = stop_reason::garbage;
  switch (result.reason) {
    case stop_reason::cancel:
    case stop_reason::shutdown:
      result.kind = end_kind::cancelled;
      break;
    case stop_reason::deadline:
      result.kind = end_kind::timed_out;
      break;
    case stop_reason::memory:
      result.kind = end_kind::memory_limit;
      break;
    default:
      result.kind = end_kind::worker_died;
      if (may_retry(what, how)) return retry(what, now);
  }
  result.worker_death = how;
  result.worker_death->guardian_lost |= who.guardian_lost;
  end(what, std::move(result), now);
}

// Not while something of the attempt may still live, not against the caller's will, not in a pool
// that is ending by force.
bool scheduler::may_retry(const job& what, const death& how) {
  const pool& p = *what.pool;
  return what.attempt <= what.retries && how.unconfirmed_pid == 0 && !what.cancel_requested &&
         !p.drop_pending && p.intake != intake::broken;
}

void scheduler::retry(job& what, instant now) {
  what.ran = true;
  ++what.pool->counters.retried;
  make_runnable(what, now);
}

}  // namespace hardstop::schedule
