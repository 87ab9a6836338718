// The thread that tells Python of jobs that are done: it takes the GIL once for as many as there
// are.
//
// The engine's delivery thread must never wait for the GIL, or lanes would not be read while some
// Python code keeps it. So it only links what is done into a list, here.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

#include <hardstop/detail/engine.hpp>

namespace hardstop::python {

// Something that waits for a job and is told with the GIL held.
class completion : public detail::continuation {
 public:
  // Engine's: any thread, no GIL.
  void run() noexcept final;

  // With the GIL, in the completer's thread, once. False: not now, ask again soon.
  virtual bool complete() = 0;

 protected:
  ~completion() = default;
};

class completer {
 public:
  // Of this process: a forked child has its own.
  static completer& instance();

  // With the GIL. The thread starts with the first pool and ends with stop().
  void start();

  // Takes what is left, then ends the thread: it never asks for the GIL again. With the GIL.
  void stop();

 private:
  friend class completion;

  void loop();
  void push(completion& done) noexcept;
  void take_all();

  std::atomic<detail::continuation*> done_{nullptr};
  std::atomic<std::uint32_t> bell_{0};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace hardstop::python
