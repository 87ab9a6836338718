// Both ends of a lane at full speed in two threads: each frame exactly one of taken back and
// claimed, ends in order, no wake-up lost. Under a thread sanitizer both see the same addresses.
#include <atomic>
#include <chrono>
#include <cstring>
#include <deque>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "os/clock.hpp"
#include "wire/lane_pair.hpp"

namespace hardstop::wire {
namespace {

using namespace std::chrono_literals;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr auto test_time = 400ms;
#else
constexpr auto test_time = 800ms;
#endif

// What a worker's loop does, without jobs.
class echo_worker {
 public:
  explicit echo_worker(lane_layout& memory) : lane_(worker_lane::over(memory)) {}

  // Ends when asked to, and tells how many frames it ran.
  std::uint64_t run() {
    report({.kind = report_kind::ready});
    for (std::uint64_t count = 0;;) {
      const claimed_frame frame = lane_.claim();
      if (frame.status == claim_status::corrupt) return 0;
      lane_.ring_if_owed();
      if (frame.status == claim_status::frame) {
        report({.kind = report_kind::value, .ticket = frame.ticket, .payload = frame.payload});
        ++count;
        continue;
      }
      if (const auto passed = lane_.take_skipped()) {
        report(
            {.kind = report_kind::slots_freed, .payload = std::as_bytes(std::span{&*passed, 1})});
      }
      if (lane_.exit_requested() && !lane_.frame_waits()) return count;
      lane_.ring_if_owed();
      lane_.sleep(wait_for::frames,
                  [this] { return lane_.frame_waits() || lane_.exit_requested(); });
    }
  }

 private:
  void report(const outgoing_report& what) {
    while (!lane_.report(what, ringing::owed)) {
      lane_.sleep(wait_for::room, [&] { return lane_.has_room(what.payload.size(), 0); });
    }
  }

  worker_lane lane_;
};

// Puts frames whose payload is their ticket, takes some back, and checks every report.
class checking_client {
 public:
  explicit checking_client(client_lane& lane) : lane_(lane), signals_(lane.signals()) {}

  void put(std::size_t most) {
    for (std::size_t i = 0; i < most; ++i) {
      // Some in their slot, some in the ring.
      const std::vector<std::uint64_t> payload(1 + dice_() % 40, next_);
      const auto slot =
          lane_.put({.ticket = ticket_of(next_), .payload = std::as_bytes(std::span{payload})});
      if (!slot) break;
      waiting_.push_back({.ticket = ticket_of(next_), .slot = *slot, .taken = false});
      ++next_;
    }
    if (lane_.ring_needed()) signals_.ring();
  }

  void take_some_back() {
    for (int i = 0; i < 4 && !waiting_.empty(); ++i) {
      posted& which = waiting_[dice_() % waiting_.size()];
      if (which.taken) continue;
      const bool claimed_before = lane_.claimed(which.slot, which.ticket).claimed;
      which.taken = lane_.take_back(which.slot, which.ticket) == take_back_answer::taken;
      if (which.taken) ++taken_;
      ASSERT_FALSE(which.taken && claimed_before);
    }
  }

  // Everything there is.
  void read() {
    for (;;) {
      const lane_report report = lane_.read();
      if (report.status == read_status::nothing) return;
      ASSERT_EQ(report.status, read_status::report) << report.reason;
      if (is_end(report.kind)) {
        while (!waiting_.empty() && waiting_.front().taken)
          waiting_.pop_front();
        ASSERT_FALSE(waiting_.empty());
        ASSERT_EQ(report.ticket, waiting_.front().ticket);
        ASSERT_EQ(report.slot, waiting_.front().slot);
        std::uint64_t first = 0;
        std::memcpy(&first, report.payload.data(), sizeof first);
        ASSERT_EQ(ticket_of(first), report.ticket);
        waiting_.pop_front();
        ++ended_;
      }
      lane_.release();
    }
  }

  void sleep_until_news() {
    const os::awaited_word bell = signals_.arm(listener::resident);
    if (!signals_.has_news()) {
      // A lost wake-up shows as a time-out.
      const auto end = os::futex_wait(*bell.word, bell.expected, bell.scope, os::now() + 20s);
      ASSERT_NE(end, os::wait_end::timed_out) << "a wake-up was lost";
    }
    signals_.disarm(listener::resident);
  }

  void finish() {
    while (lane_.outstanding() != 0 && !testing::Test::HasFatalFailure()) {
      sleep_until_news();
      read();
    }
    lane_.request_exit();
    if (lane_.ring_needed()) signals_.ring();
  }

  std::uint64_t put_so_far() const { return next_ - 1; }

  std::uint64_t ended() const { return ended_; }

  std::uint64_t taken() const { return taken_; }

  std::mt19937_64& dice() { return dice_; }

 private:
  struct posted {
    wire::ticket ticket;
    slot_index slot;
    bool taken;
  };

