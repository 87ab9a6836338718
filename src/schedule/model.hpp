// What the scheduler reasons about: a job and the ways it can end, as plain data. Workers and
// pools: pool.hpp.
//
// Nothing here owns a descriptor, reads a clock or takes a lock. The engine derives its own job,
// worker and pool objects from these nodes, so that one allocation serves both and the hot path
// needs no table look-up; a simulation derives model objects from the same nodes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "schedule/list.hpp"
#include "schedule/timer.hpp"

namespace hardstop::schedule {

// Names one attempt of one job, unique in the life of the engine. A frame, a result and a kill all
// carry it, so that nothing meant for one attempt can touch another (G3). 62 bits: two are needed
// for a frame's state.
enum class ticket : std::uint64_t { none = 0 };

enum class job_state : std::uint8_t {
  fresh,    // known to nobody yet
  queued,   // accepted, waits in its pool's queue
  in_lane,  // its frame waits in a worker's lane, or runs without our having seen it yet
  running,  // seen running: a claim was observed; never goes back to queued within this attempt
  ended,    // complete() was called; the scheduler holds no reference any more
};

// How a job came to an end. One of these is given to effects::complete for each job, exactly once
// (G1).
enum class end_kind : std::uint8_t {
  finished,   // the worker published a complete result: a value or an exception; the bytes tell
              // which
  cancelled,  // by its caller or by shutdown; `started` tells whether it ever ran
  timed_out,
  worker_died,
  memory_limit,
  not_started,  // shutdown, pool broken, no worker could start; `why` tells
};

inline constexpr std::size_t end_kinds = 6;

enum class stop_reason : std::uint8_t {
  none,
  cancel,         // its caller asked
  deadline,       // its own time limit
  memory,         // its own memory limit
  shutdown,       // the pool's time limit for shutting down
  garbage,        // its worker wrote something that cannot be true (G12)
  retire,         // nothing ran: the worker did not leave in time when asked to
  start_timeout,  // nothing ran: the worker did not get ready in time
};

enum class why_not_started : std::uint8_t { none, shutdown, pool_broken };

// What the guardian tells of a process that is gone.
struct death {
  int exit_code = -1;  // valid if signal == 0
  int signal = 0;      // 0: exited by itself
  bool core_dumped = false;
  std::chrono::microseconds cpu_time{0};
  std::uint64_t peak_memory = 0;  // bytes
  // Set when the kernel would not kill somebody of the tree within the bounded wait.
  int unconfirmed_pid = 0;  // 0: the whole tree is confirmed gone
  std::string unconfirmed_reason;
  std::uint32_t processes = 1;  // processes of the tree that were stopped, the worker included
  bool guardian_lost = false;   // died with its guardian, not by itself
  std::string last_words;       // why it could not start, if it said so (its initializer's error)
};

struct ending {
  end_kind kind = end_kind::finished;
  bool started = false;               // an attempt ran or may have run
  bool cancel_was_requested = false;  // finished + this: it beat the kill or used its grace
  stop_reason reason = stop_reason::none;
  why_not_started why = why_not_started::none;
  std::optional<death> worker_death;  // for killed and died
};

struct worker;
struct pool;
struct level;
struct job_permits;

// Its timer is its one alarm: deadline or end of grace, whichever is earlier.
struct job : timer {
  job() : timer(timer_kind::job) {}

  // Set by the owner before submit().
  duration timeout = forever;      // of one attempt, from its start
  int priority = 0;                // higher first; first in, first out within one
  std::uint16_t retries = 0;       // further attempts when its worker died
  bool seals_lane = false;         // nothing is dispatched behind it until it has ended
  job_permits* permits = nullptr;  // null: it has nothing to do with any; may be set while it runs

  // The scheduler's.
  std::uint16_t attempt = 0;  // 1 for the first; set at dispatch
  job_state state = job_state::fresh;
  stop_reason stopping = stop_reason::none;  // why the worker is killed with this attempt in it
  bool cancel_requested = false;
  bool ran = false;  // an earlier attempt ran
  schedule::ticket ticket = schedule::ticket::none;
  std::uint64_t order = 0;  // of acceptance
  schedule::pool* pool = nullptr;
  schedule::level* level = nullptr;    // of its priority, until it ends
  schedule::worker* worker = nullptr;  // while in_lane or running
  job* prev = nullptr;                 // in its level's queue, or in its worker's lane
  job* next = nullptr;
  instant dispatched_at{};
  instant started_at = never;  // as first observed; never read again from what a worker can write
  instant grace_ends = never;  // a cancel gave it until then
  instant shielded_since = never;
  instant shield_ends = instant::min();  // a cancel kills it then, or when it says so, or later
};

using job_list = list<job, &job::prev, &job::next>;

}  // namespace hardstop::schedule
