#include "schedule/queue.hpp"

#include <cassert>

namespace hardstop::schedule {

namespace {

// Levels nobody is outstanding in are kept up to this number, so that traffic of a few priorities
// does not allocate.
constexpr std::size_t kept_levels = 8;

}  // namespace

void job_queue::admit(job& what) {
  if (recent_ == nullptr || recent_->priority != what.priority) {
    recent_ = &levels_.try_emplace(what.priority).first->second;
    recent_->priority = what.priority;
  }
  what.level = recent_;
  if (recent_->outstanding++ == 0) ++in_play_;
  ++outstanding_;
}

void job_queue::release(job& what) {
  level& from = *what.level;
  what.level = nullptr;
  --outstanding_;
  if (--from.outstanding > 0) return;
  --in_play_;
  if (levels_.size() <= kept_levels) return;
  assert(from.waiting.empty());
  if (recent_ == &from) recent_ = nullptr;
  levels_.erase(from.priority);
}

void job_queue::push_back(job& what) {
  what.level->waiting.push_back(what);
  added(*what.level);
}

void job_queue::push_in_order(job& what) {
  level& to = *what.level;
  if (to.waiting.empty() || to.waiting.back()->order < what.order) return push_back(what);
  // What comes back comes in batches, mostly in order, and belongs near the front.
  job* place = to.last_returned;
  if (place == nullptr || place->order > what.order) place = to.waiting.front();
  while (place != nullptr && place->order < what.order)
    place = job_list::after(*place);
  to.waiting.insert_before(place, what);
  to.last_returned = &what;
  added(to);
}

void job_queue::remove(job& what) {
  level& from = *what.level;
  if (from.last_returned == &what) from.last_returned = nullptr;
  from.waiting.remove(what);
  --size_;
  if (top_ == &from && from.waiting.empty()) find_top();
}

void job_queue::added(level& to) {
  ++size_;
  if (top_ == nullptr || to.priority > top_->priority) top_ = &to;
}

void job_queue::find_top() {
  if (size_ == 0) {
    top_ = nullptr;
    return;
  }
  // Levels passed over have their jobs in lanes: as many at most as there are workers.
  auto place = levels_.upper_bound(top_->priority);
  while (place->second.waiting.empty())
    ++place;
  top_ = &place->second;
}

}  // namespace hardstop::schedule
