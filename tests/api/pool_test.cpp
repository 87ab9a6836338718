// Submitting, mapping and ending a pool, as users write it.
#include <array>
#include <atomic>
#include <chrono>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "api/jobs.hpp"
#include "support/processes.hpp"
#include <hardstop/pool.hpp>

using hardstop::test::do_nothing;
using hardstop::test::hang;
using hardstop::test::hang_and_return_int;
using hardstop::test::is_gone;
using hardstop::test::square;
using hardstop::test::throw_if_odd;
using hardstop::test::wait_until_running;
using support::comes_true;
using namespace std::chrono_literals;

namespace {

// By value, as in the manual's example.
// NOLINTNEXTLINE(performance-unnecessary-value-param)
double integrate(std::vector<double> samples, int depth) {
  double sum = 0;
  for (const double sample : samples)
    sum += sample;
  return sum * depth;
}

int first_of(std::vector<int> values) {
  return values.empty() ? -1 : values.front();
}

struct settings {
  int depth = 0;
  double step = 0;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(depth, step);
  }
};

double product(settings used) {
  return used.depth * used.step;
}

double edges(std::span<const double> values) {
  return values.front() + values.back();
}

std::vector<double> ramp(std::size_t count) {
  std::vector<double> values(count);
  for (std::size_t i = 0; i < count; ++i)
    values[i] = static_cast<double>(i);
  return values;
}

std::string label(int number, const std::string& text) {
  return text + std::to_string(number);
}

int prepared = 0;

void prepare(int value) {
  prepared = value;
}

int what_was_prepared() {
  return prepared;
}

int waits_for_another_job() {
  hardstop::process_pool nested{{.workers = 1, .spares = 0}};
  return nested.submit<&square>(3).get();
}

}  // namespace

TEST(pool, the_example_of_the_manual) {
  hardstop::process_pool pool{{.workers = 2}};
  const std::vector<double> samples(100, 0.5);
  auto f = pool.submit<&integrate>(samples, 12);
  auto g = pool.submit<&hang_and_return_int>({.timeout = 5s, .grace = 0ms, .name = "deep"}, 40);
  g.cancel();
  EXPECT_THROW(g.get(), hardstop::job_cancelled);
  EXPECT_EQ(f.get(), 600.0);
}

TEST(pool, options_and_arguments_as_braced_lists) {
  hardstop::process_pool pool{{.workers = 1}};
  EXPECT_EQ(pool.submit<&first_of>({3, 2, 1}).get(), 3);
  EXPECT_EQ(pool.submit<&first_of>({}).get(), -1);
  EXPECT_EQ(pool.submit<&first_of>({}, std::vector{4}).get(), 4);
  EXPECT_EQ(pool.submit<&first_of>({.priority = 2}, std::vector{5}).get(), 5);
  EXPECT_EQ(pool.submit<&product>({.depth = 2, .step = 1.5}).get(), 3.0);
  EXPECT_EQ(pool.submit<&product>({.timeout = 5s}, settings{.depth = 2, .step = 2}).get(), 4.0);
  pool.submit<&do_nothing>().get();
  pool.submit<&do_nothing>({}).get();
  pool.submit<&do_nothing>({.timeout = 5s}).get();
  const hardstop::job_options options{.timeout = 5s};
  EXPECT_EQ(pool.submit<&square>(options, 3).get(), 9);
}

TEST(pool, lambdas) {
  hardstop::process_pool pool{{.workers = 1}};
  EXPECT_EQ(pool.submit([](int x) { return x + 1; }, 1).get(), 2);
  EXPECT_EQ(pool.submit<[](int x) { return x + 2; }>(1).get(), 3);
  EXPECT_EQ(pool.submit(
                    {.timeout = 5s}, [](int x) { return x + 3; }, 1)
                .get(),
            4);
  pool.submit([] {}).get();
}

TEST(pool, large_values_in_both_directions) {
  hardstop::process_pool pool{{.workers = 1}};
  constexpr std::size_t count = 1'000'000;
  const auto values = ramp(count);
  EXPECT_EQ(pool.submit<&edges>(values).get(), count - 1);
  EXPECT_EQ(pool.submit<&ramp>(count).get(), values);
}

TEST(pool, map_keeps_order_and_isolates_failures) {
  hardstop::process_pool pool{{.workers = 2}};
  auto futures = pool.map<&throw_if_odd>(std::views::iota(0, 20));
  ASSERT_EQ(futures.size(), 20U);
  for (int i = 0; i < 20; ++i) {
    auto& future = futures[static_cast<std::size_t>(i)];
    if (i % 2 == 0) {
      EXPECT_EQ(future.get(), i);
    } else {
      EXPECT_THROW(future.get(), hardstop::job_exception);
    }
  }
  auto few = pool.map<&square>({.name = "few"}, {1, 2, 3});
  EXPECT_EQ(few.at(2).get(), 9);
}

TEST(pool, map_spreads_tuples_over_parameters) {
  hardstop::process_pool pool{{.workers = 1}};
  const std::vector<std::pair<int, std::string>> items = {{1, "a"}, {2, "b"}};
  auto futures = pool.map<&label>(items);
  EXPECT_EQ(futures.at(0).get(), "a1");
  EXPECT_EQ(futures.at(1).get(), "b2");
}

