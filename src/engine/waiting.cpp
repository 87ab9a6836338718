// Waiting for a job: the thread that waits reads lanes itself, which saves a wake-up in another
// thread and its wake-up in turn. One thread at a time does so; others sleep on their own job's
// word and are woken by whoever reads its end.
#include "engine/delivery.hpp"
#include "engine/engine.hpp"
#include "engine/lane_watch.hpp"
#include <hardstop/errors.hpp>

namespace hardstop::engine {

namespace {

bool passed(std::optional<os::time_point> until) {
  return until && os::now() >= *until;
}

}  // namespace

bool engine::wait(job& which, std::optional<os::time_point> until) {
  if (which.done()) return true;
  if (delivery_.is_this_thread()) {
    throw would_deadlock(
        "waiting for job '" + std::string(which.name()) +
        "' in a continuation or event sink would wait for ever: they run in the thread that brings "
        "results. Continue from the job's own completion instead, or wait in another thread.");
  }
  if (attended_.exchange(true, std::memory_order_acquire)) return sleep_until_done(which, until);

  attendance_.attend();
  while (!which.done() && !passed(until)) {
    // Announced only when it is going to sleep: else settle(), in this thread mostly, would make a
    // system call for nobody.
    if (!attendance_.spin([&] { return which.done(); })) attendance_.sleep(which.announce(), until);
    if (which.done()) break;
    if (read_lanes().gathering && !which.done()) lane_watch::nap();
  }
  const bool something_left = attendance_.leave();
  attended_.store(false, std::memory_order_release);
  if (something_left && read_lanes().reports != 0) delivery_.wake();
  return which.done();
}

bool engine::sleep_until_done(const job& which, std::optional<os::time_point> until) {
  while (!which.done()) {
    const os::awaited_word end = which.announce();
    os::futex_wait(*end.word, end.expected, end.scope, until);
    if (passed(until)) break;
  }
  return which.done();
}

// A thread that waits keeps the list of lanes for the next one, and with it their memory.
void engine::forget_old_lanes() {
  // Somebody waits just now, and looks at the list itself before it sleeps.
  if (attended_.exchange(true, std::memory_order_acquire)) return;
  attendance_.refresh();
  attended_.store(false, std::memory_order_release);
}

int engine::pid_of(job& which) {
  if (which.done()) return which.pid;
  turn now(*this);
  if (which.state == schedule::job_state::ended || which.worker == nullptr) return which.pid;
  return scheduler_.observe(which, now.now()) == schedule::job_state::running ? which.pid : 0;
}

}  // namespace hardstop::engine
