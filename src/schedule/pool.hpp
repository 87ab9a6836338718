// Workers and pools, as plain data that the scheduler keeps and its owner may read.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "schedule/model.hpp"
#include "schedule/queue.hpp"

namespace hardstop::schedule {

enum class worker_state : std::uint8_t {
  starting,  // spawn was asked for
  ready,     // takes jobs, or is a spare
  retiring,  // takes nothing more, has nothing, leaves by itself
  stopping,  // SIGKILL was sent, or its guardian is lost; waits for the word that the tree is gone
  gone,
};

// Its timer is its one alarm: time limit for starting or retiring.
struct worker : timer {
  worker() : timer(timer_kind::worker) {}

  worker_state state = worker_state::starting;
  stop_reason stopping = stop_reason::none;
  bool spare = false;        // ready and warm, but not one of the pool's slots
  bool lane_full = false;    // its lane had no room; nothing is tried until it drained
  bool wrote_garbage = false;
  bool proved = false;       // it claimed a job: the worker itself starts well
  bool guardian_lost = false;
  std::uint8_t shelf = 0;    // where it stands among those that take jobs (shelves.hpp)
  schedule::pool* pool = nullptr;
  job_list lane;             // in order of dispatch; the front one runs, or has finished unread
  std::uint64_t used = 0;    // jobs dispatched to it in its life, those taken back not counted
  instant moved_at{};        // when its lane last got its first job or was drained
  instant idle_since{};
  worker* prev = nullptr;    // on its shelf, or among the spares
  worker* next = nullptr;
  worker* sibling_prev = nullptr;  // among all of the pool
  worker* sibling_next = nullptr;
};

using worker_list = list<worker, &worker::prev, &worker::next>;
using sibling_list = list<worker, &worker::sibling_prev, &worker::sibling_next>;

struct pool_policy {
  std::size_t workers = 1;                // at most this many attempts at a time
  std::size_t spares = 1;                 // warm workers beyond that
  std::size_t min_workers = 0;            // kept alive when idle_timeout passes, spares counted
  duration idle_timeout = forever;        // an idle worker beyond min_workers leaves after this
  std::uint64_t max_jobs_per_worker = 0;  // 0: no limit
  duration start_timeout = std::chrono::seconds(60);
  duration retire_timeout = std::chrono::seconds(5);
  std::size_t max_lane_depth = 256;  // frames in one lane; the measured job time decides below that
  unsigned births_before_broken = 5;  // failures in a row with no live worker
};

// The pool's guardian, seen from here.
enum class guardian_phase : std::uint8_t {
  unborn,      // none: not needed yet, or gone
  being_born,  // birth was asked for
  up,
  lost,        // dead or unresponsive; what is left of it is being swept
  dismissed,   // told to leave at the end of shutdown
  closed,      // and gone: the pool has ended
};

enum class intake : std::uint8_t { open, shut_down, broken };

struct pool_counters {
  std::array<std::uint64_t, end_kinds> ended{};  // by end_kind
  std::uint64_t submitted = 0;
  std::uint64_t kills = 0;      // SIGKILLs asked for
  std::uint64_t spawns = 0;     // workers asked for
  std::uint64_t respawns = 0;   // of them, to replace one that died or was killed
  std::uint64_t births = 0;     // guardians asked for
  std::uint64_t retried = 0;    // attempts given up and queued again with a retry
  std::uint64_t taken_back = 0; // frames revoked before they were claimed
};

// A moment's picture, for statistics.
struct pool_picture {
  std::size_t queued = 0;
  std::size_t in_lanes = 0;  // dispatched and not ended, running ones included
  std::size_t running = 0;   // workers with something to do, stopping ones included
  std::size_t starting = 0;
  std::size_t idle = 0;      // ready, without a job, spares not counted
  std::size_t spares = 0;
  std::size_t retiring = 0;
  std::size_t stopping = 0;
  std::size_t lane_depth = 0;
  duration job_time{};       // smoothed; zero if unknown
};

struct pool_timer : timer {
  pool_timer(timer_kind what, pool& whose) : timer(what), owner(&whose) {}

  pool* owner;
};

// Workers that take jobs, by how full their lanes are: shelf 0 idle, shelf s >= 1 with 2^(s-1) … 2^s - 1 jobs. Who
// cannot take any now (lane full, quota used up) stands on the shelf `none`.
struct shelves {
  static constexpr std::uint8_t none = 0xff;

  std::array<worker_list, 32> list;
  std::uint32_t occupied = 0;  // bit s: shelf s has somebody
};

struct pool {
  pool() = default;
  pool(const pool&) = delete;
  pool& operator=(const pool&) = delete;

  pool_policy policy;
  guardian_phase phase = guardian_phase::unborn;
  schedule::intake intake = schedule::intake::open;
  std::string broken_reason;

  job_queue jobs;
  sibling_list workers;  // all that are not gone
  shelves taking;        // the active ones
  worker_list spares;    // ready
  std::size_t slots = 0;     // active workers wanted now: grows with demand, shrinks with idleness
  std::size_t active = 0;    // ready and not spare
  std::size_t starting = 0;
  std::size_t used_up = 0;   // active ones whose quota is dispatched: replacements are started ahead
  std::size_t in_lanes = 0;  // jobs in lanes of active ones
  std::size_t lost_workers = 0;  // gone unexpectedly and not replaced yet, for counting respawns

  duration job_time{};  // smoothed; zero: unknown
  std::size_t depth = 2;

  unsigned failures = 0;      // workers or guardians in a row that came to nothing
  bool worked = false;        // something was claimed since the guardian was born
  bool hold_restock = false;  // the last failure found no job waiting: no replacement until one does
  bool drop_pending = false;  // shutting down, and what has not started is not to start
  bool kill_all = false;      // the time limit for shutting down has passed
  std::string last_failure;
  instant births_resume{};    // back-off: nothing is started before

  pool_timer birth_timer{timer_kind::pool_birth, *this};
  pool_timer idle_timer{timer_kind::pool_idle, *this};
  pool_timer shutdown_timer{timer_kind::pool_shutdown, *this};

  pool_counters counters;
};

}  // namespace hardstop::schedule
