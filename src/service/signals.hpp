// Signals as something to poll: the handler does nothing but write to a descriptor, so that no code
// is ever interrupted, and no mask is changed that a job's children would inherit.
#pragma once

#include <cstdint>

#include "os/descriptor.hpp"

namespace hardstop::serving {

struct signals_seen {
  std::uint32_t stops = 0;    // SIGTERM, SIGINT
  std::uint32_t reports = 0;  // SIGUSR1
};

// Where a service learns of signals. Used by its own thread.
class signal_watch {
 public:
  signal_watch() = default;
  signal_watch(const signal_watch&) = delete;
  signal_watch& operator=(const signal_watch&) = delete;
  virtual ~signal_watch() = default;

  // Readable when there is something to take; negative: never.
  [[nodiscard]] virtual int handle() const noexcept = 0;
  // What came since the last call.
  virtual signals_seen take() noexcept = 0;
};

// Handlers of this process: sigaction and an eventfd. While it lives; then the former ones are
// back. One at a time: a second one throws bad_options. In a forked child that has kept the
// handlers they do nothing.
class own_handlers final : public signal_watch {
 public:
  own_handlers();
  ~own_handlers() override;

  [[nodiscard]] int handle() const noexcept override { return event_.get(); }

  signals_seen take() noexcept override;

 private:
  struct saved;

  os::descriptor event_;
  saved* previous_ = nullptr;
};

// Handlers that somebody else has installed, who writes the signals' numbers, a byte each, to a
// pipe: Python's set_wakeup_fd().
class number_pipe final : public signal_watch {
 public:
  // Borrowed; non-blocking.
  explicit number_pipe(int readable) noexcept : handle_(readable) {}

  [[nodiscard]] int handle() const noexcept override { return handle_; }

  signals_seen take() noexcept override;

 private:
  int handle_;
};

}  // namespace hardstop::serving
