// Times, sizes and signals are read as timeout(1) and people write them.
#include "cli/quantity.hpp"

#include <csignal>
#include <optional>
#include <string>

#include <gtest/gtest.h>

namespace hardstop::cli {
namespace {

using namespace std::chrono_literals;

TEST(a_duration, has_a_unit_or_is_in_seconds) {
  EXPECT_EQ(parse_duration("30"), 30s);
  EXPECT_EQ(parse_duration("30s"), 30s);
  EXPECT_EQ(parse_duration("250ms"), 250ms);
  EXPECT_EQ(parse_duration("1.5m"), 90s);
  EXPECT_EQ(parse_duration("2h"), 2h);
  EXPECT_EQ(parse_duration("1d"), 24h);
  EXPECT_EQ(parse_duration(".5"), 500ms);
  EXPECT_EQ(parse_duration("0"), 0s);
}

TEST(a_duration, is_rounded_up_so_that_only_zero_is_zero) {
  EXPECT_EQ(parse_duration("1e-12"), 1ns);
}

TEST(a_duration, may_be_too_long_to_matter) {
  EXPECT_EQ(parse_duration("infinity"), os::duration::max());
  EXPECT_EQ(parse_duration("1e30d"), os::duration::max());
  EXPECT_EQ(parse_duration("200000d"), os::duration::max());
}

TEST(a_duration, is_nothing_else) {
  for (const char* const text :
       {"", "s", "-1", "+1", " 1", "1 s", "1x", "1ss", "nan", "1s2", "1us"}) {
    EXPECT_EQ(parse_duration(text), std::nullopt) << text;
  }
}

TEST(a_size, has_a_binary_unit_or_is_in_bytes) {
  EXPECT_EQ(parse_size("4096"), 4096U);
  EXPECT_EQ(parse_size("64K"), 64U << 10U);
  EXPECT_EQ(parse_size("64k"), 64U << 10U);
  EXPECT_EQ(parse_size("512M"), 512U << 20U);
  EXPECT_EQ(parse_size("2G"), std::uint64_t{2} << 30U);
  EXPECT_EQ(parse_size("1.5GiB"), std::uint64_t{3} << 29U);
  EXPECT_EQ(parse_size("1Ti"), std::uint64_t{1} << 40U);
}

TEST(a_size, is_nothing_else) {
  // "KB" means 1000 to some and 1024 to others.
  for (const char* const text : {"", "G", "-1", "1KB", "1X", "1Gx", "inf", "1e30"}) {
    EXPECT_EQ(parse_size(text), std::nullopt) << text;
  }
}

TEST(a_signal, has_a_name_or_a_number) {
  for (const char* const text : {"TERM", "SIGTERM", "term", "sigterm", "15"}) {
    EXPECT_EQ(parse_signal(text), SIGTERM) << text;
  }
  EXPECT_EQ(parse_signal("RTMIN+3"), SIGRTMIN + 3);
  for (const char* const text : {"", "SIG", "TERMX", "0", "-9", "1000"}) {
    EXPECT_EQ(parse_signal(text), std::nullopt) << text;
  }
}

TEST(a_signal, is_named_as_it_is_read) {
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    EXPECT_EQ(parse_signal(signal_name(signal)), signal) << signal_name(signal);
  }
}

TEST(a_size, is_told_in_the_unit_that_fits) {
  EXPECT_EQ(describe_size(512), "512 bytes");
  EXPECT_EQ(describe_size(std::uint64_t{3} << 29U), "1.5 GiB");
}

}  // namespace
}  // namespace hardstop::cli
