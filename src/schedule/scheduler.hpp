// The pure scheduler: which job runs where, who is killed and why, when capacity comes back.
//
// Events in (member functions), actions out (effects). No clock, no system call, no thread, no
// lock, no allocation per job: the caller serialises events and hands in the time. See
// docs/architecture.md for the state diagrams.
//
// Where things are decided:
//   lanes.cpp     what a worker is given, how deep its lane is, what is taken back from it
//   growth.cpp    when workers, spares and guardians are started, and when starting them is given
//                 up
//   kill.cpp      cancel, deadline, memory: the one attempt a SIGKILL is bound to
//   death.cpp     what a dead worker's jobs come to
//   permits.cpp   who holds which semaphore, and who is next
//   permits_of_jobs.cpp  when a job gets what it needs, and when that comes back
//   shutdown.cpp  how a pool ends
//   scheduler.cpp the way in and out of a job, and the timers
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "schedule/effects.hpp"
#include "schedule/model.hpp"
#include "schedule/permits.hpp"
#include "schedule/pool.hpp"
#include "schedule/timer.hpp"

namespace hardstop::schedule {

enum class cancel_mode : std::uint8_t {
  ask,        // tell the job, nothing else
  grace,      // tell it, and kill it when the grace is over
  kill,       // now
  take_back,  // only if it has not started
};

// too_late: it has ended, or runs and was only to be taken back. accepted: it ended just now
// without having run, or is asked or killed; its ending tells what came of it.
enum class cancel_answer : std::uint8_t { accepted, too_late };

enum class pending : std::uint8_t { run, cancel };

class scheduler final : private permit_table::listener {
 public:
  explicit scheduler(effects& world) : world_(world) {}

  scheduler(const scheduler&) = delete;
  scheduler& operator=(const scheduler&) = delete;
  ~scheduler() = default;

  // Pools.

  void open(pool&, const pool_policy&);

  // False once shut_down() was called or the pool is broken. A job submitted all the same ends at
  // once, not started.
  static bool accepts(const pool& which) { return which.intake == intake::open; }

  // From now on nothing is accepted. `pending::cancel`: what has not started ends now, not started.
  // At `kill_at` what runs is killed and what waits ends not started. May be called again to
  // sharpen; nothing is ever softened.
  void shut_down(pool&, pending, std::optional<instant> kill_at, instant now);

  static pool_picture picture(const pool&);

  // As many workers as the policy allows, without waiting for the demand. Nothing before the first
  // job, nor when the pool is closing.
  void fill(pool&, instant now);

  // Guardians.

  void guardian_up(pool&, instant now);
  void birth_failed(pool&, std::string_view reason, instant now);

  // Unresponsive or dead: every worker of it is dying, nothing more is dispatched to them.
  void guardian_lost(pool&, instant now);

  // Nothing of it is left; worker_gone() was called for each of its workers before. A guardian that
  // goes without notice is taken as lost first.
  void guardian_gone(pool&, instant now);

  // Workers.

  void worker_ready(worker&, instant now);

  // A complete result of this attempt was read from the worker's lane. False: the attempt cannot
  // finish now, it is not the one at the front of this lane; nothing has changed, and the caller
  // reports corrupt().
  bool finished(worker&, ticket, instant now);

  // After a batch of finished(), under the same lock. Measures the job time, refills the lane,
  // moves work to it from others, retires the worker. `busy`: how long the worker says it worked on
  // the batch, if it says so; a hint, and better than the time between two drains, which an engine
  // that comes late makes long.
  void lane_drained(worker&, std::size_t finished_in_batch, instant now,
                    std::optional<duration> busy = std::nullopt);

  // It is to be replaced when what it runs has ended. Between finished() and lane_drained() for a
  // job that seals its lane this means: before anything else runs there.
  void recycle(worker&, instant now);

  // The lane was read to its end after effects::settle(worker, witness).
  void settled(worker&, ticket witness, instant now);

  // It wrote what cannot be true: it is killed.
  void corrupt(worker&, instant now);

  // The tree is confirmed gone, or death.unconfirmed_pid is set. The owner has read the lane to its
  // end before and handed in what was complete. While the worker is starting this is a failed
  // start. With death.guardian_lost its guardian is taken as lost.
  void worker_gone(worker&, const death&, instant now);

  // Jobs.

  // The job's memory is the scheduler's to link until complete(). The first job of a pool brings
  // its guardian to life.
  void submit(pool&, job&, instant now);

  // Never blocks and never harms another attempt. A queued job, or one that can be taken back from
  // its lane, ends at once whatever the mode. Calling again may shorten the grace, never lengthen
  // it. Whoever can should hand in what the lane holds before: a job found finished there costs no
  // worker.
  cancel_answer cancel(job&, cancel_mode, duration grace, instant now);

