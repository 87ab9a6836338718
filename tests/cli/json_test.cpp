// What is written is JSON, whatever it is about.
#include "cli/json.hpp"

#include <cmath>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "cli/json_reader.hpp"

namespace hardstop::cli {
namespace {

TEST(json, holds_what_was_put_into_it_in_order) {
  const auto text = json_object{}
                        .add("text", "a")
                        .add("number", -3)
                        .add("yes", true)
                        .add("nothing", std::optional<int>{})
                        .add("list", json_list{}.add(1).add("b"))
                        .add("empty", json_object{})
                        .text();
  EXPECT_EQ(text,
            R"({"text":"a","number":-3,"yes":true,"nothing":null,"list":[1,"b"],"empty":{}})");
}

TEST(json, escapes_what_must_be_escaped) {
  EXPECT_EQ(detail::to_json(std::string_view{"\"\\\n\t\x01\x7f", 6}), R"("\"\\\n\t\u0001)"
                                                                      "\x7f\"");
}

TEST(json, keeps_utf8_and_replaces_what_is_none) {
  EXPECT_EQ(detail::to_json("\u00e9\u20ac\U0001f600"), "\"\u00e9\u20ac\U0001f600\"");
  // A byte on its own, a cut character, an overlong slash, a surrogate, beyond the last character.
  for (const char* const bytes :
       {"\xff", "\xe2\x82", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80"}) {
    const auto text = detail::to_json(bytes);
    EXPECT_EQ(text.find_first_not_of("\"\\ufd"), std::string::npos) << text;
    EXPECT_NE(text.find("\\ufffd"), std::string::npos) << text;
  }
}

TEST(json, has_no_number_for_what_is_none) {
  EXPECT_EQ(detail::to_json(std::nan("")), "null");
  EXPECT_EQ(detail::to_json(0.5), "0.500000");
}

TEST(json, reads_as_it_was_written) {
  const auto read = test::read_json(
      json_object{}.add("a", json_list{}.add("x\n\"").add(1.5)).add("b", false).text());
  EXPECT_EQ(read["a"].at(0).text(), "x\n\"");
  EXPECT_EQ(read["a"].at(1).number(), 1.5);
  EXPECT_FALSE(read["b"].truth());
}

}  // namespace
}  // namespace hardstop::cli
