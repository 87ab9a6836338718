#include "engine/lane_watch.hpp"

#include <algorithm>

#include "wire/spin.hpp"

namespace hardstop::engine {

bool lane_watch::news() const {
  return std::ranges::any_of(list_.lanes, [](const wire::lane_signals& lane) { return lane.has_news(); });
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

void lane_watch::sleep(os::awaited_word also, os::wait_deadline until) {
  home_.refresh(list_);
  const auto over = [&] { return also.word->load(std::memory_order_seq_cst) != also.expected; };
  if (worth_spinning()) {
    if (wire::spin_until([&] { return news() || over(); })) {
      score_.hit();
      return;
    }
    score_.miss();
  }
  const auto began = os::now();
  words_.clear();
  words_.push_back(also);
  for (const wire::lane_signals& lane : list_.lanes) words_.push_back(lane.arm());
  // After arming: a worker that published before it saw us armed is seen here, one that publishes later rings.
  if (!news() && !over()) os::wait_any(words_, until);
  for (const wire::lane_signals& lane : list_.lanes) lane.disarm();
  if (os::now() - began < wire::spin_budget) score_.hit();
}

}  // namespace hardstop::engine
