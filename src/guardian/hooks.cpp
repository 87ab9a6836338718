#include "guardian/hooks.hpp"

#include <stdio_ext.h>

#include <cstdio>

#include "os/signals.hpp"

namespace hardstop::guardian {

int guardian_hooks::in_guardian(const os::descriptor&) {
  // What the host had buffered is the host's to write; a worker that ends by exit() or flushes
  // would write it again.
  for (FILE* const stream : {stdin, stdout, stderr})
    ::__fpurge(stream);
  os::reset_signal_dispositions();
  return 0;
}

pid_t guardian_hooks::fork_worker() {
  return ::fork();
}

void guardian_hooks::reset_signals() {
  os::unblock_all_signals();
}

}  // namespace hardstop::guardian
