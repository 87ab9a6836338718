// Exceptions as bytes.
#include "wire/failure.hpp"

#include "fuzz/input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto failure = hardstop::wire::decode_failure(std::as_bytes(std::span{data, size}));
  if (!failure) return 0;
  hardstop::fuzz::require(failure->type.size() + failure->what.size() + 4 == size);
  const auto again =
      hardstop::wire::decode_failure(hardstop::wire::encode_failure(failure->type, failure->what));
  hardstop::fuzz::require(again.has_value());
  return 0;
}
