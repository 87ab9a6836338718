#include "os/seqpacket.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cassert>
#include <cstring>
#include <new>

#include "os/poll.hpp"

namespace hardstop::os {
namespace {

struct control_space {
  alignas(
      cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int) * seqpacket::max_descriptors)> bytes{};
};

msghdr header_of(iovec& bytes) {
  msghdr header{};
  header.msg_iov = &bytes;
  header.msg_iovlen = 1;
  return header;
}

void attach(msghdr& header, control_space& space, std::span<const int> descriptors) {
  header.msg_control = space.bytes.data();
  header.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
  cmsghdr* const control = CMSG_FIRSTHDR(&header);
  control->cmsg_level = SOL_SOCKET;
  control->cmsg_type = SCM_RIGHTS;
  control->cmsg_len = CMSG_LEN(descriptors.size_bytes());
  std::memcpy(CMSG_DATA(control), descriptors.data(), descriptors.size_bytes());
}

void take_over(const cmsghdr& control, seqpacket::received& into) {
  const auto count = (control.cmsg_len - CMSG_LEN(0)) / sizeof(int);
  for (std::size_t i = 0; i < count; ++i) {
    int number = -1;
    std::memcpy(&number, CMSG_DATA(&control) + i * sizeof(int), sizeof number);
    descriptor taken{number};
    if (into.descriptor_count < into.descriptors.size()) {
      into.descriptors[into.descriptor_count++] = std::move(taken);
    }
  }
}

}  // namespace

result<std::pair<seqpacket, seqpacket>> seqpacket::make_pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) < 0) {
    return last_error("making a socket pair");
  }
  return std::pair{seqpacket{descriptor{ends[0]}}, seqpacket{descriptor{ends[1]}}};
}

result<void> seqpacket::send(std::span<const std::byte> message,
                             std::span<const int> descriptors) const {
  assert(!message.empty() && descriptors.size() <= max_descriptors);
  iovec bytes{.iov_base = const_cast<std::byte*>(message.data()), .iov_len = message.size()};
  msghdr header = header_of(bytes);
  control_space space;
  if (!descriptors.empty()) attach(header, space, descriptors);
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket_.get(), &header, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return last_error("sending a message");
  return {};
}

result<seqpacket::received> seqpacket::receive(std::span<std::byte> buffer) const {
  iovec bytes{.iov_base = buffer.data(), .iov_len = buffer.size()};
  msghdr header = header_of(bytes);
  control_space space;
  header.msg_control = space.bytes.data();
  header.msg_controllen = space.bytes.size();
  ssize_t size = 0;
  // ECONNRESET says, once, that the peer closed with messages of ours unread; what it had sent
  // before is still there and comes next.
  do {
    size = ::recvmsg(socket_.get(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (size < 0 && (errno == EINTR || errno == ECONNRESET));
  if (size < 0) return last_error("receiving a message");

  received message;
  message.size = static_cast<std::size_t>(size);
  for (cmsghdr* control = CMSG_FIRSTHDR(&header); control != nullptr;
       control = CMSG_NXTHDR(&header, control)) {
    if (control->cmsg_level == SOL_SOCKET && control->cmsg_type == SCM_RIGHTS) {
      take_over(*control, message);
    }
  }
  if ((header.msg_flags & MSG_TRUNC) != 0) {
    return error{.code = EMSGSIZE, .operation = "receiving a message"};
  }
  message.descriptors_lost = (header.msg_flags & MSG_CTRUNC) != 0;
  return message;
}

bool seqpacket::wait_readable(std::chrono::milliseconds limit) const {
  return poll_until(socket_, POLLIN, limit);
}

}  // namespace hardstop::os
