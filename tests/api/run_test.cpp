// One blocking call that really stops.
#include <chrono>
#include <future>
#include <stop_token>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "api/jobs.hpp"
#include <hardstop/run.hpp>

using hardstop::test::do_nothing;
using hardstop::test::hang;
using hardstop::test::is_gone;
using hardstop::test::square;
using hardstop::test::throw_if_odd;
using hardstop::test::until_asked;
using namespace std::chrono_literals;

TEST(run, values_and_exceptions) {
  EXPECT_EQ(hardstop::run<&square>(6), 36);
  hardstop::run<&do_nothing>();
  EXPECT_EQ(hardstop::run<&square>({.timeout = 10s}, 5), 25);
  EXPECT_THROW(hardstop::run<&throw_if_odd>(1), hardstop::job_exception);
  EXPECT_THROW(hardstop::run<&hang>({.timeout = 10ms}), hardstop::job_timed_out);
  EXPECT_THROW(hardstop::run<&do_nothing>({.timeout = -1s}), hardstop::bad_options);
}

TEST(run, request_stop_of_a_jthread_stops_the_work) {
  std::promise<bool> cancelled;
  std::jthread thread([&](const std::stop_token& token) {
    try {
      hardstop::run<&hang>({.stop = token});
    } catch (const hardstop::job_cancelled& stopped) {
      cancelled.set_value(is_gone(stopped.outcome().pid()) || stopped.outcome().pid() == 0);
    }
  });
  std::this_thread::sleep_for(10ms);
  thread.request_stop();
  EXPECT_TRUE(cancelled.get_future().get());
}

TEST(run, a_token_requested_before_means_that_nothing_runs_to_its_end) {
  std::stop_source source;
  source.request_stop();
  EXPECT_THROW(hardstop::run<&hang>({.stop = source.get_token()}), hardstop::job_cancelled);
}

TEST(run, a_job_may_use_its_grace) {
  std::stop_source source;
  std::jthread stopper([&] {
    std::this_thread::sleep_for(20ms);
    source.request_stop();
  });
  EXPECT_EQ(hardstop::run<&until_asked>({.grace = 10s, .stop = source.get_token()}), 7);
}

TEST(run, calls_from_many_threads) {
  std::vector<std::future<int>> calls;
  for (int i = 0; i < 8; ++i) {
    calls.push_back(std::async(std::launch::async, [i] { return hardstop::run<&square>(i); }));
  }
  for (int i = 0; i < 8; ++i)
    EXPECT_EQ(calls[static_cast<std::size_t>(i)].get(), i * i);
}
