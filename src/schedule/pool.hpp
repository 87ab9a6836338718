// A pool, as plain data that the scheduler keeps and its owner may read.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "schedule/depth.hpp"
#include "schedule/model.hpp"
#include "schedule/queue.hpp"
#include "schedule/shelves.hpp"
#include "schedule/worker.hpp"

namespace hardstop::schedule {

struct pool_policy {
  std::size_t workers = 1;                // at most this many attempts at a time
  std::size_t spares = 1;                 // warm workers beyond that
  std::size_t min_workers = 0;            // kept alive when idle_timeout passes, spares counted
  duration idle_timeout = forever;        // an idle worker beyond min_workers leaves after this
  std::uint64_t max_jobs_per_worker = 0;  // 0: no limit
  duration start_timeout = std::chrono::seconds(60);
  duration retire_timeout = std::chrono::seconds(5);
  std::size_t max_lane_depth = 256;  // frames in one lane; the measured job time decides below that
  // How long before its deadline an attempt is stopped, since the owner has something to do first
  // and then kills on time. A time limit that is not some times as long gets none.
  duration notice{0};
  // Failures in a row with no live worker; three times as many if most were SIGKILLs from outside,
  // which say little about the next start.
  unsigned births_before_broken = 5;
};

// The pool's guardian, seen from here.
enum class guardian_phase : std::uint8_t {
  unborn,      // none: not needed yet, or gone
  being_born,  // birth was asked for
  up,
  lost,       // dead or unresponsive; what is left of it is being swept
  dismissed,  // told to leave at the end of shutdown
  closed,     // and gone: the pool has ended
};

enum class intake : std::uint8_t { open, shut_down, broken };

struct pool_counters {
  std::array<std::uint64_t, end_kinds> ended{};  // by end_kind
  std::uint64_t submitted = 0;
  std::uint64_t kills = 0;       // SIGKILLs asked for
  std::uint64_t spawns = 0;      // workers asked for
  std::uint64_t respawns = 0;    // of them, to replace one that died or was killed
  std::uint64_t births = 0;      // guardians asked for
  std::uint64_t retried = 0;     // attempts that died and were queued again
  std::uint64_t shields = 0;     // sections that cancels waited for, or would have
  duration shielded{};           // time spent in them
  std::uint64_t taken_back = 0;  // frames revoked before they were claimed
};

// A moment's picture, for statistics.
struct pool_picture {
  std::size_t queued = 0;
  std::size_t in_lanes = 0;  // dispatched and not ended, running ones included
  std::size_t running = 0;   // workers with something to do, stopping ones included
  std::size_t starting = 0;
  std::size_t idle = 0;  // ready, without a job, spares not counted
  std::size_t spares = 0;
  std::size_t retiring = 0;
  std::size_t stopping = 0;
  std::size_t lane_depth = 0;
  duration job_time{};  // smoothed; zero if unknown
};

struct pool_timer : timer {
  pool_timer(timer_kind what, pool& whose) : timer(what), owner(&whose) {}

  pool* owner;
};

struct pool {
  pool() = default;
  pool(const pool&) = delete;
  pool& operator=(const pool&) = delete;

  pool_policy policy;
  guardian_phase phase = guardian_phase::unborn;
  schedule::intake intake = schedule::intake::open;
  std::string broken_reason;
  bool closing = false;       // shut_down() was called
  bool drop_pending = false;  // and what has not started is not to start
  bool kill_all = false;      // and its time limit has passed

  job_queue jobs;
  job_list without_permits;  // queued, but what they need is not there: not among the above
  bool called_up = false;    // some of those have come to the queue in this event
  std::size_t in_lanes = 0;  // jobs in lanes of active workers

  // Workers. Active: ready, and not a spare.
  sibling_list workers;  // all that are not gone
  shelves taking;        // active ones that take jobs
  shelves resting;       // active ones that cannot take any now
  worker_list spares;
  std::size_t slots = 0;  // active workers wanted: grows with demand, shrinks with idleness
  std::size_t active = 0;
  std::size_t starting = 0;
  std::size_t used_up = 0;  // active ones whose replacements are started ahead
  std::size_t missing = 0;  // died or killed, and not replaced yet

  lane_depth lanes;

  unsigned failures = 0;      // workers or guardians in a row that came to nothing
  unsigned own_failures = 0;  // of them, not killed from outside
  bool worked = false;        // something was claimed since the guardian was born
  bool hold_restock = false;  // the last failure found no job waiting: no new try until one does
  std::string last_failure;
  instant births_resume = instant::min();  // back-off: nothing is started before

  pool_timer birth_timer{timer_kind::pool_birth, *this};
  pool_timer idle_timer{timer_kind::pool_idle, *this};
  pool_timer shutdown_timer{timer_kind::pool_shutdown, *this};

  pool_counters counters;
};

}  // namespace hardstop::schedule
