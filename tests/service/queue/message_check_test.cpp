// Which messages make sense.
#include "service/queue/message_check.hpp"

#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "service/queue/jobs.hpp"

namespace hardstop::test {
namespace {

std::string why_not(std::string_view arguments, argument_format format = argument_format::json) {
  const auto bytes = std::as_bytes(std::span{arguments});
  return storage::why_no_job("name", format, bytes).value_or("");
}

std::string nested(std::size_t depth) {
  return std::string(depth, '[') + std::string(depth, ']');
}

TEST(arguments_in_json, are_an_array_or_args_and_kwargs) {
  for (const auto* const good :
       {"[]", " [1, -2.5e3, \"x\", null, true, {\"any\": [{}]}, [[]]] ",
        R"({"args": [], "kwargs": {}})", R"({"kwargs": {"a": {"args": 1}}, "args": [{"x": 1}]})"}) {
    EXPECT_EQ(why_not(good), "") << good;
  }
  for (const auto* const bad :
       {"", "7", "null", "\"text\"", "{}", R"({"args": []})", R"({"kwargs": {}})",
        R"({"args": {}, "kwargs": {}})", R"({"args": [], "kwargs": []})",
        R"({"args": 1, "kwargs": {}})", R"({"args": [], "kwargs": {}, "more": 1})",
        R"({"args": [], "args": [], "kwargs": {}})", "[1", "[1]]", "[NaN]", "[\"\xff\"]"}) {
    EXPECT_NE(why_not(bad), "") << bad;
  }
}

TEST(arguments_in_messagepack, are_the_same) {
  const auto pack = argument_format::messagepack;
  EXPECT_EQ(why_not("\x90", pack), "");
  EXPECT_EQ(why_not("\x92\x01\xa1x", pack), "");
  EXPECT_EQ(why_not("\x82\xa4"
                    "args\x90\xa6kwargs\x80",
                    pack),
            "");
  for (const auto* const bad : {"", "\x80", "\x01", "\x92\x01", "\x90\x90", "\xdd\xff\xff\xff\xff"})
    EXPECT_NE(why_not(bad, pack), "");
}

TEST(arguments_that_are_nested, are_followed_so_far_and_no_farther) {
  EXPECT_EQ(why_not(nested(storage::deepest_nesting)), "");
  EXPECT_NE(why_not(nested(storage::deepest_nesting + 1)), "");
  EXPECT_NE(why_not(nested(1'000'000)), "");
  EXPECT_NE(why_not(std::string(1'000'000, '\x91'), argument_format::messagepack), "");
}

TEST(a_pickle, is_not_looked_into) {
  EXPECT_EQ(why_not("anything", argument_format::signed_pickle), "");
}

}  // namespace
}  // namespace hardstop::test
