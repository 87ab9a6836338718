// A source under test: with two who take from it, a clock that stands still until it is moved, and
// an ear for cancellations.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "service/queue/model.hpp"
#include "support/board.hpp"
#include <hardstop/source.hpp>

namespace hardstop::test {

class still_clock {
 public:
  [[nodiscard]] model_time now() const { return model_time{time_.load()}; }

  void advance(std::chrono::nanoseconds by) { time_.store(time_.load() + by); }

  [[nodiscard]] std::function<model_time()> reader() const {
    return [this] { return now(); };
  }

 private:
  std::atomic<std::chrono::nanoseconds> time_{std::chrono::hours(24 * 365 * 50)};
};

// What one listener was told, in order.
class told_log {
 public:
  std::function<void(const receipt&)> ear() {
    return [this](const receipt& which) {
      const std::lock_guard lock{mutex_};
      told_.push_back(which);
      came_.notify_all();
    };
  }

  [[nodiscard]] bool wait_for(std::size_t count) const {
    std::unique_lock lock{mutex_};
    return came_.wait_for(lock, support::patience, [&] { return told_.size() >= count; });
  }

  [[nodiscard]] std::vector<receipt> all() const {
    const std::lock_guard lock{mutex_};
    return told_;
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable came_;
  std::vector<receipt> told_;
};

class subject {
 public:
  subject() = default;
  subject(const subject&) = delete;
  subject& operator=(const subject&) = delete;
  virtual ~subject() = default;

  [[nodiscard]] virtual rules its_rules() const = 0;
  // 0 or 1. May be the same.
  virtual source& taker(unsigned which) = 0;
  // Of those who listen.
  [[nodiscard]] virtual std::vector<const told_log*> listeners() const = 0;
  virtual std::string enqueue(int priority) = 0;
  virtual bool cancel(const std::string& id) = 0;
  [[nodiscard]] virtual std::size_t size() = 0;

  still_clock clock;
};

using make_subject = std::function<std::unique_ptr<subject>()>;

[[nodiscard]] std::unique_ptr<subject> memory_subject();
[[nodiscard]] std::unique_ptr<subject> one_object_subject();
[[nodiscard]] std::unique_ptr<subject> two_objects_subject();
[[nodiscard]] std::unique_ptr<subject> two_processes_subject();

}  // namespace hardstop::test
