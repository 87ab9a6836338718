// What the scheduler asks for is done to the model world, after a look at whether it may be asked
// for.
#include <algorithm>
#include <cstdio>
#include <utility>

#include "simulation/world.hpp"

namespace hardstop::simulation {

namespace {

model_worker& real(schedule::worker& who) {
  return static_cast<model_worker&>(who);
}

model_job& real(schedule::job& what) {
  return static_cast<model_job&>(what);
}

model_pool& real(schedule::pool& which) {
  return static_cast<model_pool&>(which);
}

}  // namespace

schedule::lane_answer world::dispatch(schedule::worker& to, schedule::job& what) {
  model_worker& who = real(to);
  job_record& job = *real(what).record;
  race(who);
  require(!job.ended(), "nothing is dispatched after its end");
  require(!job.cancelled_running, "G8: who was cancelled is not tried again");
  require(who.home == job.pool, "a job runs in its own pool");
  require(who.state == schedule::worker_state::ready && !who.spare, "only active workers get jobs");
  require(!who.killed && !who.asked_to_leave,
          "a worker that was killed or retired gets nothing more");
  require(!who.recycled, "a worker that is to be replaced gets nothing more");
  require(who.lane.empty() || !who.lane.back()->seals_lane,
          "nothing is put behind a job that seals its lane");
  require(!who.home->lost_heard, "nothing is dispatched once the guardian is known to be lost");
  require(what.ticket != ticket::none, "an attempt has a ticket");
  const std::uint64_t quota = who.home->policy.max_jobs_per_worker;
  require(quota == 0 || who.used < quota, "no worker gets more jobs than its quota");
  who.free_places();
  if (who.lane_frames.size() >= who.capacity || (faults_ && dice_.chance(odds_.lane_full))) {
    note("  lane full", who.id, job.id);
    return schedule::lane_answer::full;
  }
  note("  dispatch to, job", who.id, job.id);
  for (const attempt_record& before : job.attempts)
    require(before.ticket < what.ticket, "tickets are fresh");
  job.attempts.push_back({.ticket = what.ticket, .worker = who.id});
  job.tainted |= who.scribbled;
  job.shielded = false;
  job.shield_ends = instant::min();
  who.lane_frames.push_back(
      {.job = &job, .attempt = job.attempts.size() - 1, .ticket = what.ticket});
  return schedule::lane_answer::accepted;
}

schedule::take_back_answer world::take_back(schedule::worker& from, schedule::job& what) {
  model_worker& who = real(from);
  race(who);
  frame* const at = who.find(what.ticket);
  require(at != nullptr && at->job == real(what).record, "only what was dispatched is taken back");
  require(!at->job->ended(), "nothing is taken back after its end");
  if (at->state != word::waiting) {
    note("  too late to take back from, job", who.id, at->job->id);
    count("too late to take back");
    return schedule::take_back_answer::already_claimed;
  }
  at->state = word::revoked;
  count("taken back");
  note("  take back from, job", who.id, at->job->id);
  return schedule::take_back_answer::taken;
}

std::optional<instant> world::claimed_at(schedule::worker& by, schedule::job& what, instant now) {
  model_worker& who = real(by);
  race(who);
  const frame* const at = who.find(what.ticket);
  require(at != nullptr && at->job == real(what).record,
          "only a dispatched attempt is asked about");
  if (at->state == word::waiting || at->state == word::revoked) return std::nullopt;
  return std::min(at->stamp, now);
}

void world::ask(schedule::worker& by, schedule::job& what) {
  const frame* const at = real(by).find(what.ticket);
  require(at != nullptr && at->job == real(what).record,
          "only a dispatched attempt is asked to stop");
  require(at->state != word::revoked, "an attempt that was taken back is not asked to stop");
  require(at->job->cancel_accepted, "nobody is asked to stop whom nobody cancelled");
  note("  ask", real(by).id, at->job->id);
}

void world::settle(schedule::worker& by, ticket witness) {
  model_worker& who = real(by);
  const frame* const at = who.find(witness);
  require(at != nullptr &&
              (at->state == word::claimed || at->state == word::published || who.scribbled),
          "a witness was claimed");
  note("  settle", who.id);
  count("settle");
  settle_requests_.push_back({who.id, witness});
}

void world::kill(schedule::worker& by) {
  model_worker& who = real(by);
  race(who);
  note("  kill", who.id);
  require(!who.killed, "nobody is killed twice");
  check_kill(who);
  static constexpr const char* reasons[] = {"",
                                            "killed by cancel",
                                            "killed by deadline",
                                            "killed for memory",
                                            "killed by shutdown",
                                            "killed for garbage",
                                            "killed while retiring",
                                            "killed while starting"};
  count(reasons[static_cast<std::size_t>(who.stopping)]);
  who.killed = true;
}

void world::retire(schedule::worker& by) {
  model_worker& who = real(by);
  race(who);
  note("  retire", who.id);
  require(who.lane.empty(), "only a worker without jobs is retired");
  require(!who.killed && !who.asked_to_leave, "nobody is asked to leave twice");
  who.asked_to_leave = true;
}

schedule::worker& world::spawn(schedule::pool& in) {
  model_pool& home = real(in);
  require(home.phase == schedule::guardian_phase::up,
          "workers are asked of a living guardian only");
  require(!home.lost_heard, "nobody is asked of a guardian that is known to be lost");
  auto fresh = std::make_unique<model_worker>();
  fresh->id = ++last_worker_;
  fresh->home = &home;
  fresh->capacity = dice_.between(2, 40);
  fresh->swept = home.life != guardian::alive;
  fresh->hangs = faults_ && dice_.chance(odds_.hang);
  note("  spawn", fresh->id);
  home.crew.push_back(std::move(fresh));
  return *home.crew.back();
}

void world::discard(schedule::worker& by) {
  model_worker& who = real(by);
  note("  discard", who.id);
  require(who.life == process::dead, "only the dead are discarded");
  require(who.lane.empty(), "no job is left in a discarded lane");
  require(!who.armed(), "a discarded worker has no timer");
  auto& crew = who.home->crew;
  crew.erase(
      std::find_if(crew.begin(), crew.end(), [&](const auto& each) { return each.get() == &who; }));
}

void world::complete(schedule::job& what, schedule::ending how) {
  job_record& job = *real(what).record;
  note("  complete as, job", static_cast<int>(how.kind), job.id);
  require(what.state == schedule::job_state::ended, "a completed job knows that it has ended");
  require(!what.armed(), "a completed job has no timer");
  check_ending(job, how);
  static constexpr const char* kinds[] = {"finished",    "cancelled",    "timed out",
                                          "worker died", "memory limit", "not started"};
  count(kinds[static_cast<std::size_t>(how.kind)]);
  if (how.kind == schedule::end_kind::finished && job.kill_asked) count("finished before the kill");
  if (how.why == schedule::why_not_started::pool_broken) count("pool broken");
  if (how.worker_death && how.worker_death->unconfirmed_pid != 0) count("unconfirmed");
  if (how.worker_death && how.worker_death->guardian_lost) count("died with the guardian");
  if (job.begun() > 1) count("ran again");
  ++job.endings;
  job.how = std::move(how);
  std::erase(outstanding_, &job);
  if (dice_.chance(0.2)) {
    ended_kept_.push_back(&job);
  } else {
    job.node.reset();
  }
}

void world::birth(schedule::pool& in) {
  model_pool& home = real(in);
  note("  birth", home.id);
  require(home.life == guardian::none, "one guardian at a time");
  require(home.crew.empty(), "a guardian is born when nothing of the last one is left");
  home.life = guardian::birthing;
  home.lost_told = false;
  home.lost_heard = false;
}

void world::dismiss(schedule::pool& in) {
  model_pool& home = real(in);
  note("  dismiss", home.id);
  require(home.shut_down_asked, "only a pool that was shut down is dismissed");
  require(home.crew.empty(), "a guardian is dismissed when no worker is left");
  require(home.jobs.outstanding() == 0, "a guardian is dismissed when no job is left");
  if (home.life == guardian::alive) home.life = guardian::leaving;
}

void world::closed(schedule::pool& in) {
  model_pool& home = real(in);
  note("  closed", home.id);
  require(!home.closed_told, "a pool ends once");
  require(home.shut_down_asked && home.crew.empty() && home.life == guardian::none,
          "a closed pool has neither workers nor a guardian");
  require(home.jobs.outstanding() == 0, "a closed pool has no job");
  home.closed_told = true;
}

}  // namespace hardstop::simulation
