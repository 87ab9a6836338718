// Turns the client's "this attempt should stop" into a std::stop_token. A thread of its own, which
// starts when the first job asks for a token: an attempt that never asks pays nothing.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <stop_token>

#include "os/same_process.hpp"
#include "wire/client_words.hpp"
#include "wire/frame.hpp"

namespace hardstop::worker {

// One for the life of the process: its thread is never joined, it ends with the process.
class stop_listener {
 public:
  explicit stop_listener(const wire::client_words& words) : words_(words) {}

  stop_listener(const stop_listener&) = delete;
  stop_listener& operator=(const stop_listener&) = delete;
  ~stop_listener() = default;

  // The token of the attempt that runs now, requested at once if the client has asked already.
  // Throws std::system_error if the thread cannot be made. The loop's thread.
  std::stop_token listen(wire::ticket attempt);

  // The attempt is over; its token will not be requested any more. The loop's thread.
  void forget();

 private:
  void run();
  void notice();

  wire::client_words words_;
  const std::uint64_t generation_ = os::process_generation();
  bool running_ = false;
  std::mutex lock_;  // of what follows
  wire::ticket attempt_ = wire::ticket::none;
  std::optional<std::stop_source> source_;
};

}  // namespace hardstop::worker
