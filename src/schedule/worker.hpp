// A worker as the scheduler sees it: a state, a lane and a place among those of its pool.
#pragma once

#include <cstdint>

#include "schedule/model.hpp"
#include "schedule/permits.hpp"

namespace hardstop::schedule {

enum class worker_state : std::uint8_t {
  starting,  // spawn was asked for
  ready,     // takes jobs, or is a spare
  retiring,  // takes nothing more, has nothing, leaves by itself
  stopping,  // SIGKILL was sent, or its guardian is lost; waits for the word that the tree is gone
  gone,
};

// Its timer is its one alarm: time limit for starting or retiring, or another try with a full lane.
struct worker : timer {
  worker() : timer(timer_kind::worker) {}

  static constexpr std::uint8_t no_shelf = 0xff;

  worker_state state = worker_state::starting;
  stop_reason stopping = stop_reason::none;
  bool spare = false;      // ready and warm, but not one of the pool's slots
  bool lane_full = false;  // its lane had no room; nothing is tried until it drained
  bool stalled = false;    // its front job takes long: it is given nothing until it drained
  bool used_up = false;    // every job it may run in its life is dispatched
  bool sealed = false;     // the last job in its lane wants nobody behind it
  bool leaving = false;    // it is to be replaced: given nothing more
  bool wrote_garbage = false;
  bool proved = false;  // it claimed a job: the worker itself starts well
  bool guardian_lost = false;
  bool takes = false;  // its shelf is one of those that take jobs
  std::uint8_t shelf = no_shelf;
  schedule::pool* pool = nullptr;
  job_list lane;           // in order of dispatch; the front one runs, or has finished unread
  claim_list lingering;    // of a job that has finished and may have left something running
  std::uint64_t used = 0;  // jobs dispatched to it in its life, those taken back not counted
  instant moved_at{};      // when its lane last got its first job or was drained
  instant idle_since{};
  worker* prev = nullptr;  // on its shelf, or among the spares
  worker* next = nullptr;
  worker* sibling_prev = nullptr;  // among all of the pool
  worker* sibling_next = nullptr;
};

using worker_list = list<worker, &worker::prev, &worker::next>;
using sibling_list = list<worker, &worker::sibling_prev, &worker::sibling_next>;

}  // namespace hardstop::schedule
