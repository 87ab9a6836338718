// The delivery thread: reads lanes when nobody else does, and runs user code: continuations and
// event sinks.
//
// It sleeps on the bells of all lanes at once and on a word of its own; an idle pool costs nothing.
// While a thread that waits for a job reads lanes itself (waiting.cpp) this thread stays asleep.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "engine/job.hpp"
#include "os/futex.hpp"
#include <hardstop/detail/engine.hpp>
#include <hardstop/event.hpp>

namespace hardstop::engine {

class engine;

// A piece of news with its texts, on its way to the pool's sink.
struct kept_event {
  std::shared_ptr<detail::pool> pool;
  hardstop::event_kind kind{};
  std::chrono::system_clock::time_point when{};
  std::string job;
  int pid = 0;
  unsigned attempt = 0;
  std::string text;
};

class delivery {
 public:
  explicit delivery(engine& home) : home_(home) {}

  void start();
  // After engine::delivery_may_leave() has said so.
  void join();

  [[nodiscard]] bool is_this_thread() const;

  // Any thread.
  void wake();
  void run_later(detail::continuation* first);
  void tell_later(kept_event&&);
  void give_birth_later(std::shared_ptr<detail::pool>);

 private:
  void loop();
  bool run_inbox();
  void sleep();

  struct inbox {
    std::vector<detail::continuation*> continuations;  // chains
    std::vector<kept_event> events;
    std::vector<std::shared_ptr<detail::pool>> births;

    [[nodiscard]] bool empty() const {
      return continuations.empty() && events.empty() && births.empty();
    }
  };

  engine& home_;
  std::thread thread_;
  std::atomic<std::thread::id> id_{};
  os::futex_word bell_{0};
  std::mutex inbox_lock_;
  inbox inbox_;
};

}  // namespace hardstop::engine
