// How many frames may wait in a lane: many when jobs are tiny, one when they are long.
//
// Deep lanes are what makes tiny jobs fast (bench: no-op jobs per second), and what a suddenly long
// job would hold hostage; so the depth follows the measured time of the pool's jobs. Without the
// worker's own word for it, that is the time between two readings of a lane divided by the results
// found, which is too long whenever the reader is late. Two things keep a late reader from making
// the lanes flat for ever: several results found at once after a long time count as evidence for
// short jobs, and a flat lane is given a second frame now and then, so that there can be evidence.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "schedule/timer.hpp"

namespace hardstop::schedule {

enum class lane_left : std::uint8_t { empty, busy };

class lane_depth {
 public:
  // `jobs` results were read `elapsed` after the lane last moved. `busy`: what the worker says it
  // took.
  void measure(std::size_t jobs, duration elapsed, std::optional<duration> busy, lane_left);

  // For a job that is to be placed now.
  std::size_t value() const { return depth_; }

  // For a lane that was just read and is refilled.
  std::size_t for_refill();

  // Smoothed; zero while unknown.
  duration job_time() const { return job_time_; }

  // A lane that has not moved for longer is stalled by its front job.
  duration patience() const;

 private:
  void settle_depth();

  duration job_time_{};
  std::size_t depth_ = 2;
  bool worth_probing_ = false;
  std::uint8_t refills_ = 0;
};

}  // namespace hardstop::schedule
