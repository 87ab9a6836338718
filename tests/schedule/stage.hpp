// A stage for single scenes: the scheduler, one pool, and a world that does exactly what a test
// tells it to.
#pragma once

#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "schedule/scheduler.hpp"

namespace hardstop::schedule {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

struct stage_job final : job {
  bool done = false;
  ending how;
  schedule::ticket claimed = schedule::ticket::none;  // the attempt that its worker has begun
  instant claimed_when{};
};

struct stage_worker final : worker {
  int number = 0;
  std::size_t capacity = 1000;
  bool killed = false;
  bool asked_to_leave = false;
  bool discarded = false;
};

inline death killed_by(int signal) {
  death how;
  how.signal = signal;
  return how;
}

inline death exited(int code) {
  death how;
  how.exit_code = code;
  return how;
}

inline death lost_its_guardian() {
  death how = killed_by(9);
  how.guardian_lost = true;
  return how;
}

// Time stands still but for pass().
class stage final : public effects {
 public:
  explicit stage(pool_policy policy = {}) { engine.open(home, policy); }

  stage_job& job(int priority = 0) {
    jobs.push_back(std::make_unique<stage_job>());
    jobs.back()->priority = priority;
    return *jobs.back();
  }

  stage_job& submit(stage_job& what) {
    engine.submit(home, what, now);
    return what;
  }

  stage_job& submit() { return submit(job()); }

  // The guardian and everybody asked for get ready, and whoever is asked for then.
  void all_up() {
    if (home.phase == guardian_phase::being_born) engine.guardian_up(home, now);
    while (stage_worker* const next = starting())
      engine.worker_ready(*next, now);
  }

  // Policy so often means: the first worker's first job is running.
  stage_job& running() {
    stage_job& what = submit();
    all_up();
    begin(what);
    return what;
  }

  stage_worker* starting() {
    for (const auto& each : workers) {
      if (!each->discarded && each->state == worker_state::starting) return each.get();
    }
    return nullptr;
  }

  stage_worker& of(const stage_job& what) { return static_cast<stage_worker&>(*what.worker); }

  // In the worker, without anybody being told.
  void begin(stage_job& what) {
    what.claimed = what.ticket;
    what.claimed_when = now;
  }

  void finish(stage_job& what) {
    stage_worker& who = of(what);
    engine.finished(who, what.ticket, now);
    engine.lane_drained(who, 1, now);
  }

  void gone(stage_worker& who, const death& how = {}) { engine.worker_gone(who, how, now); }

  void pass(duration wait) {
    const instant until = now + wait;
    while (const auto next = engine.next_timer()) {
      if (*next > until) break;
      now = std::max(now, *next);
      engine.time_reached(now);
    }
    now = until;
    engine.time_reached(now);
  }

  std::size_t killed() const {
    return static_cast<std::size_t>(std::count_if(workers.begin(), workers.end(),
                                                  [](const auto& each) { return each->killed; }));
  }

  // --- effects
  lane_answer dispatch(worker& to, schedule::job& what) override {
    if (to.lane.size() >= static_cast<stage_worker&>(to).capacity) return lane_answer::full;
    order.push_back(static_cast<stage_job*>(&what));
    return lane_answer::accepted;
  }

  take_back_answer take_back(worker&, schedule::job& what) override {
    return static_cast<stage_job&>(what).claimed == what.ticket ? take_back_answer::already_claimed
                                                                : take_back_answer::taken;
  }

  std::optional<instant> claimed_at(worker&, schedule::job& what, instant) override {
    auto& real = static_cast<stage_job&>(what);
    return real.claimed == what.ticket ? std::optional(real.claimed_when) : std::nullopt;
  }

  void ask(worker&, schedule::job& what) override { asked.insert(&what); }

  void settle(worker& who, ticket witness) override { to_settle.emplace_back(&who, witness); }

  void kill(worker& who) override { static_cast<stage_worker&>(who).killed = true; }

  void retire(worker& who) override { static_cast<stage_worker&>(who).asked_to_leave = true; }

  worker& spawn(pool&) override {
    workers.push_back(std::make_unique<stage_worker>());
    workers.back()->number = static_cast<int>(workers.size());
    return *workers.back();
  }

  void discard(worker& who) override { static_cast<stage_worker&>(who).discarded = true; }

  void complete(schedule::job& what, ending how) override {
    auto& real = static_cast<stage_job&>(what);
    real.done = true;
    real.how = std::move(how);
  }

  void granted(permit_claim& what) override { told.push_back(&what); }

  void claim_over(permit_claim& what) override { over.push_back(&what); }

  void claim_kept(permit_claim& what, const death&) override { kept.push_back(&what); }

  void birth(pool&) override { ++births; }

  void dismiss(pool&) override { dismissed = true; }

  void closed(pool&) override { is_closed = true; }

  instant now{seconds(1000)};
  std::vector<std::unique_ptr<stage_job>> jobs;
  std::vector<std::unique_ptr<stage_worker>> workers;  // all that were ever asked for
  std::vector<stage_job*> order;                       // of dispatch
  std::set<schedule::job*> asked;
  std::vector<std::pair<worker*, ticket>> to_settle;
  std::vector<permit_claim*> told;  // claims that waited and were granted
  std::vector<permit_claim*> over;
  std::vector<permit_claim*> kept;
  int births = 0;
  bool dismissed = false;
  bool is_closed = false;
  pool home;
  scheduler engine{*this};
};

}  // namespace hardstop::schedule
