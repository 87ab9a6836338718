#include "schedule/depth.hpp"

#include <algorithm>

namespace hardstop::schedule {

namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr std::size_t deep = std::size_t{1} << 20;  // the pool's policy and the lane say how deep
constexpr std::size_t shallow = 8;

// A boundary is crossed upwards later than downwards, so that job times around it do not make the
// depth flutter.
constexpr duration deep_below = microseconds(10);
constexpr duration deep_until = microseconds(20);
constexpr duration shallow_below = microseconds(100);
constexpr duration shallow_until = microseconds(200);

// Longer is no different, and what was counted as longer would have to be forgotten first when jobs
// become short.
constexpr duration ceiling = microseconds(250);

constexpr std::uint8_t probe_every = 8;
constexpr duration probe_below = milliseconds(10);

// About a time slice: a worker that was not given the processor for a moment is not stalled.
constexpr duration least_patience = milliseconds(4);

}  // namespace

void lane_depth::measure(std::size_t jobs, duration elapsed, std::optional<duration> busy,
                         lane_left left) {
  if (jobs == 0) return;
  elapsed = std::max(elapsed, duration::zero());
  worth_probing_ = elapsed < probe_below;
  const duration spent = busy ? std::clamp(*busy, duration::zero(), elapsed) : elapsed;
  // A division is half of the cost of measuring, and most batches are of one.
  const duration each = jobs == 1 ? spent : spent / static_cast<std::int64_t>(jobs);
  const duration sample = std::clamp(each, duration{1}, ceiling);
  if (job_time_ == duration::zero()) {
    job_time_ = sample;
  } else if (!busy && jobs > 1 && left == lane_left::empty && sample > shallow_below) {
    job_time_ /= 2;  // they had all finished long before anybody looked
  } else {
    const auto weight = static_cast<std::int64_t>(std::min<std::size_t>(jobs, 4));
    job_time_ += (sample - job_time_) * weight / 8;
  }
  settle_depth();
}

void lane_depth::settle_depth() {
  if (job_time_ < (depth_ == deep ? deep_until : deep_below)) {
    depth_ = deep;
  } else if (job_time_ < (depth_ >= shallow ? shallow_until : shallow_below)) {
    depth_ = shallow;
  } else {
    depth_ = 1;
  }
}

std::size_t lane_depth::for_refill() {
  if (depth_ > 1 || !worth_probing_ || ++refills_ < probe_every) return depth_;
  refills_ = 0;
  return 2;
}

duration lane_depth::patience() const {
  return std::max(least_patience, 4 * job_time_);
}

}  // namespace hardstop::schedule
