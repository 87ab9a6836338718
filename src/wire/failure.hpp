// An exception as bytes: the payload of a report of kind exception, and of a C++ start_failed.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hardstop::wire {

struct failure {
  std::string type;  // as written in the job's language, e.g. "std::out_of_range"
  std::string what;
};

// Texts longer than this are cut, so that a failure always fits into a lane.
inline constexpr std::size_t longest_failure_text = 3500;

std::vector<std::byte> encode_failure(std::string_view type, std::string_view what);

// Copies, then checks: the bytes may be in memory that a worker still writes to. Nothing if they
// cannot be a failure.
std::optional<failure> decode_failure(std::span<const std::byte> bytes);

}  // namespace hardstop::wire
