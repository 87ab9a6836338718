// What jobs ask of their client.
#include "wire/job_request.hpp"

#include "fuzz/input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span{data, size});
  const auto request = hardstop::wire::decode_job_request(bytes);
  if (!request) return 0;
  hardstop::fuzz::require(request->wants.size() <= hardstop::wire::most_wanted);
  hardstop::fuzz::require(request->reason.size() <= hardstop::wire::longest_reason);
  hardstop::fuzz::require(request->longest >= std::chrono::nanoseconds::zero());
  const auto again = hardstop::wire::encode(*request);
  hardstop::fuzz::require(again.size() == size &&
                          std::equal(again.begin(), again.end(), bytes.begin()));
  return 0;
}
