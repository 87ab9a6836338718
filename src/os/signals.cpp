#include "os/signals.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <array>

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
  // All zero is the default action in the kernel's own structure, whatever the processor. Not the C
  // library's call: sanitizers keep a table behind it, which a child that shares our memory must
  // not touch.
  constexpr std::array<unsigned long, 4> standard{};
  constexpr int first_internal =
      32;  // the C library's own (cancellation, setuid) keep their handlers
  for (int signal = 1; signal < NSIG; ++signal) {
    if (signal >= first_internal && signal < SIGRTMIN) continue;
    ::syscall(SYS_rt_sigaction, signal, standard.data(), nullptr, sizeof(kernel_mask));
  }
}

}  // namespace hardstop::os
