// The thread that tells Python of jobs that are done: it takes the GIL once for as many as there
// are.
//
// The engine's delivery thread must never wait for the GIL, or lanes would not be read while some
// Python code keeps it. So it only links what is done into a list, here.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

namespace hardstop::python {

// Something to be told with the GIL held.
class told {
 public:
  // With the GIL, in the completer's thread, once for each tell(). False: not now, ask again soon.
  virtual bool complete() = 0;

 protected:
  ~told() = default;

 private:
  friend class completer;
  told* next_ = nullptr;
};

class completer {
 public:
  // Of this process: a forked child has its own.
  static completer& instance();

  // With the GIL. The thread starts with the first pool and ends with stop().
  void start();

  // Takes what is left, then ends the thread: it never asks for the GIL again. With the GIL.
  void stop();

  // Whether this is its thread.
  [[nodiscard]] bool is_here() const { return thread_.get_id() == std::this_thread::get_id(); }

  // Waits until all that was told before has been completed, and all that others have taken in
  // hand; does nothing in the completer's own thread. With the GIL, which it releases.
  void flush();

  // Another thread completes something itself: from the first until the second, or until it has
  // told it here. Any thread.
  void taken_in_hand() noexcept { in_hand_.fetch_add(1, std::memory_order_relaxed); }

  void off_hands() noexcept { in_hand_.fetch_sub(1, std::memory_order_release); }

  // Any thread, without the GIL. In the order of the calls, of one thread.
  void tell(told& whom) noexcept;

 private:
  void loop();
  void take_all();

  std::atomic<told*> waiting_{nullptr};
  std::atomic<std::uint32_t> bell_{0};
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint32_t> in_hand_{0};
  std::thread thread_;
};

}  // namespace hardstop::python
