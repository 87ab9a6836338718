// A function as a job: how arguments are converted, held and passed, what comes back, what is
// reported.
#include <pthread.h>

#include <cstdint>
#include <memory>
#include <numeric>
#include <span>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "api/loopback.hpp"
#include <hardstop/pool.hpp>

using hardstop::test::arguments_for;
using hardstop::test::called;
using hardstop::test::loopback_call;
using hardstop::test::message;

namespace {

int answer() {
  return 42;
}

int calls = 0;

void count_call() {
  ++calls;
}

double scale(double x, int by) noexcept {
  return x * by;
}

std::string join(const std::string& a, std::string&& b, std::string c) {
  return a + std::move(b) + std::move(c);
}

std::int64_t total(std::span<const int> values) {
  return std::accumulate(values.begin(), values.end(), std::int64_t{0});
}

std::size_t length(std::string_view text) {
  return text.size();
}

std::uintptr_t address_of(std::span<const double> values) {
  return reinterpret_cast<std::uintptr_t>(values.data());
}

std::vector<double> zeros(std::size_t count) {
  return std::vector<double>(count);
}

std::unique_ptr<int> doubled(std::unique_ptr<int> value) {
  *value *= 2;
  return value;
}

bool asked_to_stop(const std::stop_token& token, int /*unused*/) {
  return token.stop_requested();
}

void throws_out_of_range() {
  throw std::out_of_range("no such element");
}

void throws_a_number() {
  throw 7;  // NOLINT(hicpp-exception-baseclass): what is tested
}

void leaves_the_thread() {
  ::pthread_exit(nullptr);
}

int overloaded(int x) {
  return x;
}

double overloaded(double x) {
  return x + 0.5;
}

struct adder {
  int operator()(int a, int b) const { return a + b; }
};

}  // namespace

TEST(job_body, results_and_no_results) {
  EXPECT_EQ(called<&answer>(), 42);
  called<&count_call>();
  EXPECT_EQ(calls, 1);
}

TEST(job_body, arguments_convert_as_in_a_call) {
  EXPECT_EQ(called<&scale>(2, 3), 6.0);
  EXPECT_EQ(called<&scale>(2.5F, std::int64_t{2}), 5.0);
  EXPECT_EQ(called<&join>("a", "b", std::string("c")), "abc");
}

TEST(job_body, callables_known_by_their_type) {
  EXPECT_EQ((called<[](int x) { return x * x; }>(7)), 49);
  EXPECT_EQ(called<adder{}>(1, 2), 3);
  EXPECT_EQ((called<static_cast<double (*)(double)>(&overloaded)>(1)), 1.5);
  EXPECT_EQ((called<static_cast<int (*)(int)>(&overloaded)>(1)), 1);
}

TEST(job_body, views_are_read_in_place) {
  EXPECT_EQ(called<&total>(std::vector{1, 2, 3}), 6);
  EXPECT_EQ(called<&total>(std::array{1, 2, 3}), 6);
  EXPECT_EQ(called<&total>(std::vector<int>(100'000, 2)), 200'000);
  EXPECT_EQ(called<&length>("four"), 4U);
  EXPECT_EQ(called<&length>(std::string(100'000, 'x')), 100'000U);

  const std::vector<double> values(50'000, 1.0);
  const auto arguments = arguments_for<&address_of>(values);
  ASSERT_EQ(arguments.segment_count(), 1U);
  loopback_call call(arguments);
  hardstop::detail::job_body<&address_of>(call);
  auto in = call.result.decoder();
  EXPECT_EQ(hardstop::detail::read<std::uintptr_t>(in),
            reinterpret_cast<std::uintptr_t>(arguments.segment(0).data()));
}

TEST(job_body, move_only_values) {
  EXPECT_EQ(*called<&doubled>(std::make_unique<int>(21)), 42);
}

TEST(job_body, large_results_leave_as_segments) {
  const auto arguments = arguments_for<&zeros>(100'000);
  loopback_call call(arguments);
  hardstop::detail::job_body<&zeros>(call);
  ASSERT_EQ(call.result.segment_count(), 1U);
  EXPECT_EQ(call.result.segment(0).size(), 800'000U);
  EXPECT_LE(call.result.bytes().size(), 16U);
}

TEST(job_body, the_stop_token_is_the_attempts_own) {
  const auto arguments = arguments_for<&asked_to_stop>(1);
  loopback_call call(arguments);
  call.stop.request_stop();
  hardstop::detail::job_body<&asked_to_stop>(call);
  EXPECT_EQ(call.result.bytes()[0], std::byte{1});
}

TEST(job_body, exceptions_are_told_by_type_and_text) {
  const message none;
  loopback_call first(none);
  hardstop::detail::job_body<&throws_out_of_range>(first);
  EXPECT_TRUE(first.failed);
  EXPECT_EQ(first.type, "std::out_of_range");
  EXPECT_EQ(first.text, "no such element");

  loopback_call second(none);
  hardstop::detail::job_body<&throws_a_number>(second);
  EXPECT_EQ(second.type, "int");
  EXPECT_EQ(second.text, "");
}

TEST(job_body, arguments_that_make_no_sense_are_an_exception_of_the_job) {
  const message none;
  loopback_call call(none);
  hardstop::detail::job_body<&scale>(call);
  EXPECT_EQ(call.type, "hardstop::decode_error");
}

// glibc ends the process if anybody swallows this.
TEST(job_body, pthread_exit_passes_through) {
  pthread_t thread{};
  const auto body = [](void*) -> void* {
    const message none;
    loopback_call call(none);
    hardstop::detail::job_body<&leaves_the_thread>(call);
    return &calls;
  };
  ASSERT_EQ(::pthread_create(&thread, nullptr, body, nullptr), 0);
  void* returned = &thread;
  ASSERT_EQ(::pthread_join(thread, &returned), 0);
  EXPECT_EQ(returned, nullptr) << "the thread went on behind pthread_exit()";
}

TEST(job_body, functions_have_readable_names) {
  using hardstop::detail::function_name;
  EXPECT_TRUE(function_name<&answer>().ends_with("answer")) << function_name<&answer>();
  EXPECT_FALSE(function_name<&answer>().starts_with("&"));
  constexpr auto lambda = [](int x) { return x; };
  EXPECT_NE(function_name<lambda>().find("lambda"), std::string_view::npos)
      << function_name<lambda>();
}
