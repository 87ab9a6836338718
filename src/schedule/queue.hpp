// The jobs of one pool that wait for a worker: by priority, and in order of acceptance within one.
//
// A level exists while jobs of its priority are outstanding (queued, in a lane or running), because
// lanes may be deep only while one level is in play. With one level every operation is a few
// pointer moves.
#pragma once

#include <cstddef>
#include <map>

#include "schedule/model.hpp"

namespace hardstop::schedule {

struct level {
  int priority = 0;
  job_list waiting;
  std::size_t outstanding = 0;
  job* last_returned = nullptr;  // where the next one that comes back is looked for first
};

class job_queue {
 public:
  bool empty() const { return size_ == 0; }

  std::size_t size() const { return size_; }

  // How many jobs are outstanding, and of how many priorities.
  std::size_t outstanding() const { return outstanding_; }

  std::size_t levels_in_play() const { return in_play_; }

  // The one to run next; null if none waits.
  job* front() const { return top_ != nullptr ? top_->waiting.front() : nullptr; }

  // The job becomes outstanding; it does not wait here yet.
  void admit(job&);

  // The job is outstanding no more. It does not wait here.
  void release(job&);

  void push_back(job&);

  // Back to its place in front: by order of acceptance.
  void push_in_order(job&);

  void remove(job&);

 private:
  void added(level&);
  void find_top();

  std::map<int, level, std::greater<>> levels_;
  level* recent_ = nullptr;  // the level of the last admitted job
  level* top_ = nullptr;     // the highest with somebody waiting
  std::size_t size_ = 0;
  std::size_t outstanding_ = 0;
  std::size_t in_play_ = 0;
};

}  // namespace hardstop::schedule
