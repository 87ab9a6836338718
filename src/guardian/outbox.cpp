#include "guardian/outbox.hpp"

#include <cerrno>

namespace hardstop::guardian {

void outbox::post(const wire::report& message, os::descriptor beside) {
  waiting_.push_back({.message = wire::encode(message), .beside = std::move(beside)});
  flush();
}

void outbox::flush() {
  while (!waiting_.empty() && send(waiting_.front()))
    waiting_.pop_front();
}

bool outbox::send(const letter& next) const {
  const int number = next.beside.get();
  const std::span<const int> descriptors{&number, number >= 0 ? 1U : 0U};
  const auto sent = socket_.send(next.message.bytes(), descriptors);
  // A client that is gone needs no answer; that it is gone is seen elsewhere.
  return sent || sent.error().code != EAGAIN;
}

}  // namespace hardstop::guardian
