// The world the scheduler is let loose on: what really happens in processes, as opposed to what has
// been told of it.
//
// A worker here is a process with a lane. It claims, publishes, crashes and scribbles at moments of
// its own, also in the middle of a scheduler event. Its owner, the engine's stand-in, reads lanes
// and passes messages on, late and in any order that a real one could.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "schedule/scheduler.hpp"

namespace hardstop::simulation {

using schedule::duration;
using schedule::instant;
using schedule::ticket;

// The oracle's verdict.
struct violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline void require(bool holds, const char* promise) {
  if (!holds) throw violation(promise);
}

struct model_pool;
struct job_record;

// The scheduler's node. It is freed in the moment it is completed, or kept to see that late events
// are harmless.
struct model_job final : schedule::job {
  job_record* record = nullptr;
};

// A claim, and what was last known of it. Lives as long as the history.
struct model_claim final : schedule::permit_claim {
  int id = 0;
  job_record* job = nullptr;  // null: a guard in the client
  bool over = false;          // it was given back to its owner
  bool kept = false;          // of an attempt that may still live
  bool asked_back = false;    // its holder has returned it
  std::uint64_t came = 0;     // its place among all that ever asked
  schedule::claim_state known = schedule::claim_state::idle;
  std::uint64_t known_fence = 0;
  schedule::ticket holder{};  // of the attempt it was granted to
};

enum class nature : std::uint8_t {
  honest,      // publishes a result after a while
  endless,     // never does
  crashing,    // takes its worker down
  scribbling,  // writes over its lane, then any of the above
};

// One execution of a job, or one frame that might have become one.
struct attempt_record {
  schedule::ticket ticket{};
  int worker = 0;
  bool began = false;        // the worker's loop really called it
  bool published = false;    // a complete result is in the lane
  bool died = false;         // the worker was gone before
  bool over_memory = false;  // so it was reported
  bool unconfirmed = false;  // something of it may still live
  instant began_at{};
};

// What is known of a job from outside. It lives as long as the history.
struct job_record {
  int id = 0;
  model_pool* pool = nullptr;
  std::unique_ptr<model_job> node;  // as long as the scheduler or a late event may touch it
  nature kind = nature::honest;
  nature afterwards = nature::honest;  // what a scribbling one goes on as
  duration timeout = schedule::forever;
  std::uint16_t retries = 0;
  std::vector<attempt_record> attempts;
  schedule::job_permits permits;

  // What gives the right to kill it.
  bool kill_asked = false;
  bool cancel_accepted = false;
  bool cancelled_running = false;
  instant grace_ends = schedule::never;
  bool shielded = false;
  instant shield_ends = instant::min();  // a cancel waits until then

  // A lane it was in was scribbled over: what it came to is anybody's guess, but not how often it
  // ran.
  bool tainted = false;

  int endings = 0;
  schedule::ending how;

  bool ended() const { return endings > 0; }

  std::size_t begun() const {
    std::size_t count = 0;
    for (const attempt_record& attempt : attempts)
      count += attempt.began ? 1U : 0U;
    return count;
  }
};

enum class word : std::uint8_t { waiting, claimed, revoked, published, read };

struct frame {
  job_record* job = nullptr;
  std::size_t attempt = 0;  // of the job's attempts
  schedule::ticket ticket{};
  word state = word::waiting;
  instant stamp{};

  attempt_record& record() const { return job->attempts[attempt]; }
};

// What a worker reports: the end of an attempt, or what the attempt wants of permits.
struct published_result {
  schedule::ticket ticket{};
  bool garbage = false;
  bool asks = false;               // for this claim
  model_claim* returns = nullptr;  // this claim
  std::size_t wanted = 0;          // semaphore
  std::uint32_t count = 0;
  bool shields = false;  // begins a section that a cancel waits for, for so long
  duration longest{};
  bool unshields = false;
};

enum class process : std::uint8_t { booting, alive, dead };

struct model_worker final : schedule::worker {
  int id = 0;
  model_pool* home = nullptr;
  process life = process::booting;
  int signal = 0;
  int exit_code = 0;
  bool asked_to_leave = false;
  bool recycled = false;
  bool killed = false;  // the signal is on its way
  bool swept = false;   // so is the warden
  bool ready_unread = false;
  bool hangs = false;       // it neither gets ready nor leaves by itself
  bool scribbled = false;   // nothing in its lane can be relied on
  bool unreadable = false;  // garbage was found in its lane; nobody reads on
  std::size_t capacity = 0;
  std::deque<frame> lane_frames;
  frame* running = nullptr;
  std::deque<published_result> results;

  // Places in a ring come free in order, when what was there is over.
  void free_places() {
    while (
        !lane_frames.empty() && &lane_frames.front() != running &&
        (lane_frames.front().state == word::read || lane_frames.front().state == word::revoked)) {
      lane_frames.pop_front();
    }
  }

  frame* find(schedule::ticket which) {
    for (frame& at : lane_frames) {
      if (at.ticket == which) return &at;
    }
    return nullptr;
  }
};

enum class guardian : std::uint8_t { none, birthing, alive, dying, leaving };

struct model_pool final : schedule::pool {
  int id = 0;
  guardian life = guardian::none;
  bool lost_told = false;   // guardian_lost() was called
  bool lost_heard = false;  // that, or a worker's death told of it
  bool shut_down_asked = false;
  bool pending_dropped = false;
  instant kill_at = schedule::never;
  bool closed_told = false;
  bool cursed = false;                              // no worker of it ever gets ready
  std::vector<std::unique_ptr<model_worker>> crew;  // until discarded
};

// What may happen in one history, and how often. Drawn per history, so that each has a character:
// some have no crash at all, some hardly anything else.
struct profile {
  std::size_t steps = 0;
  double submit = 0;
  double cancel = 0;
  double spurious = 0;  // late, early, duplicate and pointless events
  double crash = 0;     // of a worker, at any step
  double idle_crash = 0;
  double boot_failure = 0;
  double hang = 0;  // of a worker that starts or leaves
  double guardian_death = 0;
  double birth_failure = 0;
  double endless = 0;
  double crashing = 0;
  double scribbling = 0;
  double publish = 0;  // that a running job ends at a step
  double timeouts = 0;
  double retries = 0;
  double priorities = 0;
  double memory = 0;
  double shutdown = 0;
  double lane_full = 0;
  double race = 0;        // a worker moves in the middle of an event
  double late_clock = 0;  // timers are overlooked for a while
  double jump = 0;
  double seals = 0;    // that a job wants nobody behind it
  double recycle = 0;  // that a worker is to be replaced, at any time
  double unconfirmed = 0;
  double needs = 0;  // that a job needs permits
  double asks = 0;   // that a job that runs asks for some, or returns them
  double shields = 0;
  double guards = 0;  // that the client does
};

}  // namespace hardstop::simulation
