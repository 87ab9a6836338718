// Small things that tests of queues have in common.
#pragma once

#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include <hardstop/queue.hpp>
#include <hardstop/source.hpp>

namespace hardstop {

// For GoogleTest's messages.
inline void PrintTo(queued_state state, std::ostream* out) {
  *out << to_string(state);
}

inline void PrintTo(const receipt& which, std::ostream* out) {
  *out << "job " << which.job << ", attempt " << which.attempt;
}

}  // namespace hardstop

namespace hardstop::test {

// What power cuts do is not tested, and flushing the disk takes long.
inline const queue_options quick{.durability = durability::process};

inline job_message message_of(std::string name, std::string_view arguments = "[]",
                              argument_format format = argument_format::json) {
  const auto bytes = std::as_bytes(std::span{arguments});
  return {.name = std::move(name), .format = format, .arguments = {bytes.begin(), bytes.end()}};
}

inline std::string text_of(const job_message& message) {
  return {reinterpret_cast<const char*>(message.arguments.data()), message.arguments.size()};
}

inline std::vector<receipt> receipts_of(const taking& taken) {
  std::vector<receipt> all;
  for (const auto& each : taken.jobs)
    all.push_back(each.receipt);
  return all;
}

inline std::vector<std::string> names_of(const taking& taken) {
  std::vector<std::string> all;
  for (const auto& each : taken.jobs)
    all.push_back(each.message.name);
  return all;
}

// What it throws says each of these.
template <class Failure, class Body>
void expect_failure(Body&& body, std::initializer_list<const char*> parts) {
  try {
    body();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Failure& error) {
    for (const char* const part : parts)
      EXPECT_NE(std::string{error.what()}.find(part), std::string::npos) << error.what();
  }
}

}  // namespace hardstop::test
