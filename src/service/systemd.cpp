#include "service/systemd.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace hardstop::serving {

namespace {

std::optional<long long> number_in(const char* variable) {
  const char* const text = std::getenv(variable);
  if (text == nullptr) return {};
  long long number = 0;
  const char* const end = text + std::strlen(text);
  const auto [stopped, error] = std::from_chars(text, end, number);
  if (error != std::errc() || stopped != end) return {};
  return number;
}

}  // namespace

systemd::systemd() {
  const char* const path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path == nullptr || (path[0] != '/' && path[0] != '@')) return;
  const std::size_t size = std::strlen(path);
  if (size >= sizeof(address.sun_path)) return;
  std::memcpy(address.sun_path, path, size);
  if (path[0] == '@') address.sun_path[0] = '\0';  // an abstract socket
  socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + size);
  if (socket_ >= 0 &&
      ::connect(socket_, reinterpret_cast<const sockaddr*>(&address), length) != 0) {
    ::close(socket_);
    socket_ = -1;
  }
  const auto allowed = number_in("WATCHDOG_USEC");
  const auto meant = number_in("WATCHDOG_PID");
  if (allowed && *allowed > 0 && (!meant || *meant == ::getpid())) {
    watchdog_ = std::chrono::microseconds(*allowed) / 2;
  }
}

systemd::~systemd() {
  if (socket_ >= 0) ::close(socket_);
}

void systemd::tell(std::string_view assignments) const noexcept {
  if (socket_ < 0) return;
  [[maybe_unused]] const auto sent =
      ::send(socket_, assignments.data(), assignments.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace hardstop::serving
