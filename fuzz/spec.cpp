// What a worker is told at birth.
#include "worker/spec.hpp"

#include "fuzz/input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto told = hardstop::worker::decode_spec(std::as_bytes(std::span{data, size}));
  if (!told) return 0;
  // What was understood can be said again.
  const auto bytes = hardstop::worker::encode_spec(*told);
  const auto again = hardstop::worker::decode_spec(bytes);
  hardstop::fuzz::require(again.has_value() && hardstop::worker::encode_spec(*again) == bytes);
  return 0;
}
