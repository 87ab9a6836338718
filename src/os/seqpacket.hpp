// A pair of connected SOCK_SEQPACKET sockets: whole messages in order, with descriptors beside
// them.
//
// Sends and receives never block and never raise SIGPIPE; to wait, poll `handle()`. Nothing is
// truncated unnoticed.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <span>
#include <utility>

#include "os/descriptor.hpp"
#include "os/error.hpp"

namespace hardstop::os {

class seqpacket {
 public:
  // More descriptors than this are never sent with one message.
  static constexpr std::size_t max_descriptors = 8;

  seqpacket() = default;

  explicit seqpacket(descriptor socket) : socket_{std::move(socket)} {}

  static result<std::pair<seqpacket, seqpacket>> make_pair();

  [[nodiscard]] const descriptor& handle() const noexcept { return socket_; }

  [[nodiscard]] descriptor release() { return std::move(socket_); }

  explicit operator bool() const noexcept { return static_cast<bool>(socket_); }

  // EAGAIN: full, poll for POLLOUT. EPIPE or ECONNRESET: the peer is gone. `message` must not be
  // empty. Descriptors are duplicated into the message; the caller keeps its own.
  result<void> send(std::span<const std::byte> message, std::span<const int> descriptors = {})
      const;  // NOLINT(modernize-use-nodiscard)

  struct received {
    std::size_t size = 0;  // 0: the peer has closed
    std::array<descriptor, max_descriptors> descriptors;
    std::size_t descriptor_count = 0;
    bool descriptors_lost = false;  // more came than fit, or this process is out of descriptors

    [[nodiscard]] bool closed() const noexcept { return size == 0; }
  };

  // EAGAIN: nothing there. EMSGSIZE: a message that does not fit was dropped.
  [[nodiscard]] result<received> receive(std::span<std::byte> buffer) const;

  // Waits until there is something to receive (closing counts); false if the time passed. Negative:
  // for ever.
  [[nodiscard]] bool wait_readable(std::chrono::milliseconds limit) const;

 private:
  descriptor socket_;
};

}  // namespace hardstop::os
