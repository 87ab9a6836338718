#include "wire/failure.hpp"

#include <gtest/gtest.h>

#include "wire/frame.hpp"

namespace hardstop::wire {
namespace {

TEST(Failure, ArrivesAsItWas) {
  const auto failure = decode_failure(encode_failure("std::out_of_range", "no such key: 7"));
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->type, "std::out_of_range");
  EXPECT_EQ(failure->what, "no such key: 7");
}

TEST(Failure, MayHaveNoTexts) {
  const auto failure = decode_failure(encode_failure("", ""));
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->type, "");
  EXPECT_EQ(failure->what, "");
}

TEST(Failure, FitsIntoALaneHoweverLongItsTextsAre) {
  const std::string endless(1'000'000, 'x');
  const auto bytes = encode_failure(endless, endless);
  EXPECT_TRUE(fits_inline(bytes.size(), 0));
  EXPECT_EQ(decode_failure(bytes)->what, std::string(longest_failure_text, 'x'));
}

TEST(Failure, IsNotCutWithinACharacter) {
  std::string text(longest_failure_text - 1, 'x');
  text += "\u20ac";
  EXPECT_EQ(decode_failure(encode_failure("", text))->what,
            std::string(longest_failure_text - 1, 'x'));
}

TEST(Failure, OfBytesThatAreNoneIsNone) {
  EXPECT_FALSE(decode_failure({}));
  auto bytes = encode_failure("type", "what");
  bytes.resize(3);
  EXPECT_FALSE(decode_failure(bytes));
  bytes = encode_failure("type", "what");
  bytes[3] = std::byte{0xff};
  EXPECT_FALSE(decode_failure(bytes));
  EXPECT_FALSE(decode_failure(std::vector<std::byte>(100'000)));
}

}  // namespace
}  // namespace hardstop::wire