  client_lane& lane_;
  lane_signals signals_;
  std::deque<posted> waiting_;
  std::mt19937_64 dice_{4711};
  std::uint64_t next_ = 1;
  std::uint64_t ended_ = 0;
  std::uint64_t taken_ = 0;
};

class LaneStress : public testing::Test {
 protected:
  void SetUp() override {
    worker = std::thread([this] { claimed = echo_worker{lane.layout()}.run(); });
  }

  void stop_and_check() {
    client.finish();
    worker.join();
    client.read();
    EXPECT_EQ(client.ended() + client.taken(), client.put_so_far());
    EXPECT_EQ(claimed, client.ended());
    EXPECT_EQ(lane.outstanding(), 0U);
    RecordProperty("frames", std::to_string(client.put_so_far()));
  }

  void TearDown() override {
    if (worker.joinable()) worker.detach();  // a test has failed; the process ends soon
  }

  client_lane lane = make_client_lane();
  checking_client client{lane};
  std::thread worker;
  std::uint64_t claimed = 0;
};

TEST_F(LaneStress, DeepAndRevoked) {
  const auto end = os::now() + test_time;
  while (os::now() < end && !HasFatalFailure()) {
    client.put(1 + client.dice()() % lane_slots);
    client.take_some_back();
    client.read();
  }
  stop_and_check();
  EXPECT_GT(client.taken(), 0U);
}

// Both sides sleep every time: the wake-up protocol and nothing else.
TEST_F(LaneStress, NoWakeUpIsLost) {
  const auto end = os::now() + test_time;
  while (os::now() < end && !HasFatalFailure()) {
    client.put(1);
    client.sleep_until_news();
    client.read();
  }
  stop_and_check();
}

// The client reads too late on purpose: the worker waits for room, again and again.
TEST_F(LaneStress, AFullRingOfReportsIsWaitedFor) {
  const auto end = os::now() + test_time;
  while (os::now() < end && !HasFatalFailure()) {
    client.put(lane_slots);
    client.sleep_until_news();
    client.read();
  }
  stop_and_check();
}

TEST_F(LaneStress, RevokedFramesNeverClogTheLane) {
  const auto end = os::now() + test_time;
  while (os::now() < end && !HasFatalFailure()) {
    client.put(lane_slots);
    for (int i = 0; i < 100; ++i)
      client.take_some_back();
    const std::uint64_t before = client.put_so_far();
    client.put(1);
    while (client.put_so_far() == before && !HasFatalFailure()) {
      client.sleep_until_news();
      client.read();
      client.put(1);
    }
  }
  stop_and_check();
}

// An attendant comes and goes while the resident sleeps: one of them hears of everything.
TEST(LaneListeners, NoNewsFallsBetweenThem) {
  client_lane lane = make_client_lane();
  std::thread worker([&] { echo_worker{lane.layout()}.run(); });
  const lane_signals signals = lane.signals();
  std::mutex lock;  // of the lane, as the engine has one
  std::atomic<std::uint64_t> ended{0};
  std::atomic<bool> over{false};
  const auto read_all = [&] {
    const std::lock_guard hold{lock};
    for (lane_report report = lane.read(); report.status == read_status::report;
         report = lane.read()) {
      const bool end = is_end(report.kind);
      lane.release();
      if (end) ended.fetch_add(1);
    }
  };
  std::thread resident([&] {
    while (!over) {
      const os::awaited_word bell = signals.arm(listener::resident);
      if (!signals.has_news() && !over) {
        os::futex_wait(*bell.word, bell.expected, bell.scope, os::now() + 20s);
      }
      signals.disarm(listener::resident);
      read_all();
    }
  });
  std::uint64_t put = 0;
  const auto end = os::now() + test_time;
  while (os::now() < end) {
    {
      const std::lock_guard hold{lock};
      if (lane.put({.ticket = ticket_of(put + 1)})) ++put;
      if (lane.ring_needed()) signals.ring();
    }
    const auto began = os::now();
    if (put % 2 == 0) {
      signals.attend();
      while (ended != put && os::now() - began < 20s) {
        const os::awaited_word bell = signals.arm(listener::attendant);
        if (!signals.has_news() && ended != put) {
          // The resident may have read it just before: then nobody rings for us.
          os::futex_wait(*bell.word, bell.expected, bell.scope, os::now() + 1ms);
        }
        signals.disarm(listener::attendant);
        read_all();
      }
      signals.unattend();
      if (signals.has_news()) read_all();
    }
    while (ended != put && os::now() - began < 20s)
      std::this_thread::yield();
    ASSERT_EQ(ended, put) << "nobody was told";
  }
  {
    const std::lock_guard hold{lock};
    over = true;
    lane.request_exit();
    if (lane.ring_needed()) signals.ring();
  }
  worker.join();
  // Whatever it sleeps on.
  lane.layout().worker.client_bell[0].fetch_add(1);
  os::futex_wake(lane.layout().worker.client_bell[0], os::futex_scope::shared);
  resident.join();
}

}  // namespace
}  // namespace hardstop::wire
