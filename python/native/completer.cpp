#include "completer.hpp"

#include <sys/prctl.h>

#include <atomic>
#include <memory>
#include <semaphore>
#include <thread>

#include "os/futex.hpp"
#include "os/one_per_process.hpp"
#include "os/signals.hpp"
#include "python.hpp"

namespace hardstop::python {

namespace {

os::one_per_process<completer> present;

}  // namespace

completer& completer::instance() {
  return present.get();
}

void completer::start() {
  if (thread_.joinable()) return;
  stopping_ = false;
  const os::signals_blocked quiet;  // handlers of the host's never run here
  thread_ = std::thread([this] { loop(); });
}

void completer::stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  bell_.fetch_add(1, std::memory_order_seq_cst);
  os::futex_wake(bell_, os::futex_scope::process);
  const gil_released others_run;
  thread_.join();
}

void completer::tell(told& whom) noexcept {
  // A stack of many writers, emptied as a whole by one reader: no ABA.
  told* first = waiting_.load(std::memory_order_relaxed);
  do {
    whom.next_ = first;
  } while (!waiting_.compare_exchange_weak(first, &whom, std::memory_order_release,
                                           std::memory_order_relaxed));
  // Only whoever finds it empty wakes: the reader empties it after it has read the bell.
  if (first != nullptr) return;
  bell_.fetch_add(1, std::memory_order_seq_cst);
  os::futex_wake(bell_, os::futex_scope::process);
}

namespace {

// Stands behind everything that was told before it.
class mark final : public told {
 public:
  bool complete() override {
    // The one that waits goes on, and destroys *this, before release() has returned.
    const auto reached = reached_;
    reached->release();
    return true;
  }

  void wait() { reached_->acquire(); }

 private:
  std::shared_ptr<std::binary_semaphore> reached_ = std::make_shared<std::binary_semaphore>(0);
};

}  // namespace

void completer::flush() {
  if (!thread_.joinable() || thread_.get_id() == std::this_thread::get_id()) return;
  {
    const gil_released others_run;
    // Each is on its way to the GIL, or to tell(), and waits for nothing else.
    while (in_hand_.load(std::memory_order_acquire) != 0)
      std::this_thread::yield();
  }
  mark here;
  tell(here);
  const gil_released others_run;
  here.wait();
}

void completer::take_all() {
  told* newest = waiting_.exchange(nullptr, std::memory_order_acquire);
  told* next = nullptr;
  while (newest != nullptr) {  // oldest first
    told* older = newest->next_;
    newest->next_ = next;
    next = newest;
    newest = older;
  }
  if (next == nullptr) return;
  const gil_taken gil;
  while (next != nullptr) {
    told& each = *next;
    next = next->next_;  // completing may free it
    while (!each.complete()) {
      // Another thread is about to resolve it, and needs the GIL for that.
      const gil_released others_run;
      std::this_thread::yield();
    }
  }
}

void completer::loop() {
  ::prctl(PR_SET_NAME, "hs-completer");
  while (true) {
    const std::uint32_t heard = bell_.load(std::memory_order_seq_cst);
    take_all();
    if (waiting_.load(std::memory_order_acquire) != nullptr) continue;
    if (stopping_) return;
    os::futex_wait(bell_, heard, os::futex_scope::process);
  }
}

}  // namespace hardstop::python
