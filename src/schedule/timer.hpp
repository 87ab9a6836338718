// Points in time the scheduler waits for: a 4-ary heap whose nodes are part of jobs, workers and
// pools.
//
// Every node knows its place in the heap, so that arming, moving and disarming are O(log n) and a
// node that is not armed costs nothing. Jobs with one and the same time limit arrive in order of
// their due times, which is the heap's best case: a comparison and a store each.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

namespace hardstop::schedule {

// Time is CLOCK_MONOTONIC, handed in with every event; the scheduler never asks for it.
using duration = std::chrono::nanoseconds;
using instant = std::chrono::time_point<std::chrono::steady_clock, duration>;

inline constexpr duration forever = duration::max();
inline constexpr instant never = instant::max();

// `from` + `wait`, where too far is never.
constexpr instant later(instant from, duration wait) {
  return wait >= never - from ? never : from + wait;
}

// What a timer is part of, and so what is done when it is due.
enum class timer_kind : std::uint8_t {
  job,            // deadline or end of grace
  worker,         // not ready in time, did not leave in time, its full lane is tried again
  pool_birth,     // back-off is over: spawn or give birth again
  pool_idle,      // somebody may have been idle for too long
  pool_shutdown,  // the time limit for shutting down
};

struct timer {
  explicit timer(timer_kind what) : kind(what) {}

  bool armed() const { return place != nowhere; }

  static constexpr std::uint32_t nowhere = std::numeric_limits<std::uint32_t>::max();

  instant due = never;
  std::uint32_t place = nowhere;
  timer_kind kind;
};

class timer_heap {
 public:
  bool empty() const { return heap_.empty(); }

  std::size_t size() const { return heap_.size(); }

  std::optional<instant> earliest() const {
    return heap_.empty() ? std::nullopt : std::optional(heap_.front().due);
  }

  // Arms the timer, or moves it if it is armed; `never` disarms it.
  void arm(timer&, instant due);

  void disarm(timer& which) {
    if (which.armed()) remove(which);
  }

  // Takes the earliest timer that is due out of the heap; null if none is.
  timer* take_due(instant now);

 private:
  // The due time is kept beside the pointer: sifting reads no node but those it moves.
  struct entry {
    instant due;
    timer* node;
  };

  void put(std::size_t place, entry what) {
    heap_[place] = what;
    what.node->place = static_cast<std::uint32_t>(place);
  }

  void remove(timer&);
  void sift_up(std::size_t place, entry what);
  void sift_down(std::size_t place, entry what);

  std::vector<entry> heap_;
};

}  // namespace hardstop::schedule
