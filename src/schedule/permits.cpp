#include "schedule/permits.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace hardstop::schedule {

namespace {

// What a claim may take of a semaphore: a job only what is not meant for jobs that were called
// before it.
std::uint32_t on_offer(const permit_share& wanted) {
  const semaphore& of = *wanted.of;
  if (wanted.claim->needed_by == nullptr || wanted.claim->state == claim_state::called)
    return of.available;
  return of.available - std::min(of.called, of.available);
}

void put_back(permit_share& what, permit_return how) {
  semaphore& of = *what.of;
  of.holders.remove(what);
  of.available += what.count;
  if (how == permit_return::unused) of.abandoned += what.abandoned;
  if (how == permit_return::killed) {
    of.abandoned += what.count;
    of.returned_by_death += what.count;
  }
  what.abandoned = 0;
}

}  // namespace

bool permit_table::possible(const permit_claim& what) {
  return std::ranges::all_of(what.shares, [](const permit_share& each) {
    return each.count != 0 && each.count <= each.of->permits;
  });
}

// Whether later claims have to let it go first. A job does not, if only the worker is lacking.
bool permit_table::blocks(const permit_share& earlier) {
  const bool lacks = earlier.of->available < earlier.count;
  return earlier.claim->shares.size() == 1 && (lacks || earlier.claim->needed_by == nullptr);
}

bool permit_table::may_have(const permit_claim& what) {
  for (const permit_share& each : what.shares) {
    if (on_offer(each) < each.count) return false;
    for (const permit_share* at = each.of->waiters.front();
         at != nullptr && at->claim->order < what.order; at = share_list::after(*at)) {
      if (blocks(*at)) return false;
    }
  }
  return true;
}

claim_answer permit_table::ask(permit_claim& what, patience how, instant now) {
  assert(what.state == claim_state::idle && what.needed_by == nullptr);
  if (!possible(what)) return claim_answer::impossible;
  for (permit_share& each : what.shares)
    each.claim = &what;
  what.order = ++last_order_;
  if (may_have(what)) {
    what.since = now;
    grant(what, now);
    return claim_answer::granted;
  }
  if (how == patience::try_now) return claim_answer::unavailable;
  wait(what, now);
  return claim_answer::waits;
}

bool permit_table::queue(permit_claim& what, instant now) {
  assert(what.state == claim_state::idle);
  if (!possible(what)) return false;
  for (permit_share& each : what.shares)
    each.claim = &what;
  if (what.order == 0) what.order = ++last_order_;
  what.since = now;
  if (!may_have(what)) {
    wait(what, now);
    return true;
  }
  call(what);
  return true;
}

bool permit_table::take(permit_claim& what, instant now) {
  assert(what.state == claim_state::called);
  const bool there = may_have(what);
  for (const permit_share& each : what.shares)
    each.of->called -= each.count;
  what.state = claim_state::idle;
  if (there) {
    grant(what, now);
  } else {
    wait(what, what.since);
  }
  // What it was called for is there for another job, or for this one once more.
  for (const permit_share& each : what.shares)
    serve(*each.of, now);
  return there;
}

void permit_table::wait(permit_claim& what, instant now) {
  what.state = claim_state::waiting;
  what.since = now;
  for (permit_share& each : what.shares) {
    share_list& queue = each.of->waiters;
    permit_share* later = nullptr;  // whoever comes back has its old place
    for (permit_share* at = queue.back(); at != nullptr && at->claim->order > what.order;
         at = share_list::before(*at)) {
      later = at;
    }
    queue.insert_before(later, each);
  }
  if (what.needed_by == nullptr) waiting_.push_back(what);
}

void permit_table::leave_queues(permit_claim& what) {
  for (permit_share& each : what.shares)
    each.of->waiters.remove(each);
  if (what.needed_by == nullptr) waiting_.remove(what);
}

std::size_t permit_table::place_of(const permit_owner& who) {
  const std::uint64_t mixed =
      (static_cast<std::uint64_t>(who.attempt) + who.context) * 0x9e3779b97f4a7c15U;
  return static_cast<std::size_t>(mixed >> 56);
}

void permit_table::call(permit_claim& what) {
  what.state = claim_state::called;
  for (const permit_share& each : what.shares)
    each.of->called += each.count;
  tell_.called(what);
}

void permit_table::note_wait(const permit_claim& what, instant now) {
  for (const permit_share& each : what.shares)
    each.of->longest_wait = std::max(each.of->longest_wait, now - what.since);
}

// Neither in a queue nor called.
void permit_table::grant(permit_claim& what, instant now) {
  note_wait(what, now);
  what.state = claim_state::held;
  what.fence = ++last_fence_;
  what.since = now;
  ++holding_[place_of(what.owner)];
  for (permit_share& each : what.shares) {
    semaphore& of = *each.of;
    assert(of.available >= each.count);
    of.available -= each.count;
    each.abandoned = std::min(of.abandoned, each.count);
    of.abandoned -= each.abandoned;
    of.holders.push_back(each);
    ++of.grants;
  }
}

void permit_table::give_back(permit_claim& what, permit_return how, instant now) {
  switch (what.state) {
    case claim_state::idle:
      return;
    case claim_state::waiting:
      note_wait(what, now);
      leave_queues(what);
      break;
    case claim_state::called:
      for (const permit_share& each : what.shares)
        each.of->called -= each.count;
      break;
    case claim_state::held:
      --holding_[place_of(what.owner)];
      for (permit_share& each : what.shares)
        put_back(each, how);
      break;
  }
  what.state = claim_state::idle;
  for (const permit_share& each : what.shares)
    serve(*each.of, now);
}

// After something came back, or somebody left the queue.
void permit_table::serve(semaphore& of, instant now) {
  permit_share* later = nullptr;
  for (permit_share* at = of.waiters.front(); at != nullptr; at = later) {
    later = share_list::after(*at);
    permit_claim& what = *at->claim;
    if (!may_have(what)) {
      if (blocks(*at)) return;
      continue;
    }
    leave_queues(what);
    if (what.needed_by == nullptr) {
      grant(what, now);
      tell_.granted(what);
      continue;
    }
    call(what);
  }
}

}  // namespace hardstop::schedule
