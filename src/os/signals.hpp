// Signal mask and dispositions of the calling thread and process.
#pragma once

#include <csignal>

namespace hardstop::os {

// Blocks every signal for this thread while it lives, the C library's internal ones included, so
// that no handler runs in a process that shares our memory.
class signals_blocked {
 public:
  signals_blocked();
  ~signals_blocked();
  signals_blocked(const signals_blocked&) = delete;
  signals_blocked& operator=(const signals_blocked&) = delete;

 private:
  unsigned long long previous_ =
      0;  // the kernel's mask, which has room for signals that sigset_t hides
};

// Blocks every signal for good.
void block_all_signals();
// Unblocks every signal.
void unblock_all_signals();

// Every signal back to its default action; for fresh processes, which inherit handlers and ignored
// signals.
void reset_signal_dispositions();

}  // namespace hardstop::os