  // That very attempt is in a section that a cancel waits for: until unshield(), and no longer than
  // this. Deadlines, memory limits, shutdowns and kills do not wait. It may begin one while its
  // grace runs, but none after.
  void shield(worker&, ticket, duration longest, instant now);
  void unshield(worker&, ticket, instant now);

  // That very attempt used more memory than it may; harmless for any other.
  void memory_exceeded(worker&, ticket, instant now);

  // The job's state as of now: a claim that is seen here is remembered.
  job_state observe(job&, instant now);

  // Permits. What a job needs to be dispatched is said by job::permits before submit().

  // For somebody in the client; effects::granted() follows if it waits.
  claim_answer acquire(permit_claim&, patience, instant now);

  // For the attempt that runs in this worker: the claim ends with it. job::permits must be set.
  claim_answer acquire(worker&, ticket, permit_claim&, patience, instant now);

  // What is held comes back, what waits is withdrawn; the claim is its owner's again. `unused`: it
  // was granted, and nobody has heard of it.
  void release(permit_claim&, permit_return, instant now);

  const permit_table& permits() const { return permits_; }

  // Time.

  void time_reached(instant now);

  // Of all pools; nothing if there is nothing to wait for.
  std::optional<instant> next_timer() const { return timers_.earliest(); }

  std::size_t timers_armed() const { return timers_.size(); }

 private:
  // scheduler.cpp: a job's ways in and out. Whatever is to hold a job back before it is dispatched,
  // or is held by an attempt while it lives (permits), belongs into these: nothing else makes a job
  // runnable or ends it.
  void make_runnable(job&, instant now);
  void end(job&, ending, instant now);
  void end_unstarted(job&, why_not_started, instant now);
  void leave_queue(job&);
  void fire(timer&, instant now);

  // lanes.cpp
  static worker* pick(pool&);
  enum class placing : std::uint8_t {
    placed,
    lane_full,
    not_here,  // it is to be alone, and somebody else is there
    elsewhere  // its permits are not there: it has left the queue
  };

  placing assign(worker&, job&, instant now);
  void detach(job&);
  bool take_back(job&, instant now);
  void requeue_unclaimed(worker&, job* from, instant now);
  void note_claimed(job&, instant now);
  static void prove(worker&);
  void shelve(worker&, instant now);
  static void to_the_back(worker&);
  void feed(worker&, instant now);
  void pump(pool&, instant now);
  void rebalance(pool&, instant now);
  void steal_for(worker&, instant now);
  bool steal_from(shelves&, std::size_t shelf, std::size_t wanted, instant now);
  bool steal_from(worker& victim, std::size_t wanted, instant now);
  void relieve_stalled(pool&, const worker& for_whom, instant now);
  void make_way(pool&, int priority, instant now);

  // growth.cpp
  bool may_start(pool&, instant now);
  void restock(pool&, instant now);
  void spawn(pool&, instant now);
  void activate(worker&, instant now);
  void promote(worker&, instant now);
  void withdraw(worker&);
  void retire(worker&, instant now);
  void stop(worker&, stop_reason, instant now);
  enum class fault : std::uint8_t { own, outside };
  void count_failure(pool&, std::string_view reason, instant now, fault whose = fault::own);
  void break_if_hopeless(pool&, instant now);
  void ensure_born(pool&, instant now);
  void worker_due(worker&, instant now);
  void idle_due(pool&, instant now);

  // kill.cpp
  void end_cancelled_unstarted(job&, instant now);
  void kill_attempt(job&, stop_reason, instant now);
  static instant cancel_due(const job&);
  static void end_shield(job&, instant now);
  void job_due(job&, instant now);
  static duration limit_of(const job&);

  // death.cpp
  void settle_lane(worker&, const death&, instant now);
  void end_with_worker(job&, const worker&, const death&, instant now);
  static bool may_retry(const job&, const death&);
  void retry(job&, instant now);

  // permits_of_jobs.cpp
  class event;
  void granted(permit_claim&) override;
  void called(permit_claim&) override;
  void hand_on(instant now);
  bool take_needs(job&, instant now);
  void untake_needs(job&, instant now);
  void return_permits(job&, permit_return, instant now);
  void return_at_death(job&, const death&, instant now);
  void return_claims(claim_list&, permit_return, instant now);
  void keep_claims(claim_list&, const death&, instant now);
  void let_linger(job&, worker&, instant now);
  void withdraw_waiting(claim_list&, instant now);
  void withdraw_claims(worker&, instant now);

  // shutdown.cpp
  void drop_unstarted(pool&, why_not_started, instant now);
  void shutdown_due(pool&, instant now);
  void wind_down(pool&, instant now);
  void close(pool&);

  effects& world_;
  timer_heap timers_;
  permit_table permits_{*this};
  std::vector<pool*> called_up_;  // in which jobs were called in this event
  std::uint64_t last_ticket_ = 0;
  std::uint64_t last_order_ = 0;
};

}  // namespace hardstop::schedule
