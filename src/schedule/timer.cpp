#include "schedule/timer.hpp"

#include <algorithm>

namespace hardstop::schedule {

namespace {

constexpr std::size_t fan =
    4;  // children per node: half the depth of a binary heap, one cache line

}  // namespace

void timer_heap::arm(timer& which, instant due) {
  if (due == never) return disarm(which);
  const bool earlier = !which.armed() || due < which.due;
  which.due = due;
  if (!which.armed()) {
    heap_.push_back({due, &which});
    which.place = static_cast<std::uint32_t>(heap_.size() - 1);
  }
  if (earlier) {
    sift_up(which.place, {due, &which});
  } else {
    sift_down(which.place, {due, &which});
  }
}

timer* timer_heap::take_due(instant now) {
  if (heap_.empty() || heap_.front().due > now) return nullptr;
  timer* const first = heap_.front().node;
  remove(*first);
  return first;
}

void timer_heap::remove(timer& which) {
  const std::size_t place = which.place;
  const entry last = heap_.back();
  heap_.pop_back();
  which.place = timer::nowhere;
  if (last.node == &which) return;
  if (last.due < which.due) {
    sift_up(place, last);
  } else {
    sift_down(place, last);
  }
}

void timer_heap::sift_up(std::size_t place, entry what) {
  while (place > 0) {
    const std::size_t parent = (place - 1) / fan;
    if (heap_[parent].due <= what.due) break;
    put(place, heap_[parent]);
    place = parent;
  }
  put(place, what);
}

void timer_heap::sift_down(std::size_t place, entry what) {
  for (;;) {
    const std::size_t first = place * fan + 1;
    if (first >= heap_.size()) break;
    const std::size_t past = std::min(first + fan, heap_.size());
    std::size_t least = first;
    for (std::size_t child = first + 1; child < past; ++child) {
      if (heap_[child].due < heap_[least].due) least = child;
    }
    if (heap_[least].due >= what.due) break;
    put(place, heap_[least]);
    place = least;
  }
  put(place, what);
}

}  // namespace hardstop::schedule
