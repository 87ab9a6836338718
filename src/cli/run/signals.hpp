// Which signals a run passes on, and reading them as events.
#pragma once

#include <sys/signalfd.h>

#include <csignal>
#include <optional>

#include "os/descriptor.hpp"
#include "os/error.hpp"

namespace hardstop::cli {

// Everything that can be caught, but SIGCHLD, which is ours, SIGPIPE and what the kernel raises for
// our own mistakes, and SIGTTIN and SIGTTOU, which shall stop us as anybody. Signals that this
// process was started to ignore (nohup, a script's background jobs) stay ignored: the command
// inherits that.
[[nodiscard]] sigset_t signals_to_pass_on();

class signal_events {
 public:
  signal_events() = default;
  // Those of the set, and SIGCHLD; all must be blocked.
  static os::result<signal_events> open(sigset_t passed_on);

  [[nodiscard]] const os::descriptor& handle() const { return handle_; }

  // Waits for the next.
  [[nodiscard]] signalfd_siginfo wait() const;
  // The next that is there.
  [[nodiscard]] std::optional<signalfd_siginfo> take() const;

 private:
  os::descriptor handle_;
};

// Ends this process by that signal, without a core file: that would be of the wrong program.
// Returns if the process cannot die by it: PID 1.
void die_by(int signal);

}  // namespace hardstop::cli
