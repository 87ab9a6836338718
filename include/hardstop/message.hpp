// What a queue holds of a job: data, not code. A name under which the service that runs it has
// registered a function, and arguments in a format that anybody can read.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hardstop {

/// How arguments are written.
enum class argument_format : std::uint8_t {
  json,         ///< RFC 8259
  messagepack,  ///< https://msgpack.org
  /// Python's pickle behind a signature. Whoever can make one can run anything, so that only a
  /// Python service that was given the key takes it; see hardstop.Queue there.
  signed_pickle,
};

/// The format's name in files and on the command line: "json", "msgpack", "pickle".
[[nodiscard]] std::string_view to_string(argument_format format) noexcept;

/// One call, as data. Arguments are an array of the positional ones, or, from Python, an object
/// {"args": […], "kwargs": {…}}.
struct job_message {
  std::string name{};  ///< as registered with the service
  argument_format format = argument_format::json;
  std::vector<std::byte> arguments{};

  friend bool operator==(const job_message&, const job_message&) = default;
};

}  // namespace hardstop
