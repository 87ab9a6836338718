// Telling systemd how the service is: sd_notify(3)'s protocol, datagrams to the socket that
// NOTIFY_SOCKET names. Everything here does nothing where systemd does not want to know.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace hardstop::serving {

class systemd {
 public:
  // From the environment: NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID.
  systemd();
  systemd(const systemd&) = delete;
  systemd& operator=(const systemd&) = delete;
  ~systemd();

  // Assignments, one a line: "READY=1\nSTATUS=…". Never blocks; what cannot be sent is dropped.
  void tell(std::string_view assignments) const noexcept;

  // How often WATCHDOG=1 is to be told: half of what systemd allows.
  [[nodiscard]] std::optional<std::chrono::nanoseconds> watchdog() const noexcept {
    return watchdog_;
  }

 private:
  int socket_ = -1;
  std::optional<std::chrono::nanoseconds> watchdog_;
};

}  // namespace hardstop::serving
