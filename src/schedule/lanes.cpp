// What a worker is given, how deep its lane is, and what is taken back from it.
//
// Two rules hold after every event. While jobs wait in the queue no active worker is idle. While a
// worker is idle, no unclaimed frame waits behind a job in another lane. So a frame waits only for
// capacity, never for a particular worker: a long job holds nobody hostage.
#include <algorithm>
#include <cassert>
#include <cstdint>
#include <limits>

#include "schedule/event.hpp"
#include "schedule/scheduler.hpp"

namespace hardstop::schedule {

namespace {

// Priorities are kept by the queue, not by lanes: with two levels in play nothing waits in a lane.
std::size_t depth_limit(const pool& in, std::size_t wanted) {
  return in.jobs.levels_in_play() > 1
             ? 1
             : std::min(wanted, std::max<std::size_t>(in.policy.max_lane_depth, 1));
}

std::size_t room(const worker& who, std::size_t depth) {
  return depth > who.lane.size() ? depth - who.lane.size() : 0;
}

bool life_is_over(const worker& who) {
  const std::uint64_t quota = who.pool->policy.max_jobs_per_worker;
  return who.leaving || (quota != 0 && who.used >= quota);
}

bool spent(const worker& who) {
  return who.sealed || life_is_over(who);
}

// A lane that is full of taken-back frames says nothing when its worker has skipped them.
constexpr duration full_lane_retry = std::chrono::milliseconds(1);

}  // namespace

// An idle worker, or one of those with the shortest lane if that is below the depth.
worker* scheduler::pick(pool& from) {
  if (worker* const idle = from.taking.at(0).front(); idle != nullptr) return idle;
  const std::uint64_t busy = from.taking.occupied();
  if (busy == 0) return nullptr;
  const std::size_t depth = depth_limit(from, from.lanes.value());
  worker* const shortest = from.taking.at(static_cast<std::size_t>(std::countr_zero(busy))).front();
  return room(*shortest, depth) > 0 ? shortest : nullptr;
}

// Puts the job, which is outstanding and perhaps queued, into the worker's lane. Where the lane is
// full nothing has changed but that this worker is left alone for a while. The caller shelves the
// worker.
//
// A job with needs holds them from here on, so it begins here at once or not at all: behind another
// job it would keep them from everybody, and for ever from the one in front of it.
scheduler::placing scheduler::assign(worker& who, job& what, instant now) {
  pool& p = *who.pool;
  const bool has_needs = what.permits != nullptr && what.permits->needs != nullptr;
  if (has_needs && !who.lane.empty()) return placing::not_here;
  what.ticket = schedule::ticket{++last_ticket_};
  if (has_needs && !take_needs(what, now)) return placing::elsewhere;
  ++what.attempt;
  if (world_.dispatch(who, what) == lane_answer::full) {
    --what.attempt;
    if (has_needs) untake_needs(what, now);
    who.lane_full = true;
    shelve(who, now);
    return placing::lane_full;
  }
  if (what.state == job_state::queued) p.jobs.remove(what);
  if (who.lane.empty()) {
    who.moved_at = now;
    who.stalled = false;
  }
  who.lane.push_back(what);
  who.sealed = what.seals_lane;
  ++who.used;
  ++p.in_lanes;
  what.state = job_state::in_lane;
  what.worker = &who;
  what.dispatched_at = now;
  if (what.timeout != forever) timers_.arm(what, later(now, limit_of(what)));
  return placing::placed;
}

// Out of its lane, whatever becomes of it.
void scheduler::detach(job& what) {
  worker& from = *what.worker;
  from.lane.remove(what);
  if (what.seals_lane) from.sealed = false;
  if (from.state == worker_state::ready) --from.pool->in_lanes;
  timers_.disarm(what);
  what.worker = nullptr;
}

// True: it is out of its lane, and this attempt never was.
bool scheduler::take_back(job& what, instant now) {
  if (what.state == job_state::running) return false;
  worker& from = *what.worker;
  if (world_.take_back(from, what) == take_back_answer::already_claimed) {
    note_claimed(what, now);
    return false;
  }
  detach(what);
  if (what.permits != nullptr) return_permits(what, permit_return::unused, now);
  --what.attempt;
  --from.used;
  ++from.pool->counters.taken_back;
  return true;
}

// Takes back whatever is not claimed from `from` to the end of its lane. The caller shelves the
// worker.
void scheduler::requeue_unclaimed([[maybe_unused]] worker& who, job* from, instant now) {
  while (from != nullptr) {
    job* const next = job_list::after(*from);
    if (take_back(*from, now)) make_runnable(*from, now);
    from = next;
  }
  assert(who.lane.size() <= who.used);
}

void scheduler::note_claimed(job& what, instant now) {
  if (what.state == job_state::running) return;
  what.state = job_state::running;
  const instant stamp = world_.claimed_at(*what.worker, what, now).value_or(now);
  what.started_at = std::max(std::min(stamp, now), std::min(what.dispatched_at, now));
  prove(*what.worker);
}

void scheduler::prove(worker& who) {
  if (who.proved) return;
  who.proved = true;
  pool& p = *who.pool;
  p.worked = true;
  p.failures = 0;
  p.own_failures = 0;
  p.births_resume = instant::min();
}

// Puts an active worker where pick() and steal_for() look for it, after its lane or its willingness
// changed.
void scheduler::shelve(worker& who, instant now) {
  pool& p = *who.pool;
  if (const bool used_up = life_is_over(who); used_up != who.used_up) {
    who.used_up = used_up;
    used_up ? ++p.used_up : --p.used_up;
  }
  if (who.lane_full && who.lane.empty() && !who.armed())
    timers_.arm(who, later(now, full_lane_retry));
  const bool takes = !who.lane_full && !spent(who) && !(who.stalled && !who.lane.empty());
  const std::uint8_t shelf = shelves::shelf_for(who.lane.size());
  if (who.shelf == shelf && who.takes == takes) return;
  if (who.shelf != worker::no_shelf) (who.takes ? p.taking : p.resting).remove(who);
  who.takes = takes;
  (takes ? p.taking : p.resting).put(who, shelf);
  if (shelf != 0) return;
  who.idle_since = now;
  if (p.policy.idle_timeout != forever && !p.idle_timer.armed()) {
    timers_.arm(p.idle_timer, later(now, p.policy.idle_timeout));
  }
}

void scheduler::to_the_back(worker& who) {
  shelves& side = who.takes ? who.pool->taking : who.pool->resting;
  const std::uint8_t shelf = who.shelf;
  side.remove(who);
  side.put(who, shelf);
}

void scheduler::lane_drained(worker& who, std::size_t finished_in_batch, instant now,
                             std::optional<duration> busy) {
  const event ends(*this, now);
  if (!who.lingering.empty() && !who.leaving) {
    return_claims(who.lingering, permit_return::released, now);
  }
  pool& p = *who.pool;
  if (who.state == worker_state::ready && !who.spare) {
    p.lanes.measure(finished_in_batch, now - who.moved_at, busy,
                    who.lane.empty() ? lane_left::empty : lane_left::busy);
    who.moved_at = now;
    who.lane_full = false;
    who.stalled = false;
    if (who.used_up && who.lane.empty()) {
      retire(who, now);
    } else {
      feed(who, now);
      // It has moved: the last one of its shelf to be suspected of standing still.
      if (who.lane.size() > 1) to_the_back(who);
    }
    if (p.used_up != 0 || p.active < p.slots) restock(p, now);
  }
  if (p.closing) wind_down(p, now);
}

// Gives an active worker what it can take: from the queue, else from the fullest lane.
void scheduler::feed(worker& who, instant now) {
  pool& p = *who.pool;
  const auto something_to_steal = [&] {
    return (p.taking.occupied_deep() | p.resting.occupied_deep()) != 0;
  };
  // As long as nothing is known of how long jobs take they may be long: then the oldest begin
  // first, and that may be one that waits behind another in a lane which was up earlier.
  if (p.lanes.job_time() == duration::zero() && !p.jobs.empty() && something_to_steal()) {
    shelve(who, now);
    if (who.takes && who.lane.empty()) return steal_for(who, now);
  }
  if (!p.jobs.empty()) relieve_stalled(p, who, now);
  if (!p.jobs.empty() && !who.lane_full && !spent(who)) {
    // The last jobs of many are shared out, so that all workers end at the same time.
    const std::size_t share = p.jobs.size() / std::max<std::size_t>(p.active, 1) + 1;
    std::size_t count = std::min(room(who, depth_limit(p, p.lanes.for_refill())), share);
    while (count > 0 && !p.jobs.empty() && !spent(who)) {
      const placing where = assign(who, *p.jobs.front(), now);
      if (where == placing::placed) --count;
      if (where == placing::lane_full || where == placing::not_here) break;
    }
  }
  shelve(who, now);
  if (something_to_steal() && who.takes && who.lane.empty()) steal_for(who, now);
}

// Gives what waits to whoever has room, in order.
void scheduler::pump(pool& p, instant now) {
  while (!p.jobs.empty()) {
    worker* const who = pick(p);
    if (who == nullptr) return;
    const placing where = assign(*who, *p.jobs.front(), now);
    if (where == placing::placed) shelve(*who, now);
    if (where == placing::not_here) return;
  }
}

// After jobs came back to the queue or a worker was lost: existing capacity first, then what can be
// had in addition.
void scheduler::rebalance(pool& p, instant now) {
  pump(p, now);
  restock(p, now);
}

// An idle worker takes over half of what waits behind the running job of the fullest lane. The half
// that would have run next there runs now here, which keeps the order of acceptance as well as two
// workers can. A lane in which all is claimed has its results on the way; then the next one is
// looked at.
void scheduler::steal_for(worker& who, instant now) {
  pool& p = *who.pool;
  const std::size_t wanted = depth_limit(p, p.lanes.value());
  std::uint64_t deep = p.taking.occupied_deep() | p.resting.occupied_deep();
  while (deep != 0 && who.takes && who.lane.empty()) {
    const auto shelf = static_cast<std::size_t>(63 - std::countl_zero(deep));
    deep &= ~(std::uint64_t{1} << shelf);
    if (!steal_from(p.taking, shelf, wanted, now) && !steal_from(p.resting, shelf, wanted, now))
      continue;
    while (!p.jobs.empty() && room(who, wanted) > 0 && !spent(who)) {
      const placing where = assign(who, *p.jobs.front(), now);
      if (where == placing::lane_full || where == placing::not_here) break;
    }
    shelve(who, now);
  }
  pump(p, now);
}

bool scheduler::steal_from(shelves& side, std::size_t shelf, std::size_t wanted, instant now) {
  for (std::size_t left = side.at(shelf).size(); left > 0 && !side.at(shelf).empty(); --left) {
    worker& victim = *side.at(shelf).front();
    if (steal_from(victim, wanted, now)) return true;
    to_the_back(victim);
  }
  return false;
}

bool scheduler::steal_from(worker& victim, std::size_t wanted, instant now) {
  if (victim.lane.empty()) return false;
  std::size_t count = std::min(victim.lane.size() / 2, wanted);
  bool any = false;
  job* next = nullptr;
  for (job* at = job_list::after(*victim.lane.front()); at != nullptr && count > 0; at = next) {
    next = job_list::after(*at);
    if (!take_back(*at, now)) continue;
    make_runnable(*at, now);
    any = true;
    --count;
  }
  if (any && now - victim.moved_at > victim.pool->lanes.patience()) victim.stalled = true;
  shelve(victim, now);
  return any;
}

// While jobs wait in the queue nobody is idle, so nobody steals; yet what is queued must not
// overtake for long what waits in the lane of a worker whose front job has suddenly become long.
// Whoever is about to take from the queue looks at the lanes that moved least recently and puts
// such jobs back in front first.
void scheduler::relieve_stalled(pool& p, const worker& for_whom, instant now) {
  for (shelves* const side : {&p.taking, &p.resting}) {
    std::uint64_t rest = side->occupied_deep();
    for (; rest != 0; rest &= rest - 1) {
      worker& suspect = *side->at(static_cast<std::size_t>(std::countr_zero(rest))).front();
      if (&suspect == &for_whom || suspect.lane.size() < 2) continue;
      if (now - suspect.moved_at <= p.lanes.patience()) continue;
      job& second = *job_list::after(*suspect.lane.front());
      if (second.state == job_state::in_lane && world_.claimed_at(suspect, second, now)) {
        note_claimed(second, now);
      }
      if (second.state == job_state::running) {
        suspect.moved_at = now;  // it moves; nobody has read its results yet
        continue;
      }
      suspect.stalled = true;
      requeue_unclaimed(suspect, &second, now);
      shelve(suspect, now);
    }
  }
}

// Somebody of this priority came: lower ones that wait in lanes go back to the queue.
void scheduler::make_way(pool& p, int priority, instant now) {
  for (shelves* const side : {&p.taking, &p.resting}) {
    for (std::uint64_t rest = side->occupied_deep(); rest != 0; rest &= rest - 1) {
      worker* next = nullptr;
      for (worker* who = side->at(static_cast<std::size_t>(std::countr_zero(rest))).front();
           who != nullptr; who = next) {
        next = worker_list::after(*who);
        if (who->lane.size() < 2 || who->lane.back()->priority >= priority) continue;
        requeue_unclaimed(*who, job_list::after(*who->lane.front()), now);
        shelve(*who, now);
      }
    }
  }
}

}  // namespace hardstop::schedule
