#include "service/signals.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <system_error>

#include "os/same_process.hpp"
#include <hardstop/errors.hpp>

namespace hardstop::serving {

namespace {

constexpr std::array watched{SIGTERM, SIGINT, SIGUSR1};

// An eventfd is a counter of 64 bits: its lower half counts stops, the upper one reports.
constexpr std::uint64_t one_stop = 1;
constexpr std::uint64_t one_report = std::uint64_t{1} << 32;

// What the handler may look at: lock-free, and there before the handler is. The descriptor's number
// and the process whose it is are one word, so that they cannot be torn apart.
std::atomic<int> event_number{-1};
std::atomic<std::uint64_t> event_owner{0};

// Async-signal-safe: two loads, a load of the generation, write().
void note(int signal) {
  const int saved = errno;
  const int into = event_number.load(std::memory_order_acquire);
  // A forked child has the handler and the descriptor, but its signals are not our business.
  if (into >= 0 && event_owner.load(std::memory_order_acquire) == os::process_generation()) {
    const std::uint64_t add = signal == SIGUSR1 ? one_report : one_stop;
    // It can fail only when the counter is full: then there is more than enough to read.
    [[maybe_unused]] const auto written = ::write(into, &add, sizeof(add));
  }
  errno = saved;
}

}  // namespace

struct own_handlers::saved {
  std::array<struct sigaction, watched.size()> actions{};
};

own_handlers::own_handlers()
    : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), previous_(new saved()) {
  if (!event_) {
    delete previous_;
    throw system_failure(std::make_error_code(static_cast<std::errc>(errno)),
                         "making an eventfd for signals");
  }
  // The owner first: a handler that sees the number sees it, too.
  event_owner.store(os::process_generation(), std::memory_order_release);
  int nobody = -1;
  if (!event_number.compare_exchange_strong(nobody, event_.get(), std::memory_order_acq_rel)) {
    delete previous_;
    throw bad_options(
        "another service of this process handles signals already: give this one "
        "handle_signals = false, and stop() it yourself");
  }

  struct sigaction action {};

  action.sa_handler = &note;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (std::size_t index = 0; index < watched.size(); ++index) {
    ::sigaction(watched[index], &action, &previous_->actions[index]);
  }
}

own_handlers::~own_handlers() {
  for (std::size_t index = 0; index < watched.size(); ++index) {
    ::sigaction(watched[index], &previous_->actions[index], nullptr);
  }
  event_number.store(-1, std::memory_order_release);
  delete previous_;
}

signals_seen own_handlers::take() noexcept {
  std::uint64_t count = 0;
  if (::read(event_.get(), &count, sizeof(count)) != sizeof(count)) return {};
  return {.stops = static_cast<std::uint32_t>(count),
          .reports = static_cast<std::uint32_t>(count >> 32)};
}

signals_seen number_pipe::take() noexcept {
  signals_seen seen;
  std::array<unsigned char, 64> numbers{};
  while (true) {
    const auto size = ::read(handle_, numbers.data(), numbers.size());
    if (size <= 0) return seen;
    for (ssize_t index = 0; index < size; ++index) {
      const int number = numbers[static_cast<std::size_t>(index)];
      seen.stops += number == SIGTERM || number == SIGINT ? 1 : 0;
      seen.reports += number == SIGUSR1 ? 1 : 0;
    }
  }
}

}  // namespace hardstop::serving
