// A process that cannot be mistaken for another: signals and waits through a pidfd never reach a
// recycled pid (G3).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <utility>

#include "os/descriptor.hpp"
#include "os/error.hpp"

namespace hardstop::os {

// How a process ended.
struct exit_status {
  int code = 0;    // what it passed to exit; meaningful if signal == 0
  int signal = 0;  // the signal that killed it; 0: it exited by itself
  bool core_dumped = false;

  [[nodiscard]] static exit_status from_wait_status(int status);
  friend bool operator==(const exit_status&, const exit_status&) = default;
};

class pidfd {
 public:
  pidfd() = default;

  // Takes over a pidfd that came from elsewhere; `pid` is for people and messages.
  pidfd(descriptor handle, pid_t pid) : handle_{std::move(handle)}, pid_{pid} {}

  // Right only where the pid cannot have been recycled: our own child not yet reaped, or ourselves.
  static result<pidfd> open(pid_t pid);
  // For a pid that was read somewhere: opens, then checks that the process still is a child of
  // `parent`; ESRCH if not.
  static result<pidfd> open_child_of(pid_t pid, pid_t parent);

  [[nodiscard]] const descriptor& handle() const noexcept { return handle_; }

  // Gives the descriptor away.
  [[nodiscard]] descriptor release() && { return std::move(handle_); }

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }

  explicit operator bool() const noexcept { return static_cast<bool>(handle_); }

  // Any thread. ESRCH: it has been reaped.
  result<void> send_signal(int signal) const;  // NOLINT(modernize-use-nodiscard)

  // True once every thread of it has ended (its corpse may still wait to be reaped).
  [[nodiscard]] bool ended() const;
  // Waits until ended() or for so long; true if ended. Negative: for ever.
  [[nodiscard]] bool wait_ended(std::chrono::milliseconds limit) const;

  // Reaps it if it is our child and has ended. nullopt: not our child, or still running, or reaped
  // by somebody else. A host that is PID 1 or a subreaper adopts wardens and must call this when
  // the pidfd becomes readable.
  [[nodiscard]] std::optional<exit_status> reap() const;

  // How it ended, whoever reaped it. Needs Linux 6.15; nullopt where the kernel cannot tell.
  [[nodiscard]] std::optional<exit_status> exit_info() const;

 private:
  descriptor handle_;
  pid_t pid_ = 0;
};

}  // namespace hardstop::os
