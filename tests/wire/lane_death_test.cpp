// G4: a worker may be killed at any instruction; what it left in its lane is a consistent prefix of
// what it did.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "os/mapping.hpp"
#include "wire/lane_pair.hpp"

namespace hardstop::wire {
namespace {

[[noreturn]] void echo_until_killed(const os::descriptor& memory) {
  auto lane = worker_lane::open(memory);
  if (!lane || !lane->report({.kind = report_kind::ready})) _exit(1);
  for (;;) {
    const claimed_frame frame = lane->claim();
    if (frame.status != claim_status::frame) continue;
    while (!lane->report(
        {.kind = report_kind::value, .ticket = frame.ticket, .payload = frame.payload})) {
    }
  }
}

// What the client can tell of each frame after the death.
struct tally {
  std::uint64_t put = 0;
  std::uint64_t ended = 0;
  std::uint64_t running = 0;
  std::uint64_t unclaimed = 0;
};

void read_all(client_lane& lane, tally& count) {
  for (;;) {
    const lane_report report = lane.read();
    if (report.status == read_status::nothing) return;
    ASSERT_EQ(report.status, read_status::report) << report.reason;
    if (is_end(report.kind)) {
      ASSERT_EQ(report.ticket, ticket_of(++count.ended)) << "in order, none missing";
      ASSERT_EQ(report.payload.size() % sizeof(std::uint64_t), 0U);
      for (std::size_t at = 0; at < report.payload.size(); at += sizeof(std::uint64_t)) {
        std::uint64_t word = 0;
        std::memcpy(&word, report.payload.data() + at, sizeof word);
        ASSERT_EQ(word, count.ended) << "complete";
      }
    }
    lane.release();
  }
}

void kill_one_worker(std::mt19937_64& dice, tally& total) {
  client_lane lane = make_client_lane();
  const pid_t worker = fork();
  if (worker == 0) echo_until_killed(lane.memory());

  tally count;
  const auto killed_at =
      std::chrono::steady_clock::now() + std::chrono::microseconds(200 + dice() % 2000);
  std::vector<slot_index> slots;
  while (std::chrono::steady_clock::now() < killed_at) {
    const std::vector<std::uint64_t> payload(1 + dice() % 200, count.put + 1);
    if (const auto slot = lane.put(
            {.ticket = ticket_of(count.put + 1), .payload = std::as_bytes(std::span{payload})})) {
      ++count.put;
      slots.push_back(*slot);
    } else {
      ASSERT_NO_FATAL_FAILURE(read_all(lane, count));
    }
  }
  kill(worker, SIGKILL);
  waitpid(worker, nullptr, 0);

  ASSERT_NO_FATAL_FAILURE(read_all(lane, count));
  for (std::uint64_t number = count.ended + 1; number <= count.put; ++number) {
    const slot_index slot = slots[number - 1];
    if (lane.claimed(slot, ticket_of(number)).claimed) {
      ASSERT_EQ(number, count.ended + 1) << "only the next one can have been running";
      ++count.running;
    } else {
      ASSERT_EQ(lane.take_back(slot, ticket_of(number)), take_back_answer::taken);
      ++count.unclaimed;
    }
  }
  EXPECT_EQ(count.ended + count.running + count.unclaimed, count.put);
  EXPECT_EQ(lane.outstanding(), count.running);
  total.put += count.put;
  total.ended += count.ended;
  total.running += count.running;
  total.unclaimed += count.unclaimed;
}

TEST(LaneDeath, AtAnyInstantLeavesAConsistentPrefix) {
  std::mt19937_64 dice{99};
  tally total;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  int kills = 0;
  while (std::chrono::steady_clock::now() < end && !HasFatalFailure()) {
    kill_one_worker(dice, total);
    ++kills;
  }
  EXPECT_GT(total.ended, 0U);
  RecordProperty("kills", kills);
  RecordProperty("running", std::to_string(total.running));
  RecordProperty("frames", std::to_string(total.put));
}

TEST(LaneDeath, TheClientsPagesAreReadOnlyInTheWorker) {
  client_lane lane = make_client_lane();
  const pid_t worker = fork();
  if (worker == 0) {
    signal(SIGSEGV, SIG_DFL);
    auto opened = worker_lane::open(lane.memory());
    if (!opened) _exit(1);
    ASSERT_TRUE(lane.put({.ticket = ticket_of(1), .payload = as_payload("constant")}));
    const claimed_frame frame = opened->claim();
    const_cast<std::byte&>(frame.payload[0]) = std::byte{1};
    _exit(2);
  }
  int status = 0;
  waitpid(worker, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status)) << WEXITSTATUS(status);
}

TEST(LaneDeath, MemoryThatCouldShrinkIsRefused) {
  const os::descriptor file{memfd_create("unsealed", 0)};
  ASSERT_EQ(ftruncate(file.get(), sizeof(lane_layout)), 0);
  const auto lane = worker_lane::open(file);
  ASSERT_FALSE(lane);
  EXPECT_EQ(lane.error().code, EPERM);
}

TEST(LaneDeath, MemoryOfAnotherSizeIsRefused) {
  const auto file = os::make_memory_file("short", 4096, os::allocation::up_front);
  ASSERT_TRUE(file);
  EXPECT_FALSE(worker_lane::open(*file));
}

}  // namespace
}  // namespace hardstop::wire
