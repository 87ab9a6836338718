#include "engine/lane_watch.hpp"

#include <algorithm>
#include <thread>

#include "engine/engine.hpp"

namespace hardstop::engine {

bool lane_watch::news() const {
  return std::ranges::any_of(list_.lanes,
                             [](const wire::lane_signals& lane) { return lane.has_news(); });
}

bool lane_watch::any_report() const {
  return std::ranges::any_of(list_.lanes,
                             [](const wire::lane_signals& lane) { return lane.has_report(); });
}

// Spinning beside a worker on the same CPU takes from the worker what the spin waits for.
bool lane_watch::worth_spinning() const {
  if (!score_.worthwhile()) return false;
  const int here = wire::current_cpu();
  return std::ranges::any_of(list_.lanes, [here](const wire::lane_signals& lane) {
    const int there = lane.worker_cpu();
    return there >= 0 && there != here;
  });
}

bool lane_watch::refresh() {
  if (!home_.refresh(list_)) return false;
  if (attending_) {
    for (const wire::lane_signals& lane : list_.lanes)
      lane.attend();
  }
  return true;
}

void lane_watch::nap() {
  std::this_thread::sleep_for(std::chrono::microseconds(30));
}

void lane_watch::attend() {
  attending_ = true;
  home_.refresh(list_);
  for (const wire::lane_signals& lane : list_.lanes)
    lane.attend();
}

bool lane_watch::leave() {
  attending_ = false;
  for (const wire::lane_signals& lane : list_.lanes)
    lane.unattend();
  return any_report();
}

// False: it is not worth it.
bool lane_watch::begin_spinning() {
  if (!worth_spinning()) return false;
  const int here = wire::current_cpu();
  for (const wire::lane_signals& lane : list_.lanes)
    lane.publish_cpu(here);
  return true;
}

void lane_watch::end_spinning_in_vain() {
  score_.miss();
  for (const wire::lane_signals& lane : list_.lanes)
    lane.publish_cpu(-1);
}

void lane_watch::sleep(os::awaited_word also, os::wait_deadline until) {
  refresh();
  const auto over = [&] { return also.word->load(std::memory_order_seq_cst) != also.expected; };
  const auto began = os::now();
  words_.clear();
  words_.push_back(also);
  for (const wire::lane_signals& lane : list_.lanes)
    words_.push_back(lane.arm(who_));
  // After arming: a worker that published before it saw us armed is seen here, one that publishes
  // later rings.
  if (!news() && !over()) os::wait_any(words_, until);
  for (const wire::lane_signals& lane : list_.lanes)
    lane.disarm(who_);
  if (os::now() - began < wire::spin_budget) score_.hit();
}

}  // namespace hardstop::engine
