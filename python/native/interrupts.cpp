#include "interrupts.hpp"

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <thread>

#include "os/futex.hpp"
#include "os/signals.hpp"
#include "python_runtime.hpp"

namespace hardstop::python {

namespace {

std::atomic<wire::ticket> listens{wire::ticket::none};
pthread_t jobs_thread;

// Needs no GIL: the signal reaches a job that blocks in a system call.
void listen(const wire::client_words words) {
  for (;;) {
    const os::awaited_word bell = words.bell();
    wire::ticket who = listens.load(std::memory_order_acquire);
    if (who != wire::ticket::none && words.asked() == who &&
        listens.compare_exchange_strong(who, wire::ticket::none)) {
      ::pthread_kill(jobs_thread, SIGRTMAX - 6);
    }
    os::futex_wait(*bell.word, bell.expected, bell.scope);
  }
}

}  // namespace

int interrupt_when_asked() {
  static bool running = false;
  const running_job& job = the_running_job();
  if (!running) {
    jobs_thread = ::pthread_self();
    const os::signals_blocked quiet;
    std::thread(listen, *job.words).detach();
    running = true;
  }
  listens.store(job.ticket, std::memory_order_release);
  return SIGRTMAX - 6;
}

}  // namespace hardstop::python
