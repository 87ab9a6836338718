#include "wire/job_request.hpp"

#include <gtest/gtest.h>

#include "wire/frame.hpp"

namespace hardstop::wire {
namespace {

using namespace std::chrono_literals;

TEST(JobRequest, ArrivesAsItWas) {
  const job_request sent{.kind = job_request_kind::acquire,
                         .id = 7,
                         .context = 99,
                         .wants = {{.semaphore = 1, .count = 2}, {.semaphore = 3, .count = 4}}};
  const auto came = decode_job_request(encode(sent));
  ASSERT_TRUE(came);
  EXPECT_EQ(came->kind, sent.kind);
  EXPECT_EQ(came->id, 7U);
  EXPECT_EQ(came->context, 99U);
  EXPECT_EQ(came->wants, sent.wants);
}

TEST(JobRequest, CutsALongReasonAndFitsIntoALane) {
  const auto bytes = encode(
      {.kind = job_request_kind::shield, .longest = 5s, .reason = std::string(100'000, 'x')});
  EXPECT_TRUE(fits_inline(bytes.size(), 0));
  const auto came = decode_job_request(bytes);
  ASSERT_TRUE(came);
  EXPECT_EQ(came->longest, 5s);
  EXPECT_EQ(came->reason, std::string(longest_reason, 'x'));
}

TEST(JobRequest, ThatCannotBeIsNone) {
  auto bytes = encode({.kind = job_request_kind::acquire, .wants = {{1, 1}}});
  EXPECT_FALSE(decode_job_request(std::span(bytes).first(bytes.size() - 1)));
  EXPECT_FALSE(decode_job_request(std::span(bytes).first(3)));
  bytes[0] = std::byte{0};
  EXPECT_FALSE(decode_job_request(bytes));
  bytes[0] = std::byte{77};
  EXPECT_FALSE(decode_job_request(bytes));
  EXPECT_FALSE(decode_job_request(
      encode({.kind = job_request_kind::acquire, .wants = std::vector<wanted_permits>(17)})));
  EXPECT_FALSE(decode_job_request(encode({.kind = job_request_kind::shield, .longest = -1s})));
}

TEST(JobRequest, IsAnsweredByTwoNumbers) {
  const job_answer sent{.kind = job_answer_kind::granted, .abandoned = true, .fence = 12345};
  const auto came = job_answer::from(sent.first(), sent.fence);
  EXPECT_EQ(came.kind, sent.kind);
  EXPECT_TRUE(came.abandoned);
  EXPECT_EQ(came.fence, 12345U);
}

}  // namespace
}  // namespace hardstop::wire
