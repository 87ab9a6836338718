// Permits in the model world: who wants what, and a checker that follows every claim from event to
// event and knows nothing of the table's own lists (G7).
#include <algorithm>
#include <utility>

#include "simulation/world.hpp"

namespace hardstop::simulation {

namespace {

using schedule::claim_answer;
using schedule::claim_state;
using schedule::patience;
using schedule::permit_return;
using schedule::permit_share;

model_claim& real(schedule::permit_claim& what) {
  return static_cast<model_claim&>(what);
}

const permit_share* share_of(const model_claim& what, const schedule::semaphore& of) {
  for (const permit_share& each : what.shares) {
    if (each.of == &of) return &each;
  }
  return nullptr;
}

}  // namespace

void world::draw_semaphores() {
  const std::uint64_t count = dice_.between(1, 3);
  for (std::uint64_t at = 0; at < count; ++at) {
    semaphores_.push_back(
        std::make_unique<schedule::semaphore>(static_cast<std::uint32_t>(dice_.between(1, 3))));
  }
}

model_claim& world::new_claim(job_record* job) {
  model_claim& made = claims_.emplace_back();
  made.id = static_cast<int>(claims_.size());
  made.job = job;
  active_claims_.push_back(&made);
  return made;
}

void world::want_something(model_claim& what) {
  const auto any = [&](const schedule::semaphore& of) {
    return static_cast<std::uint32_t>(dice_.chance(0.8) ? 1 : dice_.between(1, of.permits));
  };
  if (dice_.chance(0.7)) {
    schedule::semaphore& one = *dice_.pick(semaphores_);
    return what.want(one, any(one));
  }
  for (const auto& each : semaphores_) {
    if (what.shares.empty() || dice_.chance(0.6)) what.want(*each, any(*each));
  }
}

void world::add_needs(job_record& job) {
  model_claim& needs = new_claim(&job);
  want_something(needs);
  needs.needed_by = job.node.get();
  job.permits.needs = &needs;
  job.node->permits = &job.permits;
}

void world::something_with_guards() {
  std::vector<model_claim*> mine;
  std::ranges::copy_if(active_claims_, std::back_inserter(mine),
                       [](const model_claim* each) { return each->job == nullptr; });
  if (!mine.empty() && dice_.chance(0.55)) {
    model_claim& one = *dice_.pick(mine);
    one.asked_back = true;
    // A waiter that is cancelled in the moment of its grant has not begun with it.
    const bool unheard = dice_.chance(0.2);
    note("client returns", one.id);
    tell("release", [&] {
      scheduler_.release(one, unheard ? permit_return::unused : permit_return::released,
                         event_time());
    });
    one.over = true;
    std::erase(active_claims_, &one);
    return;
  }
  model_claim& one = new_claim(nullptr);
  one.owner.context = dice_.between(1, 5);
  want_something(one);
  one.came = ++last_came_;
  const auto how = dice_.chance(0.7) ? patience::wait : patience::try_now;
  note("client asks", one.id);
  const auto answer = tell("acquire", [&] { return scheduler_.acquire(one, how, event_time()); });
  require(answer != claim_answer::impossible && answer != claim_answer::over,
          "what can be had is not refused");
  require((answer == claim_answer::granted) == (one.state == claim_state::held),
          "an answer is the truth");
  static_cast<void>(scheduler_.permits().deadlock_around(one));
  if (answer == claim_answer::unavailable) {
    one.over = true;
    std::erase(active_claims_, &one);
  }
}

// In a worker that runs a job.
void world::report_about_permits(model_worker& who) {
  job_record& job = *who.running->job;
  std::vector<model_claim*> mine;
  for (schedule::permit_claim* at = job.permits.claims.front(); at != nullptr;
       at = schedule::claim_list::after(*at)) {
    if (!real(*at).asked_back) mine.push_back(&real(*at));
  }
  if (!mine.empty() && dice_.chance(0.5)) {
    model_claim& one = *dice_.pick(mine);
    one.asked_back = true;
    who.results.push_back({.ticket = who.running->ticket, .returns = &one});
    return;
  }
  const std::size_t wanted = dice_.index(semaphores_.size());
  who.results.push_back(
      {.ticket = who.running->ticket,
       .asks = true,
       .wanted = wanted,
       .count = static_cast<std::uint32_t>(dice_.between(1, semaphores_[wanted]->permits))});
}

// In the owner.
void world::read_about_permits(model_worker& who, const published_result& said) {
  if (said.returns != nullptr) {
    // The owner looks among what the attempt in front has asked for; a scribbler says anything.
    const schedule::job* const front = who.lane.front();
    if (front == nullptr || said.returns->held_by != front) return;
    note("attempt returns", said.returns->id);
    tell("release of an attempt",
         [&] { scheduler_.release(*said.returns, permit_return::released, event_time()); });
    said.returns->over = true;
    std::erase(active_claims_, said.returns);
    return;
  }
  if (who.lane.empty() || who.lane.front()->ticket != said.ticket) return;
  job_record& job = *static_cast<model_job*>(who.lane.front())->record;
  job.node->permits = &job.permits;
  model_claim& one = new_claim(&job);
  one.want(*semaphores_[said.wanted], said.count);
  one.came = ++last_came_;
  note("attempt asks", one.id, job.id);
  const auto answer = tell("acquire of an attempt", [&] {
    return scheduler_.acquire(who, said.ticket, one,
                              dice_.chance(0.7) ? patience::wait : patience::try_now, event_time());
  });
  if (answer == claim_answer::granted || answer == claim_answer::waits) return;
  one.over = true;
  std::erase(active_claims_, &one);
}

void world::return_all_guards() {
  for (model_claim* const each : std::vector(active_claims_)) {
    if (each->job != nullptr) continue;
    each->asked_back = true;
    tell("release", [&] { scheduler_.release(*each, permit_return::released, event_time()); });
    each->over = true;
    std::erase(active_claims_, each);
  }
}

void world::granted(schedule::permit_claim& what) {
  require(what.state == claim_state::held && what.needed_by == nullptr,
          "who is told of a grant has it");
  require(!real(what).over, "nobody is told whose claim is over");
  note("  granted", real(what).id);
  count("granted after a wait");
}

void world::claim_over(schedule::permit_claim& what) {
  model_claim& one = real(what);
  note("  claim over", one.id);
  require(!std::exchange(one.over, true), "a claim is over once");
  require(one.state == claim_state::idle, "a claim that is over holds nothing");
  require(one.job != nullptr, "the client's claims are its own");
}

void world::claim_kept(schedule::permit_claim& what, const schedule::death& how) {
  model_claim& one = real(what);
  note("  claim kept", one.id);
  require(how.unconfirmed_pid != 0, "G7: only what cannot be killed keeps its permits");
  require(one.state == claim_state::held, "what is kept is held");
  one.kept = true;
  count("kept for ever");
}

// What has changed since the last event. Returns first, then grants in the order of their fences:
// so it was, since nobody takes what is not there.
void world::follow_permits() {
  std::vector<model_claim*> fresh;
  for (model_claim* const each : active_claims_) {
    const bool again = each->state == claim_state::held && each->fence != each->known_fence;
    if (each->known == claim_state::held && (each->state != claim_state::held || again)) {
      check_return(*each);
      each->known = claim_state::idle;
    }
    if (each->known == claim_state::called && each->state == claim_state::waiting)
      count("called in vain");
    if (again) fresh.push_back(each);
  }
  std::ranges::sort(fresh, {}, &model_claim::fence);
  for (model_claim* const each : fresh) {
    if (each->job != nullptr) each->holder = each->owner.attempt;
    check_grant(*each);
    last_seen_fence_ = each->fence;
    each->known_fence = each->fence;
    count(each->job == nullptr         ? "granted to the client"
          : each->needed_by != nullptr ? "granted to a job"
                                       : "granted to an attempt");
    if (each->abandoned()) count("told that it is abandoned");
  }
  for (model_claim* const each : active_claims_)
    each->known = each->state;
  std::erase_if(active_claims_, [](const model_claim* each) { return each->over; });
}

// Of what was held.
void world::check_return(const model_claim& what) const {
  require(!what.kept, "G7: what cannot be killed keeps its permits");
  if (what.asked_back || what.job == nullptr) {
    return require(what.asked_back, "G7: nobody loses a permit that he has not returned");
  }
  for (const attempt_record& each : what.job->attempts) {
    if (each.ticket != what.holder || what.job->tainted) continue;
    require(!each.unconfirmed || each.published || !each.began,
            "G7: no permit comes back while something of its holder may live");
    require(!each.began || each.published || each.died,
            "G7: permits come back when their holder has ended and not before");
  }
}

// It holds already; the others, as they are known so far.
void world::check_grant(const model_claim& what) const {
  require(what.fence > last_seen_fence_, "G7: fences only grow");
  for (const permit_share& mine : what.shares) {
    std::uint32_t held = mine.count;
    for (const model_claim& each : claims_) {
      const permit_share* const other = share_of(each, *mine.of);
      if (&each == &what || other == nullptr) continue;
      const bool holds =
          each.kept || (!each.over && each.known == claim_state::held) ||
          (!each.over && each.known_fence == each.fence && each.state == claim_state::held);
      if (holds) held += other->count;
    }
    require(held <= mine.of->permits, "G7: no more hold a permit than there are");
  }
  // First in, first out; whoever wants several things at once waits for that moment.
  if (what.came == 0) return;
  for (const model_claim* const each : active_claims_) {
    if (each->came == 0 || each->came > what.came || each->state != claim_state::waiting) continue;
    for (const permit_share& mine : what.shares) {
      const bool same = each->shares.size() == 1 && share_of(*each, *mine.of) != nullptr;
      require(!same, "G7: permits go to whoever came first");
    }
  }
}

// Nobody waits for what is there.
void world::check_nobody_is_forgotten() const {
  for (const model_claim* const each : active_claims_) {
    if (each->over || each->state != claim_state::waiting) continue;
    bool could = true;
    for (const permit_share& wanted : each->shares) {
      const std::uint32_t taken = each->needed_by != nullptr ? wanted.of->called : 0;
      could = could && wanted.of->available >= wanted.count + taken;
      for (const model_claim* const other : active_claims_) {
        if (other->state != claim_state::waiting || other->order >= each->order) continue;
        if (other->shares.size() > 1) continue;
        const permit_share* const before = share_of(*other, *wanted.of);
        if (before != nullptr && wanted.of->available < before->count) could = false;
      }
    }
    require(!could, "G7: nobody waits for permits that are there");
  }
}

// Pools and the client have ended.
void world::check_all_came_back() const {
  for (const auto& each : semaphores_) {
    std::uint32_t kept = 0;
    for (const model_claim& claim : claims_) {
      if (!claim.kept) continue;
      for (const permit_share& share : claim.shares)
        kept += share.of == each.get() ? share.count : 0;
    }
    require(each->available + kept == each->permits, "G7: no permit is lost, and none is made");
    require(each->called == 0 && each->waiters.empty(), "G7: nobody is left in a queue");
  }
}

}  // namespace hardstop::simulation
