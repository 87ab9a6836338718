// Permits at the engine's edge: the client's threads ask here, jobs ask through their lanes, and
// both are told. And what else jobs ask: not to be interrupted for a while.
#include "engine/permits.hpp"

#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "engine/engine.hpp"
#include "engine/scheduled.hpp"
#include "wire/job_request.hpp"
#include <hardstop/errors.hpp>
#include <hardstop/semaphore.hpp>

namespace hardstop::engine {

namespace {

claim& ours(schedule::permit_claim& node) {
  return static_cast<claim&>(node);
}

const claim& ours(const schedule::permit_claim& node) {
  return static_cast<const claim&>(node);
}

const detail::semaphore& ours(const schedule::semaphore& node) {
  return static_cast<const detail::semaphore&>(node);
}

std::string describe(const job& which) {
  return "job '" + std::string(which.name()) + "' (attempt " + std::to_string(which.attempt) +
         (which.pid != 0 ? " in process " + std::to_string(which.pid) : std::string()) + ")";
}

std::string describe(const claim& what) {
  if (!what.who.empty()) return what.who;
  const schedule::job* const whose = what.held_by != nullptr ? what.held_by : what.needed_by;
  if (whose != nullptr) return describe(hardstop::engine::ours(*whose));
  if (what.owner.attempt != schedule::ticket::none) return "a job that has ended";
  return "thread " + std::to_string(what.owner.context) + " of the client";
}

permit_owner describe(const schedule::permit_share& share, schedule::instant now) {
  const claim& what = ours(*share.claim);
  const bool held = what.state == schedule::claim_state::held;
  return {.who = describe(what),
          .count = share.count,
          .fence = held ? what.fence : 0,
          .since = std::max(now - what.since, nanoseconds{0}),
          .unconfirmed = what.unconfirmed};
}

std::vector<std::string> describe(const std::vector<const schedule::permit_claim*>& circle) {
  std::vector<std::string> sentences;
  for (const schedule::permit_claim* each : circle) {
    std::string wanted;
    for (const schedule::permit_share& share : each->shares)
      wanted += (wanted.empty() ? "'" : " and '") + ours(*share.of).name + "'";
    sentences.push_back(describe(ours(*each)) + " waits for " + wanted);
  }
  return sentences;
}

// An honest job comes nowhere near, and what a wild one makes us keep and search is bounded.
constexpr std::size_t most_claims = 4096;

// No other client has semaphores of these numbers: one that strays into its jobs is not taken for
// another.
std::uint64_t first_semaphore_id() {
  std::uint32_t chosen = 0;
  if (::getrandom(&chosen, sizeof chosen, GRND_NONBLOCK) != sizeof chosen)
    chosen = static_cast<std::uint32_t>(::getpid()) * 2654435761U;
  return static_cast<std::uint64_t>(chosen) << 32;
}

wire::job_answer_kind on_wire(schedule::claim_answer answer) {
  switch (answer) {
    case schedule::claim_answer::granted:
      return wire::job_answer_kind::granted;
    case schedule::claim_answer::impossible:
      return wire::job_answer_kind::impossible;
    case schedule::claim_answer::over:
      return wire::job_answer_kind::over;
    case schedule::claim_answer::unavailable:
    case schedule::claim_answer::waits:
      break;
  }
  return wire::job_answer_kind::unavailable;
}

void tell(worker& at, std::uint64_t request, const wire::job_answer& answer) {
  // No room: a worker that asked for more than an honest one does, and will miss its answers.
  static_cast<void>(at.channel->answer(request, answer.first(), answer.fence));
}

}  // namespace

// --- rows

std::shared_ptr<detail::semaphore> engine::open_semaphore(std::uint32_t permits,
                                                          std::string_view name) {
  turn now(*this);
  if (last_semaphore_ == 0) last_semaphore_ = first_semaphore_id();
  const std::uint64_t id = ++last_semaphore_;
  std::string called(name);
  if (called.empty()) called = "semaphore " + std::to_string(id & 0xffffffffU);
  auto made = std::make_shared<detail::semaphore>(*this, id, permits, std::move(called));
  if (semaphores_.size() >= 2 * semaphores_swept_) {
    std::erase_if(semaphores_, [](const auto& each) { return each.second.expired(); });
    semaphores_swept_ = std::max<std::size_t>(semaphores_.size(), 64);
  }
  semaphores_.emplace(id, made);
  return made;
}

std::shared_ptr<detail::semaphore> engine::find_semaphore(std::uint64_t id) {
  turn now(*this);
  const auto found = semaphores_.find(id);
  return found == semaphores_.end() ? nullptr : found->second.lock();
}

void engine::keep_semaphore(const std::shared_ptr<detail::semaphore>& row) {
  turn now(*this);
  travelled_.emplace(row->id, row);
}

std::vector<semaphore_stats> engine::stats_of_busy_semaphores() {
  std::vector<std::shared_ptr<detail::semaphore>> rows;
  {
    turn now(*this);
    for (const auto& [id, row] : semaphores_) {
      auto here = row.lock();
      if (here && (!here->holders.empty() || !here->waiters.empty())) {
        rows.push_back(std::move(here));
      }
    }
  }
  std::vector<semaphore_stats> all;
  for (const auto& row : rows)
    all.push_back(stats(*row));
  return all;
}

semaphore_stats engine::stats(const detail::semaphore& row) {
  read_lanes();
  turn now(*this);
  semaphore_stats all{.name = row.name, .permits = row.permits, .available = row.available};
  all.longest_wait = row.longest_wait;
  all.grants = row.grants;
  all.returned_by_death = row.returned_by_death;
  for (const auto* at = row.holders.front(); at != nullptr; at = schedule::share_list::after(*at))
    all.holders.push_back(describe(*at, now.now()));
  for (const auto* at = row.waiters.front(); at != nullptr; at = schedule::share_list::after(*at)) {
    all.waiters.push_back(describe(*at, now.now()));
    all.longest_wait = std::max(all.longest_wait, all.waiters.back().since);
    if (all.deadlock.empty())
      all.deadlock = describe(scheduler_.permits().deadlock_around(*at->claim));
  }
  return all;
}

// --- the client's threads

bool engine::acquire(const std::shared_ptr<claim>& what, schedule::patience how) {
  turn now(*this);
  const auto answer = scheduler_.acquire(*what, how, now.now());
  if (answer == schedule::claim_answer::granted) {
    what->settled.store(1, std::memory_order_relaxed);
    return true;
  }
  if (answer == schedule::claim_answer::waits) {
    what->self = what;
    report_deadlock(*what);
  }
  return false;
}

bool engine::on_granted(claim& what, detail::continuation& then) {
  turn now(*this);
  if (what.state == schedule::claim_state::held) return false;
  what.then = &then;
  return true;
}

bool engine::give_back(const std::shared_ptr<claim>& what, schedule::permit_return how) {
  turn now(*this);
  const bool pending = std::exchange(what->then, nullptr) != nullptr;
  scheduler_.release(*what, how, now.now());
  what->self.reset();
  return pending;
}

// --- what the scheduler tells

void engine::granted(schedule::permit_claim& node) {
  claim& what = ours(node);
  if (what.at != nullptr) {
    tell(*what.at, what.request,
         {.kind = wire::job_answer_kind::granted,
          .abandoned = what.abandoned(),
          .fence = what.fence});
    return;
  }
  what.settled.store(1, std::memory_order_release);
  if (detail::continuation* const then = std::exchange(what.then, nullptr)) {
    // The delivery thread runs for as long as there is a pool.
    if (pools_.empty()) {
      outbox_.to_resume.push_back(then);
    } else {
      delivery_.run_later(then);
    }
  }
  outbox_.to_wake.push_back(std::move(what.self));
}

void engine::claim_over(schedule::permit_claim& node) {
  claim* const what = &ours(node);
  // Of one that waits a thread waits, too. But not in a worker that is being killed: a job that is
  // told of it might end by that, and have finished first.
  const bool dying = what->at != nullptr && what->at->state == schedule::worker_state::stopping;
  if (what->at != nullptr && what->fence == 0 && !dying)
    tell(*what->at, what->request, {.kind = wire::job_answer_kind::over});
  outbox_.spent.emplace_back(what);
}

void engine::claim_kept(schedule::permit_claim& node, const schedule::death& how) {
  claim& what = ours(node);
  what.who = describe(what);
  what.unconfirmed =
      "process " + std::to_string(how.unconfirmed_pid) + " " + how.unconfirmed_reason;
  what.at = nullptr;
  kept_claims_.emplace_back(&what);
}

void engine::wake_granted(std::vector<std::shared_ptr<claim>> all) {
  for (const auto& each : all)
    os::futex_wake(each->settled, os::futex_scope::process);
}

void engine::report_deadlock(const claim& closing) {
  const auto circle = scheduler_.permits().deadlock_around(closing);
  if (circle.empty()) return;
  std::string text;
  for (const std::string& each : describe(circle))
    text += (text.empty() ? "" : "; ") + each;
  std::vector<pool*> told;
  for (const schedule::permit_claim* each : circle) {
    if (each->held_by == nullptr) continue;
    pool& home = static_cast<pool&>(*each->held_by->pool);
    if (std::ranges::find(told, &home) != told.end()) continue;
    told.push_back(&home);
    news(home, event_kind::deadlock, 0, text);
  }
}

// --- jobs

void engine::check_needs(const job_options& options, std::string_view name) const {
  const auto refuse = [&](const std::string& what) {
    throw bad_options("needs of job '" + std::string(name) + "': " + what);
  };
  if (options.needs.size() > needs::most)
    refuse("there are more than " + std::to_string(needs::most) + " of them");
  const auto all = options.needs.all();
  for (const need& each : all) {
    if (each.handle == nullptr || !each.handle->row() || each.handle->row()->home != this)
      refuse("a semaphore of another process: make one in the client that submits");
    const detail::semaphore& row = *each.handle->row();
    if (each.count == 0 || each.count > row.permits) {
      refuse(std::to_string(each.count) + " of semaphore '" + row.name + "', which has " +
             std::to_string(row.permits) + ": the job could never begin");
    }
    const auto same = [&](const need& other) { return other.handle->id() == row.id; };
    if (std::ranges::count_if(all, same) > 1)
      refuse("semaphore '" + row.name + "' stands there twice: give the sum");
  }
}

void engine::add_needs(job& which, const needs& wanted) {
  auto made = std::make_unique<claim>(*this);
  for (const need& each : wanted.all())
    made->want_of(each.handle->row(), each.count);
  made->needed_by = &which;
  job::extras& extra = which.make_extra();
  extra.permits.needs = made.release();
  which.permits = &extra.permits;
}

void engine::job_asked(worker& at, const wire::lane_report& report, schedule::instant now) {
  job* const asking = front_of(at);
  if (asking == nullptr || asking->ticket != off_wire(report.ticket)) return;
  // It is being killed, and is to hear nothing before.
  const bool dying = at.state == schedule::worker_state::stopping;
  const auto what = wire::decode_job_request(report.payload);
  if (!what) return corrupt(at, "a request that cannot be true", now);
  switch (what->kind) {
    case wire::job_request_kind::acquire:
      if (dying) return;
      return job_wants(at, *asking, *what, schedule::patience::wait, now);
    case wire::job_request_kind::try_acquire:
      if (dying) return;
      return job_wants(at, *asking, *what, schedule::patience::try_now, now);
    case wire::job_request_kind::give_back:
      return job_returns(*asking, what->id, now);
    case wire::job_request_kind::needs:
      return job_asks_for_needs(at, *asking, *what);
    case wire::job_request_kind::shield:
      asking->make_extra().shield_reason = what->reason;
      return scheduler_.shield(at, asking->ticket, what->longest, now);
    case wire::job_request_kind::unshield:
      return scheduler_.unshield(at, asking->ticket, now);
  }
}

void engine::job_wants(worker& at, job& asking, const wire::job_request& what,
                       schedule::patience how, schedule::instant now) {
  auto made = std::make_unique<claim>(*this);
  made->at = &at;
  made->request = what.id;
  made->owner.context = what.context;
  for (const wire::wanted_permits& each : what.wants) {
    const auto found = semaphores_.find(each.semaphore);
    auto row = found == semaphores_.end() ? nullptr : found->second.lock();
    if (!row) return tell(at, what.id, {.kind = wire::job_answer_kind::unknown});
    const bool twice = std::ranges::find(made->rows, row) != made->rows.end();
    if (twice || each.count > row->permits)
      return tell(at, what.id, {.kind = wire::job_answer_kind::impossible});
    made->want_of(std::move(row), static_cast<std::uint32_t>(each.count));
  }
  if (made->rows.empty()) return tell(at, what.id, {.kind = wire::job_answer_kind::impossible});
  if (asking.permits == nullptr) asking.permits = &asking.make_extra().permits;
  if (asking.permits->claims.size() >= most_claims)
    return corrupt(at, "more requests for permits than a job may have", now);
  const auto answer = scheduler_.acquire(at, asking.ticket, *made, how, now);
  if (answer == schedule::claim_answer::waits) {
    report_deadlock(*made);
    static_cast<void>(made.release());  // the scheduler's until claim_over()
    return;
  }
  wire::job_answer told{.kind = on_wire(answer)};
  if (answer == schedule::claim_answer::granted) {
    told.abandoned = made->abandoned();
    told.fence = made->fence;
    static_cast<void>(made.release());
  }
  tell(at, what.id, told);
}

void engine::job_returns(job& asking, std::uint64_t request, schedule::instant now) {
  if (asking.permits == nullptr) return;
  for (auto* node = asking.permits->claims.front(); node != nullptr;
       node = schedule::claim_list::after(*node)) {
    claim& each = ours(*node);
    if (each.request != request || each.at == nullptr) continue;
    const bool waited = each.state == schedule::claim_state::waiting;
    if (waited) tell(*each.at, request, {.kind = wire::job_answer_kind::over});
    scheduler_.release(each, schedule::permit_return::released, now);
    outbox_.spent.emplace_back(&each);
    return;
  }
}

void engine::job_asks_for_needs(worker& at, job& asking, const wire::job_request& what) {
  wire::job_answer answer{.kind = wire::job_answer_kind::unavailable};
  if (asking.permits != nullptr && asking.permits->needs != nullptr && !what.wants.empty()) {
    const schedule::permit_claim& needs = *asking.permits->needs;
    for (const schedule::permit_share& each : needs.shares) {
      if (ours(*each.of).id != what.wants.front().semaphore) continue;
      answer = {.kind = wire::job_answer_kind::granted,
                .abandoned = each.abandoned != 0,
                .fence = needs.fence};
    }
  }
  tell(at, what.id, answer);
}

}  // namespace hardstop::engine
