// The way from the scheduler's nodes to the engine's own objects, which derive from them, and
// between the two spellings of a ticket: the scheduler knows no lane, the lane no scheduler.
#pragma once

#include "engine/job.hpp"
#include "engine/pool.hpp"
#include "engine/worker.hpp"

namespace hardstop::engine {

inline job& ours(schedule::job& node) {
  return static_cast<job&>(node);
}

inline const job& ours(const schedule::job& node) {
  return static_cast<const job&>(node);
}

inline worker& ours(schedule::worker& node) {
  return static_cast<worker&>(node);
}

inline pool& ours(schedule::pool& node) {
  return static_cast<pool&>(node);
}

inline wire::ticket on_wire(schedule::ticket which) {
  return wire::ticket{static_cast<std::uint64_t>(which)};
}

inline schedule::ticket off_wire(wire::ticket which) {
  return schedule::ticket{static_cast<std::uint64_t>(which)};
}

// The job at the front of a worker's lane: the one that runs, if any does.
inline job* front_of(const worker& at) {
  schedule::job* front = at.lane.front();
  return front == nullptr ? nullptr : &ours(*front);
}

}  // namespace hardstop::engine
