// Tells a service which of the jobs in a queue's file somebody wants stopped.
#pragma once

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "service/database.hpp"
#include "service/queue/doorbell.hpp"
#include <hardstop/source.hpp>

namespace hardstop::storage {

// A thread that sleeps until the file's bell rings, with a connection of its own. Signals stay with
// the host's threads. `tell` is called by that thread only, once for each lease of a job that is to
// be stopped, and never after the destructor has returned; it must not throw, nor destroy this.
class cancel_watch {
 public:
  // `file` must outlive it.
  cancel_watch(database& file, std::function<void(const receipt&)> tell);
  cancel_watch(const cancel_watch&) = delete;
  cancel_watch& operator=(const cancel_watch&) = delete;
  ~cancel_watch();

 private:
  void watch();
  void look();

  database& file_;
  std::function<void(const receipt&)> tell_;
  doorbell bell_;
  std::vector<receipt> told_;
  std::thread thread_;
};

}  // namespace hardstop::storage
