// The control thread: guardians' sockets, pidfds, and the one timer that all deadlines share.
//
// It runs no user code and, under Python, never takes the GIL: a deadline holds whatever the client
// does (G6).
#pragma once

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/pool.hpp"
#include "wire/control.hpp"

namespace hardstop::engine {

class engine;

class control {
 public:
  explicit control(engine& home);
  control(const control&) = delete;
  control& operator=(const control&) = delete;
  ~control();

  void start();
  // Joins the thread; no line may be watched any more.
  void stop();

  // The rest: any thread, and without effect while the thread does not run.

  // Timers have changed: look at the earliest one again.
  void look_at_timers();
  // Follows a new guardian until it and its warden are gone.
  void watch(std::shared_ptr<detail::pool>, std::shared_ptr<guardian_line>);
  void write_when_possible(guardian_line&);
  void spawn(std::vector<std::pair<std::shared_ptr<detail::pool>, wire::worker_id>>);
  void resume_chores_at(schedule::instant);
  void watch_memory();

 private:
  class followed;
  struct running;

  template <class Work>
  void post(Work work);

  engine& home_;
  std::mutex gate_;  // guards live_ against a stop while somebody posts
  std::unique_ptr<running> live_;
};

}  // namespace hardstop::engine
