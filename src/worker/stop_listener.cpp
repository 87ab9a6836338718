#include "worker/stop_listener.hpp"

#include <thread>

#include "os/futex.hpp"
#include "os/signals.hpp"

namespace hardstop::worker {

std::stop_token stop_listener::listen(wire::ticket attempt) {
  std::stop_token token;
  {
    const std::lock_guard hold{lock_};
    if (!source_) source_.emplace();
    attempt_ = attempt;
    token = source_->get_token();
  }
  if (!running_) {
    // Signals are for the job's threads, which it made to take them.
    const os::signals_blocked quiet;
    std::thread([this] { run(); }).detach();
    running_ = true;
  }
  // Whoever asked before we listened has rung for nobody.
  notice();
  return token;
}

void stop_listener::forget() {
  // A forked child on its way out of the job: the thread, which is not here, may hold the lock.
  if (generation_ != os::process_generation()) return;
  const std::lock_guard hold{lock_};
  attempt_ = wire::ticket::none;
  source_.reset();
}

void stop_listener::notice() {
  std::optional<std::stop_source> asked;
  {
    const std::lock_guard hold{lock_};
    if (attempt_ != wire::ticket::none && words_.asked() == attempt_) asked = source_;
  }
  // Without the lock: it runs the job's stop callbacks, which may take their time.
  if (asked) asked->request_stop();
}

void stop_listener::run() {
  for (;;) {
    const os::awaited_word bell = words_.bell();
    notice();
    os::futex_wait(*bell.word, bell.expected, bell.scope);
  }
}

}  // namespace hardstop::worker
