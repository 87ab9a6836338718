#include "os/pidfd.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdint>

#include "os/poll.hpp"
#include "os/proc.hpp"

namespace hardstop::os {
namespace {

constexpr auto by_pidfd = static_cast<idtype_t>(3);  // P_PIDFD, which older headers lack

// As in <linux/pidfd.h> of Linux 6.15.
struct pidfd_info {
  std::uint64_t mask;
  std::uint64_t cgroup;
  std::array<std::uint32_t, 11> identities;
  std::int32_t exit_code;
};

static_assert(sizeof(pidfd_info) == 64);
constexpr std::uint64_t pidfd_info_exit = 1U << 3U;
constexpr unsigned long pidfd_get_info = _IOWR(0xFF, 11, pidfd_info);

}  // namespace

exit_status exit_status::from_wait_status(int status) {
  if (WIFSIGNALED(status)) {
    return {.code = 0, .signal = WTERMSIG(status), .core_dumped = WCOREDUMP(status) != 0};
  }
  return {.code = WEXITSTATUS(status), .signal = 0, .core_dumped = false};
}

result<pidfd> pidfd::open(pid_t pid) {
  const auto number = ::syscall(SYS_pidfd_open, pid, 0U);
  if (number < 0) return last_error("opening a pidfd");
  return pidfd{descriptor{static_cast<int>(number)}, pid};
}

result<pidfd> pidfd::open_child_of(pid_t pid, pid_t parent) {
  auto opened = open(pid);
  if (!opened) return opened;
  // The pidfd pins the process: if it is the right one now, it was so when opened.
  const auto stat = read_stat(pid);
  if (!stat || stat->parent != parent) {
    return error{.code = ESRCH, .operation = "opening a child's pidfd"};
  }
  return opened;
}

result<void> pidfd::send_signal(int signal) const {
  if (::syscall(SYS_pidfd_send_signal, handle_.get(), signal, nullptr, 0U) < 0) {
    return last_error("signalling a process");
  }
  return {};
}

bool pidfd::ended() const {
  return wait_ended(std::chrono::milliseconds{0});
}

bool pidfd::wait_ended(std::chrono::milliseconds limit) const {
  return poll_until(handle_, POLLIN, limit);
}

std::optional<exit_status> pidfd::reap() const {
  siginfo_t info{};
  const auto id = static_cast<id_t>(handle_.get());
  if (::waitid(by_pidfd, id, &info, WEXITED | WNOHANG | __WALL) < 0) return std::nullopt;
  if (info.si_pid == 0) return std::nullopt;
  if (info.si_code == CLD_EXITED) return exit_status{.code = info.si_status};
  return exit_status{.signal = info.si_status, .core_dumped = info.si_code == CLD_DUMPED};
}

std::optional<exit_status> pidfd::exit_info() const {
  pidfd_info info{};
  info.mask = pidfd_info_exit;
  if (::ioctl(handle_.get(), pidfd_get_info, &info) < 0) return std::nullopt;
  if ((info.mask & pidfd_info_exit) == 0) return std::nullopt;
  return exit_status::from_wait_status(info.exit_code);
}

}  // namespace hardstop::os
