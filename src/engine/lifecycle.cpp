// When the engine's threads run: from the birth of a first pool to the end of the last one.
//
// The delivery thread runs user code, which may make and use a new pool at the very moment at which
// another thread ends the last one and waits for the delivery thread to stop. So a stop is a
// question: the thread leaves only if, under the lifecycle lock, there still is no pool; and
// whoever asked is told either way. Nobody joins a thread while holding a lock which that thread
// may want.
#include "engine/engine.hpp"

namespace hardstop::engine {

void engine::enter_pool(const std::shared_ptr<pool>& whose) {
  std::unique_lock lifecycle(lifecycle_);
  if (whose->entered) return;
  whose->entered = true;
  ++users_;
  // On its way out for good: it is joined in a moment, then both threads start anew.
  lifecycle_changed_.wait(lifecycle, [&] { return threads_ != threads::stopped; });
  if (threads_ == threads::none) {
    control_.start();
    delivery_.start();
  }
  threads_ = threads::running;
  lifecycle_changed_.notify_all();
  const std::lock_guard lock(mutex_);
  pools_.push_back(whose);
  armed_ = schedule::never;  // what was armed before the threads ran was not heard
}

namespace {

// What the sink refers to may be gone when its pool is: all news must have been told by then. But
// for the delivery thread itself, which tells it, nobody is let go before.
void wait_told(const pool& which) noexcept {
  while (const std::uint32_t untold = which.untold.load(std::memory_order_acquire)) {
    os::futex_wait(which.untold, untold, os::futex_scope::process);
  }
}

}  // namespace

void engine::wait_closed(pool& which) noexcept {
  while (which.closed.load(std::memory_order_acquire) == 0) {
    os::futex_wait(which.closed, 0, os::futex_scope::process);
  }
  if (!on_delivery_thread()) wait_told(which);
  std::unique_lock lifecycle(lifecycle_);
  if (!std::exchange(which.entered, false)) return;
  if (--users_ != 0) return;
  threads_ = threads::stopping;
  delivery_.wake();
  lifecycle_changed_.wait(lifecycle, [&] { return threads_ != threads::stopping; });
  if (threads_ != threads::stopped) return;  // there is a pool again
  delivery_.join();
  control_.stop();
  threads_ = threads::none;
  lifecycle_changed_.notify_all();
}

bool engine::delivery_may_leave() {
  const std::lock_guard lifecycle(lifecycle_);
  if (threads_ != threads::stopping) return false;
  threads_ = threads::stopped;
  lifecycle_changed_.notify_all();
  return true;
}

}  // namespace hardstop::engine
