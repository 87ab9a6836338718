// Messages to a client that may not be reading: sending never blocks.
#pragma once

#include <deque>
#include <span>
#include <utility>
#include <vector>

#include "os/descriptor.hpp"
#include "os/seqpacket.hpp"
#include "wire/control.hpp"

namespace hardstop::guardian {

class outbox {
 public:
  explicit outbox(const os::seqpacket& socket) : socket_{socket} {}

  void post(const wire::report& message, os::descriptor beside = {});

  // Sends what fits. Call when the socket is writable.
  void flush();

  [[nodiscard]] bool empty() const { return waiting_.empty(); }

 private:
  struct letter {
    wire::encoded message;
    os::descriptor beside;
  };

  [[nodiscard]] bool send(const letter& next) const;

  const os::seqpacket& socket_;
  std::deque<letter> waiting_;
};

}  // namespace hardstop::guardian
