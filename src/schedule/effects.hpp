// What the scheduler asks of the world. The engine carries it out; a simulation records it.
//
// Called synchronously from within scheduler events, under whatever lock guards the scheduler; an
// implementation must not call back into the scheduler from here (complete() may queue the news,
// not act on it).
#pragma once

#include <optional>

#include "schedule/model.hpp"
#include "schedule/permits.hpp"
#include "schedule/pool.hpp"

namespace hardstop::schedule {

enum class lane_answer : std::uint8_t { accepted, full };
enum class take_back_answer : std::uint8_t { taken, already_claimed };

class effects {
 public:
  // Writes the job's frame, with its ticket, into the worker's lane. `full`: no room for it now;
  // the lane is tried again when it drains, or after a millisecond if it holds nothing but frames
  // that were taken back.
  virtual lane_answer dispatch(worker&, job&) = 0;

  // The compare-and-swap queued -> revoked. `taken`: the attempt never began and never will.
  virtual take_back_answer take_back(worker&, job&) = 0;

  // When the attempt was claimed by the worker, never later than `now`; nothing if it still waits
  // in the lane.
  virtual std::optional<instant> claimed_at(worker&, job&, instant now) = 0;

  // Tells the running attempt that it should stop (stop_token, current_job). Nothing else happens.
  virtual void ask(worker&, job&) = 0;

  // A frame behind somebody who was to be killed turned out to be claimed: all dispatched to this
  // worker before `witness` have published their results, if the worker is honest. Read its lane to
  // the end, beginning after this event, hand in what is found, then call settled(worker, witness).
  virtual void settle(worker&, ticket witness) = 0;

  // SIGKILL to the worker at once, then the rest of its tree; ends with worker_gone().
  virtual void kill(worker&) = 0;

  // Asks a worker without jobs to leave by itself, as soon as it is ready if it is still starting;
  // ends with worker_gone().
  virtual void retire(worker&) = 0;

  // Starts one more worker for the pool; ends with worker_ready() or worker_gone(). A fresh node
  // each time.
  virtual worker& spawn(pool&) = 0;

  // The worker is gone and nothing refers to it any more; the owner may free it at once.
  virtual void discard(worker&) = 0;

  // The job's one ending. The scheduler forgets the job with this call; the owner may free it at
  // once.
  virtual void complete(job&, ending) = 0;

  // A guard's claim, or that of an attempt that runs, which was waiting has its permits. Never from
  // within the event that asked for it.
  virtual void granted(permit_claim&) = 0;

  // A claim of a job is over with its attempt, or with the job. The owner may free it at once.
  virtual void claim_over(permit_claim&) = 0;

  // Its attempt is not confirmed gone: it is held for as long as that is so, which nobody will
  // tell.
  virtual void claim_kept(permit_claim&, const death&) = 0;

  // The pool needs a (new) guardian; ends with guardian_up() or birth_failed().
  virtual void birth(pool&) = 0;

  // Shutdown is complete but for the guardian: let it go. Ends with guardian_gone().
  virtual void dismiss(pool&) = 0;

  // The pool is shut down: no job, worker, timer or guardian is left. The owner may free it when
  // the event that led here has returned.
  virtual void closed(pool&) = 0;

 protected:
  ~effects() = default;
};

}  // namespace hardstop::schedule
