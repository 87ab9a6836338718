#include <chrono>
#include <random>

#include <gtest/gtest.h>

#include <hardstop/stats.hpp>

using hardstop::latency_histogram;
using namespace std::chrono_literals;

TEST(latency_histogram, empty) {
  const latency_histogram none;
  EXPECT_EQ(none.count(), 0U);
  EXPECT_EQ(none.percentile(0.5), 0ns);
  EXPECT_EQ(none.mean(), 0ns);
}

TEST(latency_histogram, one_value) {
  latency_histogram histogram;
  histogram.record(1234us);
  EXPECT_EQ(histogram.max(), 1234us);
  EXPECT_EQ(histogram.mean(), 1234us);
  EXPECT_EQ(histogram.percentile(0), 1234us);
  EXPECT_EQ(histogram.percentile(1), 1234us);
}

TEST(latency_histogram, percentiles_are_close_above_the_truth) {
  std::mt19937_64 random(1);
  for (int shift = 0; shift < 60; ++shift) {
    latency_histogram histogram;
    const auto ns = static_cast<std::int64_t>((1ULL << static_cast<unsigned>(shift)) +
                                              random() % (1ULL << static_cast<unsigned>(shift)));
    histogram.record(std::chrono::nanoseconds(ns));
    histogram.record(std::chrono::nanoseconds(std::numeric_limits<std::int64_t>::max()));
    const auto half = histogram.percentile(0.5).count();
    EXPECT_GE(half, ns);
    EXPECT_LE(static_cast<double>(half), static_cast<double>(ns) * 1.25 + 1);
  }
}

TEST(latency_histogram, shares_of_many) {
  latency_histogram histogram;
  for (int us = 1; us <= 1000; ++us)
    histogram.record(std::chrono::microseconds(us));
  EXPECT_NEAR(static_cast<double>(histogram.percentile(0.5).count()), 500e3, 500e3 * 0.25);
  EXPECT_NEAR(static_cast<double>(histogram.percentile(0.99).count()), 990e3, 990e3 * 0.25);
  EXPECT_EQ(histogram.percentile(1), 1ms);
}

TEST(latency_histogram, extremes_and_sums) {
  latency_histogram histogram;
  histogram.record(-5ns);
  histogram.record(std::chrono::nanoseconds::max());
  EXPECT_EQ(histogram.percentile(0.1), 0ns);
  EXPECT_EQ(histogram.max(), std::chrono::nanoseconds::max());
  latency_histogram more;
  more.record(7ns);
  histogram += more;
  EXPECT_EQ(histogram.count(), 3U);
}
