// When a job gets the permits it needs, when those of an attempt come back, and who hears of it.
//
// A job with needs is in one of three places: among its pool's without_permits, where its claim
// stands in the semaphores' queues; in the pool's queue like any other, its claim `called`, holding
// nothing; or in a lane with its permits. It goes from the second to the third in the moment in
// which an idle worker takes it, if the permits are still there; else back to the first.
#include <utility>

#include "schedule/event.hpp"
#include "schedule/scheduler.hpp"

namespace hardstop::schedule {

claim_answer scheduler::acquire(permit_claim& what, patience how, instant now) {
  return permits_.ask(what, how, now);
}

claim_answer scheduler::acquire(worker& who, schedule::ticket which, permit_claim& what,
                                patience how, instant now) {
  job* const asking = who.lane.front();
  // Whoever is being killed gets nothing more: it would come back as abandoned, untouched.
  if (who.state != worker_state::ready || asking == nullptr || asking->ticket != which)
    return claim_answer::over;
  what.owner.attempt = which;
  const claim_answer answer = permits_.ask(what, how, now);
  if (answer == claim_answer::granted || answer == claim_answer::waits) {
    what.held_by = asking;
    asking->permits->claims.push_back(what);
  }
  return answer;
}

void scheduler::release(permit_claim& what, permit_return how, instant now) {
  const event ends(*this, now);
  if (what.held_by != nullptr) std::exchange(what.held_by, nullptr)->permits->claims.remove(what);
  permits_.give_back(what, how, now);
}

void scheduler::granted(permit_claim& what) {
  world_.granted(what);
}

void scheduler::called(permit_claim& what) {
  job& whose = *what.needed_by;
  pool& p = *whose.pool;
  // It may come from without_permits, or from nowhere: then it is just being queued.
  if (whose.prev != nullptr || whose.next != nullptr || p.without_permits.front() == &whose)
    p.without_permits.remove(whose);
  p.jobs.push_in_order(whose);
  if (std::exchange(p.called_up, true)) return;
  called_up_.push_back(&p);
}

void scheduler::hand_on(instant now) {
  while (!called_up_.empty()) {
    pool& p = *called_up_.back();
    called_up_.pop_back();
    p.called_up = false;
    rebalance(p, now);
  }
}

// Of a job in its pool's queue. False: it is among without_permits now.
bool scheduler::take_needs(job& what, instant now) {
  permit_claim& needs = *what.permits->needs;
  needs.owner = {.attempt = what.ticket, .context = 0};
  if (permits_.take(needs, now)) return true;
  what.pool->jobs.remove(what);
  what.pool->without_permits.push_back(what);
  return false;
}

// The lane had no room after all: called again, at once or when somebody else has returned them.
void scheduler::untake_needs(job& what, instant now) {
  permit_claim& needs = *what.permits->needs;
  what.pool->jobs.remove(what);
  permits_.give_back(needs, permit_return::unused, now);
  permits_.queue(needs, now);
  if (needs.state == claim_state::waiting) what.pool->without_permits.push_back(what);
}

// All that an attempt has, and what it waits for.
void scheduler::return_permits(job& what, permit_return how, instant now) {
  return_claims(what.permits->claims, how, now);
  if (what.permits->needs != nullptr) permits_.give_back(*what.permits->needs, how, now);
}

void scheduler::return_claims(claim_list& claims, permit_return how, instant now) {
  while (permit_claim* const each = claims.front()) {
    claims.remove(*each);
    each->held_by = nullptr;
    permits_.give_back(*each, how, now);
    world_.claim_over(*each);
  }
}

// An attempt that did not end by itself.
void scheduler::return_at_death(job& what, const death& how, instant now) {
  if (how.unconfirmed_pid == 0) return return_permits(what, permit_return::killed, now);
  if (permit_claim* const needs = std::exchange(what.permits->needs, nullptr)) {
    needs->needed_by = nullptr;
    needs->held_by = &what;
    what.permits->claims.push_back(*needs);
  }
  keep_claims(what.permits->claims, how, now);
}

void scheduler::keep_claims(claim_list& claims, const death& how, instant now) {
  withdraw_waiting(claims, now);
  while (permit_claim* const each = claims.front()) {
    claims.remove(*each);
    world_.claim_kept(*each, how);
    each->held_by = nullptr;
  }
}

// What it started may still run: its permits come back when that is known.
void scheduler::let_linger(job& what, worker& in, instant now) {
  withdraw_waiting(what.permits->claims, now);
  if (permit_claim* const needs = std::exchange(what.permits->needs, nullptr)) {
    needs->needed_by = nullptr;
    in.lingering.push_back(*needs);
  }
  while (permit_claim* const each = what.permits->claims.front()) {
    what.permits->claims.remove(*each);
    each->held_by = nullptr;
    in.lingering.push_back(*each);
  }
}

void scheduler::withdraw_waiting(claim_list& claims, instant now) {
  permit_claim* next = nullptr;
  for (permit_claim* at = claims.front(); at != nullptr; at = next) {
    next = claim_list::after(*at);
    if (at->state != claim_state::waiting) continue;
    claims.remove(*at);
    at->held_by = nullptr;
    permits_.give_back(*at, permit_return::released, now);
    world_.claim_over(*at);
  }
}

// It is being killed, and waits for nothing any more.
void scheduler::withdraw_claims(worker& who, instant now) {
  job* const front = who.lane.front();
  if (front != nullptr && front->permits != nullptr) withdraw_waiting(front->permits->claims, now);
}

}  // namespace hardstop::schedule
