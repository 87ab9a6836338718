// Options that make no sense are refused with words that say what to write instead.
#include <sched.h>

#include <chrono>
#include <functional>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <hardstop/errors.hpp>
#include <hardstop/options.hpp>

using hardstop::bad_options;
using hardstop::job_options;
using hardstop::pool_options;
using hardstop::shutdown_options;
using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

namespace {

auto refused_with(const std::string& member, const std::string& cure) {
  return ThrowsMessage<bad_options>(AllOf(HasSubstr(member), HasSubstr(cure)));
}

template <class Options>
auto validating(const Options& options) {
  return [&options] { hardstop::validate(options); };
}

}  // namespace

TEST(options, defaults_are_valid) {
  EXPECT_NO_THROW(hardstop::validate(job_options()));
  EXPECT_NO_THROW(hardstop::validate(pool_options()));
  EXPECT_NO_THROW(hardstop::validate(shutdown_options()));
}

TEST(options, job_options_are_written_as_a_braced_list) {
  const job_options options{.timeout = 5s, .grace = 500ms, .name = "deep"};
  EXPECT_EQ(options.timeout, 5s);
  EXPECT_EQ(options.grace, 500ms);
  EXPECT_EQ(options.name, "deep");
  EXPECT_NO_THROW(hardstop::validate(options));
}

TEST(options, zero_times_are_times) {
  EXPECT_NO_THROW(hardstop::validate(job_options{.timeout = 0s, .grace = 0s}));
  EXPECT_NO_THROW(hardstop::validate(shutdown_options{.timeout = 0s}));
}

TEST(options, negative_times) {
  const job_options timeout{.timeout = -1s};
  EXPECT_THAT(validating(timeout), refused_with("timeout = -1 s", "leave it unset for no limit"));
  const job_options grace{.grace = -5ms};
  EXPECT_THAT(validating(grace), refused_with("grace = -5 ms", "cannot be negative"));
  const pool_options idle{.idle_timeout = -1ns};
  EXPECT_THAT(validating(idle), refused_with("idle_timeout", "cannot be negative"));
  const shutdown_options shutdown{.timeout = -1h};
  EXPECT_THAT(validating(shutdown), refused_with("timeout = -3600 s", "cannot be negative"));
}

TEST(options, no_time_to_start) {
  const pool_options options{.start_timeout = 0s};
  EXPECT_THAT(validating(options), refused_with("start_timeout = 0 s", "the default is 60 s"));
}

TEST(options, numbers_of_workers) {
  const pool_options none{.workers = 0};
  EXPECT_THAT(validating(none), refused_with("workers = 0", "leave it unset"));
  const pool_options negative{.workers = -3};
  EXPECT_THAT(validating(negative), refused_with("workers = -3", "at least one worker"));
  const pool_options many{.workers = 1'000'000};
  EXPECT_THAT(validating(many), refused_with("workers = 1000000", "at most"));
  const pool_options spares{.spares = -1};
  EXPECT_THAT(validating(spares), refused_with("spares = -1", "between 0 and"));
  const pool_options more_than_all{.workers = 2, .min_workers = 3, .idle_timeout = 1s};
  EXPECT_THAT(validating(more_than_all), refused_with("min_workers = 3", "between 0 and workers"));
  const pool_options never_idle{.min_workers = 1};
  EXPECT_THAT(validating(never_idle), refused_with("min_workers = 1", "idle_timeout"));
}

TEST(options, environment) {
  pool_options options;
  options.environment.standard_input = hardstop::stdio::capture;
  EXPECT_THAT(validating(options), refused_with("standard_input", "only output"));
  options = {};
  options.environment.variables = {{"A=B", "c"}};
  EXPECT_THAT(validating(options), refused_with("A=B", "cannot be empty or contain '='"));
  options = {};
  options.environment.umask = 01000;
  EXPECT_THAT(validating(options), refused_with("umask", "0777"));
  options = {};
  options.environment.nice = 20;
  EXPECT_THAT(validating(options), refused_with("nice = 20", "19"));
  options = {};
  options.environment.affinity = {-1};
  EXPECT_THAT(validating(options), refused_with("affinity = -1", "from 0"));
  options = {};
  options.environment.resource_limits = {{.resource = 4, .soft = 2, .hard = 1}};
  EXPECT_THAT(validating(options), refused_with("resource_limits = 2", "hard limit of 1"));
  options = {};
  options.environment.descriptors = {1};
  EXPECT_THAT(validating(options), refused_with("descriptors = 1", "standard_output"));
  options = {};
  options.cgroup = "relative";
  EXPECT_THAT(validating(options), refused_with("relative", "absolute path"));
}

TEST(options, usable_cpus_respect_the_affinity_mask) {
  EXPECT_GE(hardstop::usable_cpus(), 1);
  cpu_set_t mask;
  CPU_ZERO(&mask);
  ASSERT_EQ(::sched_getaffinity(0, sizeof(mask), &mask), 0);
  EXPECT_LE(hardstop::usable_cpus(), CPU_COUNT(&mask));
  cpu_set_t one;
  CPU_ZERO(&one);
  for (std::size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu) {
    if (CPU_ISSET(cpu, &mask)) CPU_SET(cpu, &one);
  }
  ASSERT_EQ(::sched_setaffinity(0, sizeof(one), &one), 0);
  EXPECT_EQ(hardstop::usable_cpus(), 1);
  ASSERT_EQ(::sched_setaffinity(0, sizeof(mask), &mask), 0);
}
