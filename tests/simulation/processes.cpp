// What really happens: processes begin, work, crash and scribble, whatever anybody has been told.
#include <algorithm>
#include <csignal>

#include "simulation/world.hpp"

namespace hardstop::simulation {

void world::worker_step(model_worker& who) {
  if (who.life == process::dead) return;
  if (who.killed && dice_.chance(0.5)) return die(who, SIGKILL, 0);
  if (who.swept && dice_.chance(0.3)) return die(who, SIGKILL, 0);
  if (who.life == process::booting) return boot_step(who);
  if (who.running != nullptr) return job_step(who);
  claim_step(who);
}

void world::boot_step(model_worker& who) {
  if (who.home->cursed || (faults_ && dice_.chance(odds_.boot_failure))) return die(who, 0, 3);
  if (who.hangs || !dice_.chance(0.5)) return;
  who.life = process::alive;
  who.ready_unread = true;
}

void world::job_step(model_worker& who) {
  if (faults_ && dice_.chance(odds_.crash)) return die(who, SIGSEGV, 0);
  if (faults_ && dice_.chance(odds_.asks)) report_about_permits(who);
  if (faults_ && dice_.chance(odds_.shields)) {
    const bool begins = dice_.chance(0.5);
    who.results.push_back({.ticket = who.running->ticket,
                           .shields = begins,
                           .longest = std::chrono::microseconds(dice_.between(0, 20'000)),
                           .unshields = !begins});
  }
  const job_record& job = *who.running->job;
  const bool scribbles = job.kind == nature::scribbling && (!who.scribbled || dice_.chance(0.1));
  switch (job.kind == nature::scribbling && !scribbles ? job.afterwards : job.kind) {
    case nature::endless:
      return;
    case nature::crashing:
      return die(who, SIGABRT, 0);
    case nature::scribbling:
      return scribble(who);
    case nature::honest:
      if (dice_.chance(odds_.publish)) publish(who);
      return;
  }
}

void world::publish(model_worker& who) {
  frame& at = *who.running;
  at.record().published = true;
  at.state = word::published;
  who.results.push_back({.ticket = at.ticket});
  who.running = nullptr;
}

void world::claim_step(model_worker& who) {
  if (faults_ && dice_.chance(odds_.idle_crash)) return die(who, SIGTERM, 0);
  for (frame& at : who.lane_frames) {
    if (at.state != word::waiting) continue;
    at.state = word::claimed;
    at.stamp = now_;
    check_begin(who, at);
    at.record().began = true;
    at.record().began_at = now_;
    who.running = &at;
    note("    begins", who.id, at.job->id);
    return;
  }
  if (who.asked_to_leave && faults_ && dice_.chance(odds_.hang)) who.hangs = true;
  if (who.asked_to_leave && !who.hangs && dice_.chance(0.5)) die(who, 0, 0);
}

// A job may write anything into its lane (G12).
void world::scribble(model_worker& who) {
  who.scribbled = true;
  for (const frame& at : who.lane_frames)
    at.job->tainted = true;
  note("    scribbles", who.id, who.running->job->id);
  const ticket own = who.running->ticket;
  switch (dice_.between(0, 6)) {
    case 0:
      who.results.push_back({.garbage = true});
      return;
    case 1:  // marks others as begun
      for (frame& at : who.lane_frames) {
        if (at.state == word::waiting && dice_.chance(0.5)) {
          at.state = word::claimed;
          at.stamp = now_ + std::chrono::seconds(dice_.between(0, 2));
        }
      }
      return;
    case 2:  // makes up a result for one that has not begun
      for (const frame& at : who.lane_frames) {
        if (at.state == word::waiting) return who.results.push_back({.ticket = at.ticket});
      }
      return;
    case 3:  // makes results vanish
      who.results.clear();
      return;
    case 4:
      who.results.push_back(
          {.ticket = ticket{static_cast<std::uint64_t>(own) - dice_.between(0, 3)}});
      return;
    case 5:  // pretends not to have begun
      who.running->state = word::waiting;
      return;
    default:
      if (!who.results.empty()) who.results.push_back(who.results.back());
      return;
  }
}

void world::die(model_worker& who, int signal, int exit_code) {
  note("    dies", who.id);
  who.life = process::dead;
  who.signal = signal;
  who.exit_code = exit_code;
  if (who.running != nullptr) who.running->record().died = true;
  who.running = nullptr;
}

void world::guardian_step(model_pool& home) {
  if (home.life != guardian::alive || !faults_ || !dice_.chance(odds_.guardian_death)) return;
  note("    guardian dies", home.id);
  home.life = guardian::dying;
  for (const auto& who : home.crew)
    who->swept = true;
}

// In the middle of a scheduler event the worker goes on with what it does.
void world::race(model_worker& who) {
  while (dice_.chance(odds_.race))
    worker_step(who);
}

}  // namespace hardstop::simulation
