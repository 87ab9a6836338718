// What the scheduler decided, done: frames, signals, messages. Under the engine's lock; whatever is
// slow goes to the outbox.
#include <algorithm>
#include <csignal>
#include <iterator>

#include "engine/engine.hpp"
#include "engine/scheduled.hpp"
#include "os/proc.hpp"

namespace hardstop::engine {

namespace {

// Of jobs that follow one another in a lane one in so many is timed, for the histogram: a stamp
// costs the worker a look at the clock.
constexpr std::uint64_t timed_share = 64;

// Deadlines enforced later than this are news: the machine is overloaded, or the client was
// stopped.
constexpr auto worth_telling = std::chrono::milliseconds(10);

// How long chores wait for the account of a kill, which takes a tenth of that; and how long for the
// threads that the account wakes.
constexpr auto most_postponed = std::chrono::milliseconds(2);
constexpr auto moment_for_waiters = std::chrono::microseconds(300);

// Whether the worker's tree is more than itself. Unknown counts as yes.
bool has_children(const worker& at) {
  std::vector<pid_t> children;
  return !os::append_children(at.process.pid(), children) || !children.empty();
}

wire::job_frame frame_of(job& which, const worker& at) {
  wire::job_frame frame;
  frame.ticket = on_wire(which.ticket);
  frame.function = which.function;
  // What the runtime is told beside the job: which attempt it is, from 1.
  frame.runtime_flags = static_cast<std::uint8_t>(std::min<int>(which.attempt, 255));
  which.stamped =
      which.timeout != schedule::forever || at.lane.empty() || which.order % timed_share == 0;
  frame.stamp = which.stamped ? wire::claim_stamp::on : wire::claim_stamp::off;
  frame.payload = which.bytes.view();
  if (which.extra() != nullptr && which.extra()->large_in) {
    const large_arguments& large = *which.extra()->large_in;
    if (large.payload) {
      frame.payload = {};
      frame.large_payload = large.payload->place();
    }
    frame.segments = large.places;
  }
  return frame;
}

}  // namespace

schedule::lane_answer engine::dispatch(schedule::worker& to, schedule::job& what) {
  worker& at = ours(to);
  job& which = ours(what);
  const auto slot = at.channel->put(frame_of(which, at));
  if (!slot) return schedule::lane_answer::full;
  which.slot = *slot;
  which.pid = at.process.pid();
  touch(at);
  pool& home = ours(*at.pool);
  if (home.waiting_for_room.load(std::memory_order_relaxed) != 0) make_room(home);
  if (which.max_memory() != 0) memory_watched_ = true;
  return schedule::lane_answer::accepted;
}

schedule::take_back_answer engine::take_back(schedule::worker& from, schedule::job& what) {
  job& which = ours(what);
  const auto answer = ours(from).channel->take_back(which.slot, on_wire(which.ticket));
  if (answer == wire::take_back_answer::already_claimed)
    return schedule::take_back_answer::already_claimed;
  which.pid = 0;
  return schedule::take_back_answer::taken;
}

std::optional<schedule::instant> engine::claimed_at(schedule::worker& at, schedule::job& what,
                                                    schedule::instant now) {
  const job& which = ours(what);
  const wire::claim_info claim = ours(at).channel->claimed(which.slot, on_wire(which.ticket));
  if (!claim.claimed) return std::nullopt;
  if (!claim.stamp) return now;
  // Written by the worker: true only within what is possible (G12).
  return std::clamp(os::from_nanoseconds(*claim.stamp), which.dispatched_at,
                    std::max(now, which.dispatched_at));
}

void engine::ask(schedule::worker& at, schedule::job& what) {
  ours(at).channel->ask(on_wire(what.ticket));
}

void engine::settle(schedule::worker& at, schedule::ticket witness) {
  outbox_.to_settle.emplace_back(&ours(at), witness);
}

void engine::kill(schedule::worker& at) {
  worker& victim = ours(at);
  victim.killed = true;
  victim.killed_at = os::now();
  if (!ask_where_it_is(victim, front_of(victim))) strike(victim);
}

void engine::strike(worker& victim) {
  // Through the pidfd and at once: the guardian would add its own wake-up. ESRCH means that it is
  // dead already.
  if (victim.process) static_cast<void>(victim.process.send_signal(SIGKILL));
  pool& home = ours(*victim.pool);
  if (const job* front = front_of(victim);
      front != nullptr && front->stopping == schedule::stop_reason::deadline) {
    const nanoseconds late = os::now() - schedule::later(front->started_at, front->timeout);
    home.numbers.deadline_late.record(late);
    if (late > worth_telling) {
      news(home, event_kind::job_late, victim.process.pid(),
           std::string(front->name()) + ": " + to_string(late));
    }
  }
  // Without a process yet: it is killed when the guardian tells of it (on_spawned).
  if (!home.line || !victim.asked_for) return;
  send(*home.line, wire::kill{victim.id});
  victim.awaited = true;
  ++home.dying;
  home.chores.resume_at = victim.killed_at + most_postponed;
}

void engine::retire(schedule::worker& at) {
  worker& leaving = ours(at);
  leaving.exit_asked = true;
  pool& home = ours(*at.pool);
  const std::uint64_t quota = home.options.max_jobs_per_worker;
  if (at.leaving || (quota != 0 && at.used >= quota)) ++home.numbers.recycled;
  if (!leaving.channel) return;  // its memory is being made; see spawn_wanted()
  leaving.channel->request_exit();
  touch(leaving);
}

schedule::worker& engine::spawn(schedule::pool& whose) {
  pool& home = ours(whose);
  auto fresh = std::make_unique<worker>();
  worker& born = *fresh;
  born.id = wire::worker_id{++last_worker_};
  home.members.emplace(last_worker_, std::move(fresh));
  if (postpones_chores(home, os::now())) {
    home.chores.births.push_back(born.id);
    chores_postponed_ = true;
    if (home.dying == 0) control_.resume_chores_at(home.chores.resume_at);
  } else {
    outbox_.to_spawn.emplace_back(home.shared_from_this(), born.id);
  }
  return born;
}

void engine::discard(schedule::worker& at) {
  worker& gone = ours(at);
  if (gone.results) gone.results->worker_gone();
  for (job* finished : gone.held)
    announce(*finished);
  std::erase(outbox_.touched, &gone);
  std::erase(asked_, &gone);
  std::erase_if(outbox_.to_settle, [&](const auto& entry) { return entry.first == &gone; });
  pool& home = ours(*at.pool);
  const bool awaited = gone.awaited;
  auto place = home.members.find(static_cast<std::uint64_t>(gone.id));
  (awaited ? home.chores.graveyard : outbox_.graveyard).push_back(std::move(place->second));
  home.members.erase(place);
  lanes_version_.fetch_add(1, std::memory_order_release);
  if (!awaited) return;
  chores_postponed_ = true;
  if (--home.dying != 0) return;
  home.chores.resume_at = os::now() + moment_for_waiters;
  control_.resume_chores_at(home.chores.resume_at);
}

// Whoever waits for a job that was killed waits for its guardian's account, and chores would be in
// its way: a birth means some hundred microseconds of making memory and of forking, in the one
// thread that tells and the one that buries, and of starting, on a CPU on which the victim may
// still have to die; to unmap what a dead worker shared takes some tens. Nor is the account the end
// of it: a thread that was woken waits for the CPU of whoever woke it, even if another one is idle.
// So chores wait until the dead are accounted for, and a moment more.
//
// They do not wait when somebody waits for them: a job in the queue, for which there was no spare.
// And not for long: a tree that takes its time is not to leave the pool without its spare. No timer
// is set for that, which would wake a thread for each kill: the next turn sees it, and the watch
// over a guardian that owes an answer takes one after 200 ms.
bool engine::postpones_chores(const pool& home, schedule::instant now) {
  return now < home.chores.resume_at && home.jobs.empty();
}

// At the end of a turn.
void engine::resume_chores(schedule::instant now) {
  chores_postponed_ = false;
  for (const auto& home : pools_) {
    auto& chores = home->chores;
    if (chores.births.empty() && chores.graveyard.empty()) continue;
    if (postpones_chores(*home, now)) {
      chores_postponed_ = true;
      continue;
    }
    for (const wire::worker_id id : chores.births)
      outbox_.to_spawn.emplace_back(home, id);
    chores.births.clear();
    std::ranges::move(chores.graveyard, std::back_inserter(outbox_.graveyard));
    chores.graveyard.clear();
  }
}

void engine::chores_due() {
  const turn now(*this);  // whose end resumes them
}

void engine::complete(schedule::job& what, schedule::ending how) {
  job& which = ours(what);
  if (how.kind == schedule::end_kind::finished) {
    which.cancel_came_late = how.cancel_was_requested;
    take_result(which);
  } else {
    describe_end(which, how);
  }
  count_end(which);
  const bool held = which.leftovers == leftovers::kill &&
                    how.kind == schedule::end_kind::finished && !current_.at->killed &&
                    has_children(*current_.at);
  if (held) {
    current_.at->held.push_back(&which);
  } else {
    announce(which);
  }
  pool& home = ours(*what.pool);
  if (home.waiting_for_room.load(std::memory_order_relaxed) != 0) make_room(home);
}

// Its end is published when the turn ends.
void engine::announce(job& which) {
  which.next = nullptr;
  (outbox_.ended_last != nullptr ? outbox_.ended_last->next : outbox_.ended_first) = &which;
  outbox_.ended_last = &which;
}

void engine::birth(schedule::pool& whose) {
  outbox_.to_birth.push_back(ours(whose).shared_from_this());
}

void engine::dismiss(schedule::pool& whose) {
  pool& home = ours(whose);
  if (!home.line) return;
  home.line->dismissed = true;
  send(*home.line, wire::dismiss{});
}

void engine::closed(schedule::pool& whose) {
  outbox_.closed.push_back(ours(whose).shared_from_this());
}

void engine::touch(worker& at) {
  if (at.touched) return;
  at.touched = true;
  outbox_.touched.push_back(&at);
}

void engine::make_room(pool& home) {
  home.room.fetch_add(1, std::memory_order_release);
  os::futex_wake(home.room, os::futex_scope::process);
}

}  // namespace hardstop::engine
