// Reading lanes: what workers wrote becomes events. Under the engine's lock, a bounded number at a
// time.
//
// Everything here is written by a process that may have gone wild (G12): the lane checks what it
// can by itself, the scheduler refuses an attempt that cannot end now, and arenas refuse ranges
// that cannot be theirs. Whatever fails, that worker is killed and nobody else notices.
#include <string>

#include "engine/engine.hpp"
#include "engine/scheduled.hpp"
#include "os/proc.hpp"
#include "wire/failure.hpp"

namespace hardstop::engine {

namespace {

// Reports read from one lane in one turn: bounds how long the lock is held (about 10 us).
constexpr std::size_t batch = 128;

// Lanes with more frames than this hold tiny jobs.
constexpr std::size_t deep_lane = 16;

}  // namespace

lanes_read engine::read_lanes() {
  turn now(*this);
  lanes_read found;
  std::size_t busy = 0;
  std::size_t outstanding = 0;
  for (const auto& home : pools_) {
    for (auto* node = home->workers.front(); node != nullptr;) {
      auto* next = schedule::sibling_list::after(*node);
      worker& at = ours(*node);
      if (at.channel && at.channel->signals().has_news()) {
        found.reports += read_lane(at, now.now(), batch);
      }
      if (!at.lane.empty()) ++busy;
      outstanding += at.lane.size();
      node = next;
    }
  }
  found.gathering = found.reports != 0 && outstanding > deep_lane * busy;
  return found;
}

std::size_t engine::read_lane(worker& at, schedule::instant now, std::size_t limit) {
  std::size_t reports = 0;
  std::size_t ends = 0;
  while (reports < limit && !at.wrote_garbage) {
    const wire::lane_report report = at.channel->read();
    if (report.status == wire::read_status::nothing) break;
    if (report.status == wire::read_status::corrupt) {
      corrupt(at, report.reason, now);
      break;
    }
    ++reports;
    const bool believable = read_report(at, report, now);
    at.channel->release();
    if (!believable) break;
    if (wire::is_end(report.kind)) ++ends;
  }
  if (reports == 0) return 0;
  touch(at);
  if (ends != 0) {
    at.last_end = now;
    scheduler_.lane_drained(at, ends, now);
  }
  return reports;
}

// False: it cannot be true, and the worker is being killed.
bool engine::read_report(worker& at, const wire::lane_report& report, schedule::instant now) {
  if (wire::is_of_worker(report.kind)) {
    worker_spoke(at, report, now);
    return true;
  }
  if (report.kind == wire::report_kind::progress) job_spoke(at, report);
  if (report.kind == wire::report_kind::query) job_asked(at, report, now);
  if (!wire::is_end(report.kind)) return true;

  std::unique_ptr<large_result> large;
  if (report.large_payload || !report.segments.empty()) {
    large = large_result::adopt(at.results, report.large_payload, report.segments);
    if (!large) {
      corrupt(at, "a result lies outside of its worker's memory", now);
      return false;
    }
  }
  current_ = {.at = &at, .report = &report, .gone = nullptr, .large = std::move(large), .now = now};
  const bool possible = scheduler_.finished(at, off_wire(report.ticket), now);
  current_ = {};
  if (!possible) corrupt(at, "an attempt ended that was not running", now);
  // Somebody waits for this worker's tree to end: nothing else may begin there.
  if (!at.held.empty()) scheduler_.recycle(at, now);
  return possible;
}

void engine::worker_spoke(worker& at, const wire::lane_report& report, schedule::instant now) {
  switch (report.kind) {
    case wire::report_kind::ready:
      at.ready = true;
      // Its lane may be quicker than its guardian's word: nothing is dispatched to a process
      // without a pidfd.
      if (at.process) worker_is_ready(at, now);
      break;
    case wire::report_kind::start_failed: {
      const auto failure = wire::decode_failure(report.payload);
      at.last_words = failure ? failure->type + ": " + failure->what
                              : std::string(reinterpret_cast<const char*>(report.payload.data()),
                                            report.payload.size());
      break;  // it exits, and the guardian tells
    }
    case wire::report_kind::recycle:
      scheduler_.recycle(at, now);
      break;
    default:
      break;
  }
}

// News of an attempt that does not run, or not any more, are nobody's.
void engine::job_spoke(worker& at, const wire::lane_report& report) {
  schedule::job* running = at.lane.front();
  if (running == nullptr || running->ticket != off_wire(report.ticket)) return;
  auto& extra = ours(*running).make_extra();
  extra.news.assign(report.payload.begin(), report.payload.end());
  if (extra.listener != nullptr && extra.listener->set_out()) {
    delivery_.run_later(extra.listener);
  }
}

void engine::worker_is_ready(worker& at, schedule::instant now) {
  pool& home = ours(*at.pool);
  if (++home.numbers.started == 1) news(home, event_kind::pool_started);
  begin_watching_memory(at);
  news(home, event_kind::worker_started, at.process.pid());
  scheduler_.worker_ready(at, now);
}

void engine::read_to_the_end(worker& at, schedule::instant now) {
  if (!at.channel) return;
  // A dead worker adds nothing; a living one at most what it had in hand. Bounded by the lane's
  // slots all the same.
  for (std::size_t rounds = 0; rounds < 4; ++rounds) {
    if (read_lane(at, now, wire::lane_slots * 2) == 0) return;
  }
}

void engine::corrupt(worker& at, std::string_view reason, schedule::instant now) {
  at.last_words = reason;
  scheduler_.corrupt(at, now);
}

}  // namespace hardstop::engine