TEST(pool, initializer) {
  hardstop::process_pool pool{
      {.workers = 1, .initializer = hardstop::initialize_with<&prepare>(42)}};
  EXPECT_EQ(pool.submit<&what_was_prepared>().get(), 42);
  EXPECT_EQ(prepared, 0) << "here nothing was prepared";
}

TEST(pool, a_pool_within_a_job) {
  hardstop::process_pool pool{{.workers = 1, .spares = 0}};
  EXPECT_EQ(pool.submit<&waits_for_another_job>().get(), 9);
}

TEST(pool, bad_options_are_refused_where_they_are_given) {
  EXPECT_THROW(hardstop::process_pool({.workers = 0}), hardstop::bad_options);
  hardstop::process_pool pool{{.workers = 1}};
  EXPECT_THROW(pool.submit<&do_nothing>({.timeout = -1s}), hardstop::bad_options);
  EXPECT_THROW(pool.shutdown({.timeout = -1s}), hardstop::bad_options);
}

TEST(pool, a_full_queue_rejects) {
  hardstop::process_pool pool{
      {.workers = 1, .spares = 0, .max_pending = 2, .when_full = hardstop::when_full::reject}};
  auto running = pool.submit<&hang>();
  wait_until_running(running);
  const auto fill = [&] {
    for (int i = 0; i < 1000; ++i)
      pool.submit<&square>(i);
  };
  EXPECT_THROW(fill(), hardstop::queue_full);
  EXPECT_EQ(pool.stats().rejected, 1U);
  running.cancel();
}

TEST(pool, shutdown_refuses_new_jobs_and_ends_old_ones) {
  hardstop::process_pool pool{{.workers = 1, .spares = 0}};
  auto running = pool.submit<&hang>();
  wait_until_running(running);
  const int pid = running.pid();
  auto waiting = pool.submit<&square>(3);
  pool.shutdown({.cancel_pending = true, .timeout = 10ms});
  EXPECT_TRUE(is_gone(pid));
  const auto how = running.outcome();
  const auto* cancelled = how.as<hardstop::outcome::cancelled>();
  ASSERT_NE(cancelled, nullptr);
  EXPECT_EQ(cancelled->by, hardstop::outcome::cancelled::source::shutdown);
  EXPECT_EQ(cancelled->how, hardstop::outcome::cancelled::extent::killed);
  EXPECT_THROW(running.get(), hardstop::job_cancelled);
  EXPECT_FALSE(waiting.outcome().is_value());
  EXPECT_THROW(pool.submit<&do_nothing>(), hardstop::pool_closed);
}

TEST(pool, stats_count_what_happened) {
  hardstop::process_pool pool{{.workers = 1}};
  pool.submit<&do_nothing>().get();
  EXPECT_THROW(pool.submit<&throw_if_odd>(1).get(), hardstop::job_exception);
  EXPECT_THROW(pool.submit<&hang>({.timeout = 5ms}).get(), hardstop::job_timed_out);
  const auto stats = pool.stats();
  EXPECT_EQ(stats.submitted, 3U);
  EXPECT_EQ(stats.ended.value, 1U);
  EXPECT_EQ(stats.ended.exception, 1U);
  EXPECT_EQ(stats.ended.timed_out, 1U);
  EXPECT_EQ(stats.kills, 1U);
  EXPECT_GE(stats.dispatch.count(), 2U);
}

TEST(pool, containment_is_explained) {
  hardstop::process_pool pool{{.workers = 1}};
  const auto report = pool.containment();
  EXPECT_NE(report.kill.level, hardstop::kill_containment::none);
  EXPECT_FALSE(report.kill.explanation.empty());
}

// A sink may refer to what goes with the pool. The bystander keeps the thread that tells the news.
TEST(pool, does_not_end_before_its_news_is_told) {
  std::atomic<bool> ended{false};
  std::atomic<bool> told_of_the_end{false};
  std::atomic<bool> too_late{false};
  {
    hardstop::process_pool bystander{{.workers = 1}};
    bystander.submit<&do_nothing>().get();
    hardstop::pool_options options{.workers = 1};
    options.on_event = [&](const hardstop::event& what) {
      if (what.kind != hardstop::event_kind::pool_closed) return;
      too_late = comes_true([&] { return ended.load(); }, 100ms);
      told_of_the_end = true;
    };
    {
      hardstop::process_pool pool{options};
      pool.submit<&do_nothing>().get();
    }
    ended = true;
  }
  EXPECT_TRUE(told_of_the_end);
  EXPECT_FALSE(too_late);
}

TEST(pool, that_never_had_a_job_ends_without_news) {
  int told = 0;
  {
    hardstop::process_pool bystander{{.workers = 1}};
    bystander.submit<&do_nothing>().get();
    hardstop::pool_options options{.workers = 1};
    options.on_event = [&](const hardstop::event&) { ++told; };
    const hardstop::process_pool idle{options};
  }
  EXPECT_EQ(told, 0);
}

// Fire and forget: the future may go, the job goes on.
TEST(pool, a_future_that_is_dropped_does_not_cancel) {
  hardstop::process_pool pool{{.workers = 1}};
  pool.submit<&do_nothing>();
  pool.submit<&square>(2);
  pool.shutdown();
  EXPECT_EQ(pool.stats().ended.value, 2U);
}
