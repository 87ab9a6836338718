#include "cli/run/signals.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>

#include "os/poll.hpp"

namespace hardstop::cli {
namespace {

constexpr std::array not_passed_on{SIGKILL, SIGSTOP, SIGCHLD, SIGPIPE, SIGTTIN, SIGTTOU, SIGSEGV,
                                   SIGBUS,  SIGFPE,  SIGILL,  SIGTRAP, SIGABRT, SIGSYS};

bool is_ignored(int signal) {
  struct sigaction current {};

  return ::sigaction(signal, nullptr, &current) == 0 && current.sa_handler == SIG_IGN;
}

}  // namespace

sigset_t signals_to_pass_on() {
  sigset_t chosen;
  sigemptyset(&chosen);
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    const bool kept =
        std::find(not_passed_on.begin(), not_passed_on.end(), signal) != not_passed_on.end();
    // Those between the standard and the real-time ones are the C library's; it refuses them.
    if (!kept && !is_ignored(signal)) sigaddset(&chosen, signal);
  }
  return chosen;
}

os::result<signal_events> signal_events::open(sigset_t passed_on) {
  sigaddset(&passed_on, SIGCHLD);
  signal_events events;
  events.handle_ = os::descriptor{::signalfd(-1, &passed_on, SFD_CLOEXEC | SFD_NONBLOCK)};
  if (!events.handle_) return os::last_error("making a signal descriptor");
  return events;
}

signalfd_siginfo signal_events::wait() const {
  for (;;) {
    if (const auto told = take()) return *told;
    (void)os::poll_until(handle_, POLLIN, std::chrono::milliseconds{-1});
  }
}

std::optional<signalfd_siginfo> signal_events::take() const {
  signalfd_siginfo told;
  ssize_t size = 0;
  do {
    size = ::read(handle_.get(), &told, sizeof told);
  } while (size < 0 && errno == EINTR);
  if (size != sizeof told) return std::nullopt;
  return told;
}

void die_by(int signal) {
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  ::signal(signal, SIG_DFL);
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, signal);
  ::sigprocmask(SIG_UNBLOCK, &only, nullptr);
  ::raise(signal);
}

}  // namespace hardstop::cli
