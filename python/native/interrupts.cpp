#include "interrupts.hpp"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <ctime>
#include <mutex>
#include <thread>
#include <utility>

#include "os/futex.hpp"
#include "os/same_process.hpp"
#include "os/signals.hpp"
#include "python_runtime.hpp"
#include "worker/requests.hpp"

namespace hardstop::python {

namespace {

using std::chrono::milliseconds;

// Between two signals, doubled each time: what a signal misses the next one meets, and a long call
// in C, which cannot hear, has a dozen of its system calls interrupted and not a thousand.
constexpr milliseconds first_pause{5};
constexpr milliseconds longest_pause{500};

bool shielded() {
  const worker::requests* const here = worker::requests::of_this_process();
  return here != nullptr && here->shielded();
}

// Whatever is queued for this thread, which may have it blocked.
void take_pending(int signal) {
  sigset_t only;
  ::sigemptyset(&only);
  ::sigaddset(&only, signal);
  constexpr timespec at_once{};
  while (::sigtimedwait(&only, nullptr, &at_once) > 0) {
  }
}

// A signal that comes after the interpreter has looked for signals and before a system call does
// not interrupt that call, which may take as long as the grace. So it is sent until the job has
// heard.
//
// G3, never to a later job: it is sent under the lock, and only while attempt_ is who was asked.
// forget() clears attempt_ under the lock, so that nothing is sent after it, and what was sent
// before is in the queue of the job's thread, since pthread_kill() has returned. Some of it may not
// have arrived, because the thread runs on another processor or blocks the signal: forget() takes
// that from the queue. python_runtime::execute() calls it when the call is over, however it ended,
// and the loop begins no attempt before execute() has returned.
//
// Never to a thread that ended: a job that ends its thread (pthread_exit) ends the worker with it,
// see worker/loop.cpp.
class interrupter {
 public:
  // In the thread that runs jobs.
  explicit interrupter(const wire::client_words& words) : words_(words) {
    // Signals are for the job's threads.
    const os::signals_blocked quiet;
    std::thread([this] { run(); }).detach();
  }

  interrupter(const interrupter&) = delete;
  interrupter& operator=(const interrupter&) = delete;

  // A forked copy has no thread, and its lock may be held for ever.
  bool is_of_this_process() const { return generation_ == os::process_generation(); }

  void follow(wire::ticket attempt, int signal) {
    const std::lock_guard hold(lock_);
    attempt_ = attempt;
    signal_ = signal;
  }

  void forget() {
    std::unique_lock hold(lock_);
    attempt_ = wire::ticket::none;
    const bool sent = std::exchange(sent_, false);
    hold.unlock();
    forgotten_.notify_one();
    if (sent) take_pending(signal_);
  }

 private:
  // Needs no GIL: it reaches a job that blocks in a system call.
  void run() {
    for (;;) {
      const os::awaited_word bell = words_.bell();
      interrupt();
      os::futex_wait(*bell.word, bell.expected, bell.scope);
    }
  }

  // Until it is forgotten, if it was asked.
  void interrupt() {
    std::unique_lock hold(lock_);
    const wire::ticket asked = words_.asked();
    auto pause = first_pause;
    while (attempt_ != wire::ticket::none && attempt_ == asked) {
      const bool send = !shielded();
      if (send) {
        sent_ = true;
        ::pthread_kill(thread_, signal_);
      }
      forgotten_.wait_for(hold, pause);
      if (send) pause = std::min(2 * pause, longest_pause);
    }
  }

  const wire::client_words words_;
  const pthread_t thread_ = ::pthread_self();
  const std::uint64_t generation_ = os::process_generation();
  std::mutex lock_;  // of what follows
  std::condition_variable forgotten_;
  wire::ticket attempt_ = wire::ticket::none;
  int signal_ = 0;
  bool sent_ = false;  // to attempt_
};

// Never destroyed: its thread ends with the process.
interrupter* present = nullptr;

}  // namespace

void interrupt_when_asked(int signal) {
  const running_job& job = the_running_job();
  if (present == nullptr || !present->is_of_this_process()) present = new interrupter(*job.words);
  present->follow(job.ticket, signal);
}

void stop_interrupting() {
  if (present != nullptr && present->is_of_this_process()) present->forget();
}

}  // namespace hardstop::python
