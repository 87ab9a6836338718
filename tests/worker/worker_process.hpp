// One worker as a child of the test, with the client's end of its lane and arenas.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "os/clock.hpp"
#include "os/module.hpp"
#include "wire/arena.hpp"
#include "wire/client_lane.hpp"
#include "wire/failure.hpp"
#include "wire/results.hpp"
#include "worker/loop.hpp"

namespace hardstop::worker {

// A report whose bytes are the test's own.
struct kept_report {
  wire::report_kind kind{};
  wire::ticket ticket{};
  wire::forked forked{};
  std::optional<wire::captured_output> captured;
  std::string payload;
  std::vector<wire::result_range> segments;

  // Of an exception.
  wire::failure failure() const {
    return wire::decode_failure(std::as_bytes(std::span{payload})).value_or(wire::failure{});
  }
};

class worker_process {
 public:
  explicit worker_process(const spec& told = {}) : told_(told) {}

  worker_process(const worker_process&) = delete;
  worker_process& operator=(const worker_process&) = delete;

  ~worker_process() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }

  // Expects nothing of how it goes.
  void start() {
    pid_ = fork();
    if (pid_ != 0) return;
    birth born;
    born.lane = *lane.memory().duplicate();
    born.arguments = *arguments->memory().duplicate();
    born.results = *results->memory().duplicate();
    born.spec = *write_spec(told_);
    if (output_file) born.standard_output = *output_file.duplicate();
    if (error_file) born.standard_error = *error_file.duplicate();
    enter(std::move(born));
  }

  // Starts it and waits until it is ready.
  void start_ready() {
    start();
    const auto first = next();
    ASSERT_TRUE(first);
    ASSERT_EQ(first->kind, wire::report_kind::ready) << first->failure().what;
  }

  wire::ticket put(detail::thunk function, std::string_view payload = {},
                   std::vector<wire::byte_range> segments = {},
                   std::optional<wire::byte_range> large = std::nullopt) {
    const auto place = os::locate(reinterpret_cast<const void*>(function));
    const auto ticket = static_cast<wire::ticket>(++tickets_);
    EXPECT_TRUE(lane.put({.ticket = ticket,
                          .function = {.module = place->module, .offset = place->offset},
                          .payload = std::as_bytes(std::span{payload}),
                          .large_payload = large,
                          .segments = segments}));
    ring();
    return ticket;
  }

  void ring() {
    if (lane.ring_needed()) lane.signals().ring();
  }

  // The next report; nothing if the worker died first, or is silent for long.
  std::optional<kept_report> next() {
    const auto give_up = os::now() + std::chrono::seconds(30);
    bool dead = false;
    for (;;) {
      const wire::lane_report report = lane.read();
      EXPECT_NE(report.status, wire::read_status::corrupt) << report.reason;
      if (report.status == wire::read_status::report) return keep(report);
      if (dead || report.status == wire::read_status::corrupt || os::now() > give_up) return {};
      dead = has_died();
      if (dead) continue;
      const auto signals = lane.signals();
      const os::awaited_word bell = signals.arm(wire::listener::resident);
      // Its death does not ring.
      if (!signals.has_news()) {
        os::futex_wait(*bell.word, bell.expected, bell.scope,
                       os::now() + std::chrono::milliseconds(20));
      }
      signals.disarm(wire::listener::resident);
    }
  }

  // Runs one function and returns how it ended; nothing if the worker died of it.
  std::optional<kept_report> run(detail::thunk function, std::string_view payload = {}) {
    put(function, payload);
    return next();
  }

  bool has_died() {
    siginfo_t facts{};
    waitid(P_PID, static_cast<id_t>(pid_), &facts, WEXITED | WNOHANG | WNOWAIT);
    return facts.si_pid != 0;
  }

  // Waits for its end.
  int status() {
    int status = 0;
    waitpid(std::exchange(pid_, -1), &status, 0);
    return status;
  }

  int exit_status() {
    const int ended = status();
    return WIFEXITED(ended) ? WEXITSTATUS(ended) : -1;
  }

  pid_t pid() const { return pid_; }

  wire::client_lane lane = std::move(*wire::client_lane::create());
  std::shared_ptr<wire::argument_arena> arguments = *wire::argument_arena::create();
  std::shared_ptr<wire::client_results> results = *wire::client_results::create(lane.signals());
  os::descriptor output_file;
  os::descriptor error_file;

 private:
  static std::string text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  kept_report keep(const wire::lane_report& report) {
    kept_report kept{.kind = report.kind,
                     .ticket = report.ticket,
                     .forked = report.forked,
                     .captured = report.captured,
                     .payload = text_of(report.payload),
                     .segments = {}};
    if (report.large_payload) {
      auto large = results->adopt(*report.large_payload);
      EXPECT_TRUE(large);
      if (large) kept.payload = text_of(large->bytes());
    }
    for (const wire::byte_range& place : report.segments) {
      auto segment = results->adopt(place);
      EXPECT_TRUE(segment);
      if (segment) kept.segments.push_back(std::move(*segment));
    }
    lane.release();
    ring();
    return kept;
  }

  spec told_;
  pid_t pid_ = -1;
  std::uint64_t tickets_ = 0;
};

}  // namespace hardstop::worker
