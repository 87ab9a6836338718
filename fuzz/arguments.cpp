// Arguments of a job, as a queue's file holds them: the first byte says in which format. Whoever
// can write the file chooses every byte.
#include <cstdint>
#include <span>
#include <string_view>

#include "service/queue/message_check.hpp"
#include <hardstop/message.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto format = static_cast<hardstop::argument_format>(data[0] % 4);  // 3 is none
  const auto bytes = std::as_bytes(std::span{data, size}.subspan(1));
  const std::string_view name{reinterpret_cast<const char*>(data), size};
  (void)hardstop::storage::format_called(name);
  (void)hardstop::storage::why_no_job(name, format, bytes);
  return 0;
}
