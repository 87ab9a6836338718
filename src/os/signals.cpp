#include "os/signals.hpp"

#include <sys/syscall.h>
#include <unistd.h>

namespace hardstop::os {
namespace {

// The C library's own calls quietly leave out the signals it uses itself; the kernel's do not.
using kernel_mask = unsigned long long;
static_assert(sizeof(kernel_mask) == 8);

kernel_mask change_mask(int how, kernel_mask mask) {
  kernel_mask previous = 0;
  ::syscall(SYS_rt_sigprocmask, how, &mask, &previous, sizeof mask);
  return previous;
}

}  // namespace

signals_blocked::signals_blocked() : previous_{change_mask(SIG_BLOCK, ~kernel_mask{0})} {}

signals_blocked::~signals_blocked() {
  change_mask(SIG_SETMASK, previous_);
}

void block_all_signals() {
  change_mask(SIG_BLOCK, ~kernel_mask{0});
}

void unblock_all_signals() {
  change_mask(SIG_SETMASK, 0);
}

void reset_signal_dispositions() {
  struct sigaction standard {};

  standard.sa_handler = SIG_DFL;
  // Fails for SIGKILL, SIGSTOP and the C library's own two, which is as well.
  for (int signal = 1; signal < NSIG; ++signal)
    ::sigaction(signal, &standard, nullptr);
}

}  // namespace hardstop::os
