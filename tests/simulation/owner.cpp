// The stand-in for the engine: passes on what has happened, late and in any order that is possible.
#include <algorithm>
#include <utility>

#include "simulation/world.hpp"

namespace hardstop::simulation {

void world::deliver_something(model_worker& who) {
  if (who.life == process::dead && dice_.chance(0.3)) return deliver_death(who);
  if (who.ready_unread && dice_.chance(0.5)) return deliver_ready(who);
  if (!who.results.empty()) return deliver_results(who, dice_.between(1, 8));
}

void world::deliver_ready(model_worker& who) {
  who.ready_unread = false;
  note("ready", who.id);
  tell("worker_ready", [&] { scheduler_.worker_ready(who, event_time()); });
}

// Returns how many were finished; the caller reports the batch.
std::size_t world::read_lane(model_worker& who, std::size_t at_most) {
  std::size_t read = 0;
  in_batch_ = true;
  while (!who.unreadable && !who.results.empty() && read < at_most) {
    const published_result next = who.results.front();
    who.results.pop_front();
    note("read from", who.id);
    if (next.shields || next.unshields) {
      read_about_shields(who, next);
      continue;
    }
    if (next.asks || next.returns != nullptr) {
      read_about_permits(who, next);
      continue;
    }
    const bool in_turn = !who.lane.empty() && who.lane.front()->ticket == next.ticket;
    const bool possible = !next.garbage && tell("finished", [&] {
      return scheduler_.finished(who, next.ticket, event_time());
    });
    if (possible) {
      require(in_turn, "G12: results are accepted in the order of the lane");
      ++read;
      if (frame& at = *who.find(next.ticket); at.state == word::published) at.state = word::read;
      race(who);
      continue;
    }
    require(who.scribbled, "what an honest worker published is accepted");
    who.unreadable = true;
    tell("corrupt", [&] { scheduler_.corrupt(who, event_time()); });
  }
  in_batch_ = false;
  return read;
}

void world::read_about_shields(model_worker& who, const published_result& said) {
  const schedule::job* const front = who.lane.front();
  if (front == nullptr || front->ticket != said.ticket) return;
  job_record& job = *static_cast<const model_job*>(front)->record;
  const instant now = event_time();
  if (said.unshields) {
    job.shielded = false;
    job.shield_ends = instant::min();
    count("unshielded");
    return tell("unshield", [&] { scheduler_.unshield(who, said.ticket, now); });
  }
  if (!std::exchange(job.shielded, true) && job.grace_ends > now)
    job.shield_ends = now + said.longest;
  tell("shield", [&] { scheduler_.shield(who, said.ticket, said.longest, now); });
}

void world::deliver_results(model_worker& who, std::size_t at_most) {
  const std::size_t read = read_lane(who, at_most);
  if (dice_.chance(odds_.recycle)) {
    in_batch_ = true;
    recycle(who);
    in_batch_ = false;
  }
  std::optional<duration> busy;
  if (dice_.chance(0.3)) busy = std::chrono::nanoseconds(dice_.between(0, 400'000));
  note("drained", who.id);
  tell("lane_drained", [&] { scheduler_.lane_drained(who, read, event_time(), busy); });
}

void world::recycle(model_worker& who) {
  note("recycle", who.id);
  who.recycled |= who.state == schedule::worker_state::ready;
  tell("recycle", [&] { scheduler_.recycle(who, event_time()); });
}

void world::deliver_death(model_worker& who) {
  if (read_lane(who, std::numeric_limits<std::size_t>::max()) > 0 && dice_.chance(0.5)) {
    tell("lane_drained", [&] { scheduler_.lane_drained(who, 1, event_time()); });
  }
  schedule::death how;
  how.signal = who.signal;
  how.exit_code = who.exit_code;
  how.guardian_lost = who.swept;
  who.home->lost_heard |= who.swept;
  if (faults_ && dice_.chance(odds_.unconfirmed)) {
    how.unconfirmed_pid = who.id;
    for (const frame& at : who.lane_frames)
      at.record().unconfirmed = true;
  }
  note("gone", who.id);
  tell("worker_gone", [&] { scheduler_.worker_gone(who, how, event_time()); });
}

void world::deliver_guardian_news(model_pool& home) {
  switch (home.life) {
    case guardian::none:
      return;
    case guardian::birthing:
      if (faults_ && dice_.chance(odds_.birth_failure)) {
        home.life = guardian::none;
        note("birth failed", home.id);
        return tell("birth_failed",
                    [&] { scheduler_.birth_failed(home, "no memory", event_time()); });
      }
      if (faults_ && dice_.chance(odds_.birth_failure)) {
        home.life = guardian::dying;  // dead before it could say hello
        return;
      }
      home.life = guardian::alive;
      note("guardian up", home.id);
      return tell("guardian_up", [&] { scheduler_.guardian_up(home, event_time()); });
    case guardian::alive:
      if (!faults_ || !dice_.chance(odds_.guardian_death)) return;
      home.life = guardian::dying;  // does not answer: it is killed and its workers are swept
      for (const auto& who : home.crew)
        who->swept = true;
      [[fallthrough]];
    case guardian::dying:
      if (!home.lost_told && dice_.chance(0.7)) {
        home.lost_told = true;
        home.lost_heard = true;
        note("guardian lost", home.id);
        return tell("guardian_lost", [&] { scheduler_.guardian_lost(home, event_time()); });
      }
      if (!home.crew.empty()) return;
      [[fallthrough]];
    case guardian::leaving:
      home.life = guardian::none;
      note("guardian gone", home.id);
      return tell("guardian_gone", [&] { scheduler_.guardian_gone(home, event_time()); });
  }
}

void world::deliver_settled(std::size_t which) {
  const settle_request asked = settle_requests_[which];
  settle_requests_.erase(settle_requests_.begin() + static_cast<std::ptrdiff_t>(which));
  model_worker* const who = find_worker(asked.worker);
  if (who == nullptr) return;
  deliver_results(*who, std::numeric_limits<std::size_t>::max());
  note("settled", who->id);
  tell("settled", [&] { scheduler_.settled(*who, asked.witness, event_time()); });
}

void world::fire_timers() {
  const auto next = scheduler_.next_timer();
  if (!next || *next > now_) return;
  tell("time_reached", [&] { scheduler_.time_reached(now_); });
  check_deadlines();
}

}  // namespace hardstop::simulation
