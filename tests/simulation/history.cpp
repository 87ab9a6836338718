// What happens next: drawn, not written.
#include <algorithm>
#include <sstream>
#include <string>
#include <utility>

#include "simulation/world.hpp"

namespace hardstop::simulation {

namespace {

using schedule::cancel_mode;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr std::size_t trace_lines = 400;

}  // namespace

world::world(std::uint64_t seed, bool trace) : dice_(seed), tracing_(trace) {
  now_ += seconds(1);
  draw_profile();
  draw_pools();
  draw_semaphores();
}

void world::draw_profile() {
  // Half of all kinds of trouble do not occur in a given history.
  const auto often = [this](double most) {
    return dice_.chance(0.5) ? 0.0 : most * static_cast<double>(dice_.between(1, 100)) / 100;
  };
  odds_.steps = dice_.between(100, 1500);
  odds_.submit = 0.05 + often(0.5);
  odds_.cancel = often(0.2);
  odds_.spurious = often(0.05);
  odds_.crash = often(0.2);
  odds_.idle_crash = often(0.1);
  odds_.boot_failure = often(0.6);
  odds_.hang = often(0.2);
  odds_.guardian_death = often(0.02);
  odds_.birth_failure = often(0.4);
  odds_.endless = often(0.3);
  odds_.crashing = often(0.3);
  odds_.scribbling = often(0.2);
  odds_.publish = 0.1 + often(0.9);
  odds_.timeouts = often(1.0);
  odds_.retries = often(0.5);
  odds_.priorities = often(0.5);
  odds_.memory = often(0.1);
  odds_.shutdown = often(0.004);
  odds_.lane_full = often(0.2);
  odds_.race = often(0.7);
  odds_.late_clock = often(0.9);
  odds_.jump = often(0.01);
  odds_.unconfirmed = often(0.2);
  odds_.seals = often(0.3);
  odds_.recycle = often(0.05);
  odds_.needs = often(0.6);
  odds_.asks = often(0.3);
  odds_.shields = often(0.2);
  odds_.guards = often(0.3);
}

void world::draw_pools() {
  const std::uint64_t count = dice_.between(1, 3);
  for (std::uint64_t id = 0; id < count; ++id) {
    auto home = std::make_unique<model_pool>();
    home->id = static_cast<int>(id);
    home->cursed = dice_.chance(0.04);
    schedule::pool_policy policy;
    policy.workers = dice_.between(1, 5);
    policy.spares = dice_.between(0, 2);
    policy.min_workers = dice_.between(0, policy.workers);
    if (dice_.chance(0.3)) policy.idle_timeout = milliseconds(dice_.between(1, 50));
    if (dice_.chance(0.3)) policy.max_jobs_per_worker = dice_.between(1, 6);
    policy.start_timeout = milliseconds(dice_.between(1, 200));
    policy.retire_timeout = milliseconds(dice_.between(1, 50));
    policy.max_lane_depth = dice_.between(1, 64);
    policy.births_before_broken = static_cast<unsigned>(dice_.between(1, 6));
    scheduler_.open(*home, policy);
    pools_.push_back(std::move(home));
  }
}

void world::run() {
  for (std::size_t at = 0; at < odds_.steps; ++at)
    step();
  calm_down();
  end_all_pools();
  check_the_end();
}

void world::step() {
  let_time_pass();
  something_by_the_client();
  something_in_the_world();
}

void world::let_time_pass() {
  now_ += nanoseconds(dice_.between(0, 20'000));
  if (dice_.chance(odds_.jump))
    now_ += dice_.chance(0.1) ? duration(seconds(86'400))
                              : duration(milliseconds(dice_.between(1, 3000)));
  if (!dice_.chance(odds_.late_clock)) fire_timers();
}

void world::something_by_the_client() {
  if (dice_.chance(odds_.submit)) submit();
  if (dice_.chance(odds_.cancel)) cancel_somebody();
  if (dice_.chance(odds_.memory)) exceed_memory();
  if (dice_.chance(odds_.guards)) something_with_guards();
  if (dice_.chance(odds_.spurious)) pointless_event();
  if (dice_.chance(odds_.shutdown)) shut_down(*dice_.pick(pools_));
}

void world::something_in_the_world() {
  model_pool& home = *dice_.pick(pools_);
  guardian_step(home);
  if (dice_.chance(0.3)) deliver_guardian_news(home);
  if (!settle_requests_.empty() && dice_.chance(0.3))
    deliver_settled(dice_.index(settle_requests_.size()));
  if (home.crew.empty()) return;
  if (dice_.chance(odds_.recycle / 4)) recycle(*dice_.pick(home.crew));
  worker_step(*dice_.pick(home.crew));
  deliver_something(*dice_.pick(home.crew));
}

void world::submit() {
  model_pool& home = *dice_.pick(pools_);
  if (!schedule::scheduler::accepts(home) && dice_.chance(0.95)) return;
  job_record& job = jobs_.emplace_back();
  job.id = static_cast<int>(jobs_.size());
  job.pool = &home;
  job.node = std::make_unique<model_job>();
  job.node->record = &job;
  if (dice_.chance(odds_.endless)) job.kind = nature::endless;
  if (dice_.chance(odds_.crashing)) job.kind = nature::crashing;
  if (dice_.chance(odds_.scribbling)) job.kind = nature::scribbling;
  if (job.kind == nature::scribbling) job.afterwards = static_cast<nature>(dice_.between(0, 2));
  if (dice_.chance(odds_.timeouts))
    job.timeout =
        microseconds(dice_.chance(0.5) ? dice_.between(0, 200) : dice_.between(1, 20'000));
  if (dice_.chance(odds_.retries)) job.retries = static_cast<std::uint16_t>(dice_.between(1, 3));
  if (dice_.chance(odds_.priorities))
    job.node->priority = static_cast<int>(dice_.between(0, 12)) - 6;
  job.node->seals_lane = dice_.chance(odds_.seals);
  job.node->timeout = job.timeout;
  job.node->retries = job.retries;
  if (dice_.chance(odds_.needs)) add_needs(job);
  outstanding_.push_back(&job);
  note("submit to, job", home.id, job.id);
  tell("submit", [&] { scheduler_.submit(home, *job.node, event_time()); });
}

void world::cancel_somebody() {
  if (outstanding_.empty()) return;
  job_record& job = *dice_.pick(outstanding_);
  const auto mode = static_cast<cancel_mode>(dice_.between(0, 3));
  cancel(job, mode, microseconds(dice_.chance(0.2) ? 0 : dice_.between(0, 3000)));
}

void world::cancel(job_record& job, cancel_mode mode, duration grace) {
  note("cancel in mode, job", static_cast<int>(mode), job.id);
  const instant now = event_time();
  const bool accepted_before = std::exchange(job.cancel_accepted, true);
  if (mode == cancel_mode::kill) job.kill_asked = true;
  if (mode == cancel_mode::grace) job.grace_ends = std::min(job.grace_ends, now + grace);
  const auto answer =
      tell("cancel", [&] { return scheduler_.cancel(*job.node, mode, grace, now); });
  if (mode == cancel_mode::take_back && answer == schedule::cancel_answer::too_late) {
    job.cancel_accepted = accepted_before;
    return require(!job.attempts.empty(), "who has not started can be taken back");
  }
  require(answer == schedule::cancel_answer::accepted, "who has not ended can be cancelled");
  job.cancelled_running = true;  // or it has ended
}

void world::exceed_memory() {
  if (outstanding_.empty()) return;
  job_record& job = *dice_.pick(outstanding_);
  if (job.attempts.empty()) return;
  attempt_record& attempt = job.attempts[dice_.index(job.attempts.size())];
  model_worker* const who = find_worker(attempt.worker);
  if (who == nullptr) return;
  attempt.over_memory = true;
  note("memory exceeded in, job", who->id, job.id);
  tell("memory_exceeded", [&] { scheduler_.memory_exceeded(*who, attempt.ticket, event_time()); });
}

// None of these may change anything, or only what would have been seen a moment later.
void world::pointless_event() {
  const auto workers = all_workers();
  model_worker* const who = workers.empty() ? nullptr : workers[dice_.index(workers.size())];
  model_pool& home = *dice_.pick(pools_);
  note("pointless event", who != nullptr ? who->id : -1);
  switch (dice_.between(0, 7)) {
    case 0:
      return tell("time_reached early", [&] { scheduler_.time_reached(event_time()); });
    case 1:
      if (who == nullptr || who->lane.empty()) return;
      return require(!tell("finished, no such ticket",
                           [&] {
                             return scheduler_.finished(
                                 *who, ticket{dice_.between(1U << 30U, 1U << 31U)}, event_time());
                           }),
                     "a ticket that nobody has cannot finish");
    case 2:
      if (ended_kept_.empty()) return;
      return require(tell("cancel after the end",
                          [&] {
                            return scheduler_.cancel(*dice_.pick(ended_kept_)->node,
                                                     cancel_mode::kill, duration::zero(), now_);
                          }) == schedule::cancel_answer::too_late,
                     "G3: cancelling what has ended does nothing");
    case 3:
      if (who == nullptr || who->state == schedule::worker_state::starting) return;
      return tell("ready again", [&] { scheduler_.worker_ready(*who, event_time()); });
    case 4:
      if (who == nullptr) return;
      return tell("drained nothing", [&] { scheduler_.lane_drained(*who, 0, event_time()); });
    case 5:
      if (home.life != guardian::alive) return;
      return tell("guardian up again", [&] { scheduler_.guardian_up(home, event_time()); });
    case 6:
      if (outstanding_.empty()) return;
      tell("observe",
           [&] { return scheduler_.observe(*dice_.pick(outstanding_)->node, event_time()); });
      return;
    default:
      if (who == nullptr) return;
      return tell("settled, unasked",
                  [&] { scheduler_.settled(*who, ticket{1U << 30U}, event_time()); });
  }
}

void world::shut_down(model_pool& home) {
  const auto waiting = dice_.chance(0.5) ? schedule::pending::cancel : schedule::pending::run;
  std::optional<instant> kill_at;
  if (dice_.chance(0.5)) kill_at = now_ + microseconds(dice_.between(0, 5000));
  home.shut_down_asked = true;
  home.pending_dropped |= waiting == schedule::pending::cancel;
  if (kill_at) home.kill_at = std::min(home.kill_at, *kill_at);
  note("shut down", home.id);
  tell("shut_down", [&] { scheduler_.shut_down(home, waiting, kill_at, event_time()); });
}

// No faults from here on, but those under way come to their end. Then everybody has what the policy
// promises.
void world::calm_down() {
  faults_ = false;
  settle_everything();
  check_stopped();
  return_all_guards();
  settle_everything();
  for (const auto& home : pools_)
    check_restored(*home);
  for (int round = 0; !outstanding_.empty(); ++round) {
    require(round < 20, "G1: a job that is cancelled by force ends");
    for (job_record* const job : std::vector(outstanding_)) {
      if (!job->ended()) cancel(*job, cancel_mode::kill, duration::zero());
    }
    settle_everything();
  }
  for (const auto& home : pools_)
    check_restored(*home);
}

// Lets processes run and passes on their news until there is none, in spite of some seconds of
// waiting.
void world::settle_everything() {
  constexpr int busy_rounds = 20;
  constexpr int rounds = 100;
  for (int quiet = 0; quiet < rounds; ++quiet) {
    for (model_worker* const who : all_workers())
      worker_step(*who);
    if (deliver_everything()) quiet = 0;
    now_ += quiet < busy_rounds ? duration(microseconds(100)) : duration(milliseconds(50));
    fire_timers();
  }
}

bool world::deliver_everything() {
  bool news = false;
  for (const auto& home : pools_) {
    news |= home->life != guardian::none && home->life != guardian::alive;
    deliver_guardian_news(*home);
  }
  while (!settle_requests_.empty())
    deliver_settled(0);
  std::vector<int> ids;
  for (const model_worker* const who : all_workers())
    ids.push_back(who->id);
  for (const int id : ids) {
    if (model_worker* const who = find_worker(id); who != nullptr && who->ready_unread) {
      news = true;
      deliver_ready(*who);
    }
    if (model_worker* const who = find_worker(id);
        who != nullptr && !who->results.empty() && !who->unreadable) {
      news = true;
      deliver_results(*who, std::numeric_limits<std::size_t>::max());
    }
    if (model_worker* const who = find_worker(id); who != nullptr && who->life == process::dead) {
      news = true;
      deliver_death(*who);
    }
  }
  return news;
}

void world::end_all_pools() {
  for (const auto& home : pools_) {
    if (!home->shut_down_asked) shut_down(*home);
  }
  settle_everything();
}

void world::note(const char* what, std::int64_t who, std::int64_t which) {
  if (!tracing_) return;
  std::string line = std::to_string(now_.time_since_epoch().count()) + " " + what;
  if (who >= 0) line.append(1, ' ').append(std::to_string(who));
  if (which >= 0) line.append(1, ' ').append(std::to_string(which));
  trace_.push_back(std::move(line));
  if (trace_.size() > trace_lines) trace_.pop_front();
}

std::string world::picture() const {
  std::ostringstream out;
  for (const auto& home : pools_) {
    out << "pool " << home->id << ": phase " << static_cast<int>(home->phase) << " intake "
        << static_cast<int>(home->intake) << " closing " << home->closing << " queued "
        << home->jobs.size() << " in lanes " << home->in_lanes << " slots " << home->slots << " of "
        << home->policy.workers << " active " << home->active << " starting " << home->starting
        << " spares " << home->spares.size() << " of " << home->policy.spares << " used up "
        << home->used_up << " failures " << home->failures << " of "
        << home->policy.births_before_broken << " hold " << home->hold_restock << " depth "
        << home->lanes.value() << " levels " << home->jobs.levels_in_play() << " birth timer "
        << home->birth_timer.armed() << '\n';
    for (const auto& who : home->crew) {
      out << "  worker " << who->id << ": state " << static_cast<int>(who->state) << " life "
          << static_cast<int>(who->life) << " spare " << who->spare << " takes " << who->takes
          << " shelf " << static_cast<int>(who->shelf) << " full " << who->lane_full << " stalled "
          << who->stalled << " used " << who->used << " scribbled " << who->scribbled << " lane";
      for (const schedule::job* at = who->lane.front(); at != nullptr;
           at = schedule::job_list::after(*at)) {
        out << ' ' << static_cast<const model_job*>(at)->record->id
            << (at->state == schedule::job_state::running ? "r" : "");
      }
      out << '\n';
    }
  }
  return out.str();
}

// Threads read the clock before they have the lock.
instant world::event_time() {
  return dice_.chance(0.1) ? now_ - microseconds(dice_.between(0, 20)) : now_;
}

model_worker* world::find_worker(int id) {
  for (const auto& home : pools_) {
    for (const auto& who : home->crew) {
      if (who->id == id) return who.get();
    }
  }
  return nullptr;
}

std::vector<model_worker*> world::all_workers() {
  std::vector<model_worker*> all;
  for (const auto& home : pools_) {
    for (const auto& who : home->crew)
      all.push_back(who.get());
  }
  return all;
}

}  // namespace hardstop::simulation
