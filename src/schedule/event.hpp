// The end of an event of the scheduler. Its own files only.
#pragma once

#include "schedule/scheduler.hpp"

namespace hardstop::schedule {

// Permits that came back in the middle of an event have called jobs to their queues; they are given
// to workers when it ends, and lanes are in order again. Events within events: the first end does.
class scheduler::event {
 public:
  event(scheduler& of, instant now) : of_(of), now_(now) {}

  event(const event&) = delete;
  event& operator=(const event&) = delete;

  ~event() {
    if (!of_.called_up_.empty()) of_.hand_on(now_);
  }

 private:
  scheduler& of_;
  instant now_;
};

}  // namespace hardstop::schedule
