// Small things that tests of whole pools have in common.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <ostream>
#include <string>
#include <vector>

#include "support/board.hpp"
#include <hardstop/event.hpp>
#include <hardstop/options.hpp>
#include <hardstop/outcome.hpp>

namespace hardstop {

// For GoogleTest's messages.
inline void PrintTo(outcome_kind kind, std::ostream* out) {
  *out << to_string(kind);
}

inline void PrintTo(event_kind kind, std::ostream* out) {
  *out << to_string(kind);
}

}  // namespace hardstop

namespace support {

inline constexpr std::array every_start_method{hardstop::start_method::fork,
                                               hardstop::start_method::forkserver,
                                               hardstop::start_method::spawn};

inline std::string name_of(hardstop::start_method method) {
  constexpr std::array names{"fork", "forkserver", "spawn"};
  return names.at(static_cast<std::size_t>(method));
}

inline hardstop::start_method start_method_called(const std::string& name) {
  for (const auto method : every_start_method) {
    if (name_of(method) == name) return method;
  }
  throw std::invalid_argument("no such start method: " + name);
}

// Keeps a pool's news, and can be waited for. Must outlive the pool.
class event_log {
 public:
  struct entry {
    hardstop::event_kind kind{};
    int pid = 0;
    std::string job{};
    std::string text{};
  };

  // For pool_options::on_event.
  std::function<void(const hardstop::event&)> sink() {
    return [this](const hardstop::event& news) {
      const std::lock_guard lock(mutex_);
      entries_.push_back({.kind = news.kind,
                          .pid = news.pid,
                          .job = std::string(news.job),
                          .text = std::string(news.text)});
      came_.notify_all();
    };
  }

  [[nodiscard]] std::vector<entry> entries() const {
    const std::lock_guard lock(mutex_);
    return entries_;
  }

  [[nodiscard]] std::size_t count(hardstop::event_kind kind) const {
    const std::lock_guard lock(mutex_);
    return counted(kind);
  }

  [[nodiscard]] bool wait_for(hardstop::event_kind kind, std::size_t how_many = 1) const {
    std::unique_lock lock(mutex_);
    return came_.wait_for(lock, patience, [&] { return counted(kind) >= how_many; });
  }

 private:
  [[nodiscard]] std::size_t counted(hardstop::event_kind kind) const {
    return static_cast<std::size_t>(std::count_if(
        entries_.begin(), entries_.end(), [&](const entry& each) { return each.kind == kind; }));
  }

  mutable std::mutex mutex_;
  mutable std::condition_variable came_;
  std::vector<entry> entries_;
};

// Jobs.

inline int twice(int number) {
  return 2 * number;
}

inline int own_pid() {
  return ::getpid();
}

inline int parent_pid() {
  return ::getppid();
}

}  // namespace support
