// Both ends of one lane in one process, over one mapping: so that a thread sanitizer sees both
// sides.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>

#include "wire/client_lane.hpp"
#include "wire/layout.hpp"
#include "wire/worker_lane.hpp"

namespace hardstop::wire {

inline client_lane make_client_lane() {
  auto made = client_lane::create();
  EXPECT_TRUE(made) << made.error().message();
  return std::move(*made);
}

struct lane_pair {
  client_lane client = make_client_lane();
  worker_lane worker = worker_lane::over(client.layout());

  // The worker says that it is there, and the client has heard it.
  void introduce() {
    EXPECT_TRUE(worker.report({.kind = report_kind::ready}));
    EXPECT_EQ(client.read().kind, report_kind::ready);
    client.release();
  }
};

inline std::span<const std::byte> as_payload(std::string_view text) {
  return std::as_bytes(std::span{text});
}

inline std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

constexpr ticket ticket_of(std::uint64_t number) {
  return static_cast<ticket>(number);
}

}  // namespace hardstop::wire
