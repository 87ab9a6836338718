// What client and guardian say survives the way, and nothing else is understood (G12).
#include "wire/control.hpp"

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace hardstop::wire {
namespace {

std::vector<std::byte> bytes_of(const encoded& message) {
  return {message.bytes().begin(), message.bytes().end()};
}

template <class Body>
Body sent_as_request(const Body& body) {
  const auto decoded = decode_request(encode(request{body}).bytes());
  EXPECT_TRUE(decoded);
  return std::get<Body>(*decoded);
}

template <class Body>
Body sent_as_report(const Body& body) {
  const auto decoded = decode_report(encode(report{body}).bytes());
  EXPECT_TRUE(decoded);
  return std::get<Body>(*decoded);
}

TEST(control, carries_requests) {
  configure settings;
  settings.start = start_method::spawn;
  settings.oom_score_raise = 300;
  settings.confirm_within = std::chrono::milliseconds{1234};
  ASSERT_TRUE(settings.set_cgroup("/sys/fs/cgroup/x"));
  const auto configured = sent_as_request(settings);
  EXPECT_EQ(configured.start, start_method::spawn);
  EXPECT_EQ(configured.oom_score_raise, 300);
  EXPECT_EQ(configured.confirm_within, std::chrono::milliseconds{1234});
  EXPECT_EQ(configured.cgroup(), "/sys/fs/cgroup/x");

  const auto ordered = sent_as_request(
      spawn{.worker = worker_id{7}, .memory_limit = 1ULL << 40U, .captured = capture::yes});
  EXPECT_EQ(ordered.worker, worker_id{7});
  EXPECT_EQ(ordered.memory_limit, 1ULL << 40U);
  EXPECT_EQ(ordered.captured, capture::yes);
  EXPECT_EQ(sent_as_request(kill{worker_id{9}}).worker, worker_id{9});
  EXPECT_EQ(sent_as_request(ping{11}).number, 11U);
  (void)sent_as_request(dismiss{});
}

TEST(control, carries_reports) {
  const auto greeting = sent_as_report(hello{.warden_pid = 5,
                                             .guardian_pid = 6,
                                             .kill = kill_containment::cgroup,
                                             .memory = memory_containment::cgroup,
                                             .oom = oom_attribution::cgroup});
  EXPECT_EQ(greeting.guardian_pid, 6);
  EXPECT_EQ(greeting.oom, oom_attribution::cgroup);
  EXPECT_EQ(sent_as_report(birth_failed{birth_stage::exec, ENOENT}).error, ENOENT);
  EXPECT_EQ(sent_as_report(spawned{worker_id{3}, 77}).pid, 77);
  EXPECT_EQ(sent_as_report(spawn_failed{worker_id{3}, birth_stage::worker, EAGAIN}).stage,
            birth_stage::worker);

  gone account;
  account.worker = worker_id{1};
  account.pid = 99;
  account.status = {.code = 0, .signal = 11, .core_dumped = true};
  account.cpu_time = std::chrono::microseconds{5};
  account.peak_memory = 6;
  account.memory_at_birth = 7;
  account.processes_stopped = 8;
  account.oom_kills = -1;
  account.unconfirmed = {.reason = survival::traced, .pid = 10, .tracer = 11, .others = 12};
  account.confirm_latency = std::chrono::nanoseconds{13};
  account.birth = birth_stage::cgroup;
  account.birth_error = 14;
  const auto told = sent_as_report(account);
  EXPECT_EQ(told.status, account.status);
  EXPECT_EQ(told.cpu_time, account.cpu_time);
  EXPECT_EQ(told.memory_at_birth, 7U);
  EXPECT_EQ(told.oom_kills, -1);
  EXPECT_EQ(told.unconfirmed.reason, survival::traced);
  EXPECT_EQ(told.unconfirmed.others, 12U);
  EXPECT_EQ(told.confirm_latency, account.confirm_latency);
  EXPECT_EQ(told.birth, birth_stage::cgroup);
  EXPECT_EQ(told.birth_error, 14);
  EXPECT_EQ(sent_as_report(pong{15}).number, 15U);
}

TEST(control, refuses_a_path_that_is_too_long_or_broken) {
  configure settings;
  EXPECT_FALSE(settings.set_cgroup(std::string(configure::longest_path, 'x')));
  EXPECT_FALSE(settings.set_cgroup(std::string_view{"a\0b", 3}));
  ASSERT_TRUE(settings.set_cgroup(std::string(configure::longest_path - 1, 'x')));
  EXPECT_EQ(sent_as_request(settings).cgroup().size(), configure::longest_path - 1);
}

TEST(control, does_not_take_a_report_for_a_request_G12) {
  EXPECT_EQ(decode_request(encode(report{pong{1}}).bytes()).error().code, EBADMSG);
  EXPECT_EQ(decode_report(encode(request{ping{1}}).bytes()).error().code, EBADMSG);
}

TEST(control, refuses_any_other_length_G12) {
  for (auto bytes : {bytes_of(encode(report{gone{}})), bytes_of(encode(report{hello{}})),
                     bytes_of(encode(report{spawned{}}))}) {
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_FALSE(decode_report(std::span{bytes}.first(size)));
    }
    bytes.push_back(std::byte{0});
    EXPECT_FALSE(decode_report(bytes));
  }
}

TEST(control, refuses_values_outside_their_enumerations_G12) {
  // Each byte of each message in turn takes each value: whatever is accepted must be sayable again.
  for (const auto& message : {encode(report{hello{}}), encode(report{gone{}}),
                              encode(report{spawn_failed{}}), encode(report{birth_failed{}})}) {
    auto bytes = bytes_of(message);
    for (auto& byte : bytes) {
      const auto original = byte;
      for (int value = 0; value < 256; ++value) {
        byte = static_cast<std::byte>(value);
        const auto decoded = decode_report(bytes);
        if (!decoded) continue;
        EXPECT_EQ(bytes_of(encode(*decoded)), bytes);
      }
      byte = original;
    }
  }
}

TEST(control, survives_noise_G12) {
  std::mt19937 random{1};
  std::vector<std::byte> noise;
  for (int round = 0; round < 20'000; ++round) {
    noise = bytes_of(encode(request{configure{}}));
    noise.resize(random() % longest_message);
    for (std::size_t i = 5; i < noise.size(); ++i)
      noise[i] = static_cast<std::byte>(random());
    (void)decode_request(noise);
    (void)decode_report(noise);
  }
}

TEST(control, says_how_many_descriptors_come_with_a_message) {
  EXPECT_EQ(descriptors_beside(request{configure{}}), 1U);
  EXPECT_EQ(descriptors_beside(request{spawn{}}), 3U);
  EXPECT_EQ(descriptors_beside(request{spawn{.captured = capture::yes}}), 5U);
  EXPECT_EQ(descriptors_beside(request{kill{}}), 0U);
  EXPECT_EQ(descriptors_beside(report{hello{}}), 2U);
  EXPECT_EQ(descriptors_beside(report{spawned{}}), 1U);
  EXPECT_EQ(descriptors_beside(report{gone{}}), 0U);
}

}  // namespace
}  // namespace hardstop::wire
