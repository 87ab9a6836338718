// Messages between client and guardian.
#include "wire/control.hpp"

#include <algorithm>

#include "fuzz/input.hpp"

namespace {

// What was understood can be said again, and is the same then.
template <class Message>
void say_again(const hardstop::os::result<Message>& message,
               hardstop::os::result<Message> (*decode)(std::span<const std::byte>)) {
  if (!message) return hardstop::fuzz::require(message.error().code == EBADMSG);
  (void)hardstop::wire::descriptors_beside(*message);
  const auto once = hardstop::wire::encode(*message);
  const auto again = decode(once.bytes());
  hardstop::fuzz::require(again.has_value());
  const auto twice = hardstop::wire::encode(*again);
  hardstop::fuzz::require(std::ranges::equal(once.bytes(), twice.bytes()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span{data, size});
  say_again(hardstop::wire::decode_request(bytes), &hardstop::wire::decode_request);
  say_again(hardstop::wire::decode_report(bytes), &hardstop::wire::decode_report);
  return 0;
}
