// G12: whatever a worker writes into its lane, the client finds out and goes on.
#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "os/clock.hpp"
#include "wire/lane_pair.hpp"

namespace hardstop::wire {
namespace {

// A lane in which one frame runs and another waits.
class WildWorker : public testing::Test {
 protected:
  void SetUp() override {
    lane.introduce();
    running = *lane.client.put({.ticket = ticket_of(1), .stamp = claim_stamp::on});
    waiting = *lane.client.put({.ticket = ticket_of(2)});
    ASSERT_EQ(lane.worker.claim().ticket, ticket_of(1));
    // From here on the tail is looked at, too.
    ASSERT_EQ(lane.client.read().status, read_status::nothing);
  }

  worker_half& memory() const { return lane.client.layout().worker; }

  // The header of the report that is published next.
  report_header& header() const {
    return *reinterpret_cast<report_header*>(memory().reports.data() +
                                             memory().report_tail % report_ring_bytes);
  }

  // Publishes an honest report, then has it scribbled over.
  void expect_corrupt(const outgoing_report& honest,
                      const std::function<void(report_header&)>& scribble) {
    report_header& where = header();
    ASSERT_TRUE(lane.worker.report(honest));
    scribble(where);
    expect_corrupt();
  }

  void expect_corrupt() {
    const lane_report report = lane.client.read();
    EXPECT_EQ(report.status, read_status::corrupt);
    ASSERT_NE(report.reason, nullptr);
    EXPECT_NE(std::string{report.reason}, "");
    EXPECT_EQ(lane.client.read().status, read_status::corrupt) << "for ever";
    // What was never claimed can still be taken back.
    EXPECT_EQ(lane.client.take_back(waiting, ticket_of(2)), take_back_answer::taken);
  }

  lane_pair lane;
  slot_index running = 0;
  slot_index waiting = 0;
  const outgoing_report value{.kind = report_kind::value, .ticket = ticket_of(1)};
};

TEST_F(WildWorker, ReportsAnUnknownKind) {
  expect_corrupt(value, [](report_header& header) { header.kind = 0; });
}

TEST_F(WildWorker, ReportsAKindOfTheFuture) {
  expect_corrupt(value, [](report_header& header) { header.kind = 100; });
}

TEST_F(WildWorker, ReportsUnknownFlags) {
  expect_corrupt(value, [](report_header& header) { header.flags = 0x80; });
}

TEST_F(WildWorker, ReportsALengthBeyondTheRing) {
  expect_corrupt(value, [](report_header& header) { header.payload_length = 0xffff; });
}

TEST_F(WildWorker, ReportsMoreRangesThanFitInline) {
  expect_corrupt(value, [](report_header& header) {
    header.payload_length = inline_limit;
    header.range_count = 1;
  });
}

TEST_F(WildWorker, ReportsMoreRangesThanThereCanBe) {
  expect_corrupt(value, [](report_header& header) { header.range_count = 0xffff; });
}

TEST_F(WildWorker, ReportsALargePayloadInNoRange) {
  expect_corrupt(value, [](report_header& header) { header.flags = report_large_payload; });
}

TEST_F(WildWorker, EndsAnotherAttempt) {
  expect_corrupt({.kind = report_kind::value, .ticket = ticket_of(2)}, [](report_header&) {});
}

TEST_F(WildWorker, EndsAnAttemptThatWasNeverThere) {
  expect_corrupt({.kind = report_kind::exception, .ticket = ticket_of(77)}, [](report_header&) {});
}

TEST_F(WildWorker, EndsAnAttemptTwice) {
  ASSERT_TRUE(lane.worker.report(value));
  ASSERT_EQ(lane.client.read().ticket, ticket_of(1));
  lane.client.release();
  expect_corrupt(value, [](report_header&) {});
}

TEST_F(WildWorker, EndsAnAttemptThatWasTakenBack) {
  // It had claimed it, then wrote over its claim what was there before.
  memory().states[running] = 0;
  ASSERT_EQ(lane.client.take_back(running, ticket_of(1)), take_back_answer::taken);
  expect_corrupt(value, [](report_header&) {});
}

TEST_F(WildWorker, StartsTwice) {
  expect_corrupt({.kind = report_kind::ready}, [](report_header&) {});
}

TEST_F(WildWorker, NamesAJobInAReportAboutItself) {
  expect_corrupt({.kind = report_kind::recycle, .ticket = ticket_of(1)}, [](report_header&) {});
}

TEST_F(WildWorker, NamesNoJobInAReportOfAnEnd) {
  expect_corrupt({.kind = report_kind::value}, [](report_header&) {});
}

TEST_F(WildWorker, SkipsAFrameThatWasNotTakenBack) {
  const std::uint64_t passed = 2;
  expect_corrupt(
      {.kind = report_kind::slots_freed, .payload = std::as_bytes(std::span{&passed, 1})},
      [](report_header&) {});
}

TEST_F(WildWorker, FreesSlotsOfTheFuture) {
  const std::uint64_t passed = ~std::uint64_t{0};
  expect_corrupt(
      {.kind = report_kind::slots_freed, .payload = std::as_bytes(std::span{&passed, 1})},
      [](report_header&) {});
}

// It says nothing that the marks do not say better.
TEST_F(WildWorker, MovesItsTailBack) {
  memory().report_tail -= lane_unit;
  EXPECT_EQ(lane.client.read().status, read_status::nothing);
  ASSERT_TRUE(lane.worker.report(value));
  EXPECT_EQ(lane.client.read().ticket, ticket_of(1));
}

TEST_F(WildWorker, MovesItsTailBeyondTheRing) {
  memory().report_tail += report_ring_bytes + lane_unit;
  expect_corrupt();
}

TEST_F(WildWorker, MovesItsTailByOne) {
  memory().report_tail += 1;
  expect_corrupt();
}

TEST_F(WildWorker, PadsWithoutEnd) {
  const std::uint64_t begin = memory().report_tail;
  const std::uint64_t salt = lane.client.layout().client.report_salt;
  const std::uint64_t pad = std::uint64_t{report_pad} << 32;
  for (std::size_t at = begin; at < report_ring_bytes; at += lane_unit) {
    store_word(memory().reports.data() + at, report_mark(at, salt), __ATOMIC_RELAXED);
    store_word(memory().reports.data() + at + 8, pad, __ATOMIC_RELAXED);
  }
  expect_corrupt();
}

// Without its tail nobody would ever know: the report is not there, and the job would run for ever.
TEST_F(WildWorker, ScribblesOverAReportThatNobodyHasReadYet) {
  report_header& where = header();
  ASSERT_TRUE(lane.worker.report(value));
  EXPECT_TRUE(lane.client.signals().has_news());
  where.mark = 0;
  EXPECT_TRUE(lane.client.signals().has_news()) << "something to look at";
  expect_corrupt();
}

TEST_F(WildWorker, ScribblesOverAllOfItsHalf) {
  ASSERT_TRUE(lane.worker.report(value));
  std::memset(reinterpret_cast<std::byte*>(&memory()), 0, sizeof(worker_half));
  // As if it had never reported; until it does so again.
  EXPECT_EQ(lane.client.read().status, read_status::nothing);
  ASSERT_TRUE(lane.worker.report(value));
  EXPECT_TRUE(lane.client.signals().has_news());
  EXPECT_EQ(lane.client.read().status, read_status::corrupt);
}

TEST_F(WildWorker, ScribblesOverStatesAndStamps) {
  for (auto& state : memory().states)
    state = 0x5555'5555'5555'5555;
  for (auto& stamp : memory().stamps)
    stamp = -1;
  // Any change counts as a claim.
  EXPECT_EQ(lane.client.take_back(waiting, ticket_of(2)), take_back_answer::already_claimed);
  EXPECT_TRUE(lane.client.claimed(waiting, ticket_of(2)).claimed);
  EXPECT_EQ(lane.client.claimed(running, ticket_of(1)).stamp, -1);
  EXPECT_EQ(lane.client.outstanding(), 2U);
}

// A later job is not to suffer for what an earlier one did to its word.
TEST_F(WildWorker, ScribblesOverAWaitingFrame) {
  memory().states[waiting] = 0x5555'5555'5555'5555;
  ASSERT_TRUE(lane.worker.report(value));
  EXPECT_EQ(lane.client.take_back(waiting, ticket_of(2)), take_back_answer::already_claimed);
  EXPECT_EQ(lane.worker.claim().ticket, ticket_of(2));
  EXPECT_TRUE(lane.client.claimed(waiting, ticket_of(2)).claimed);
}

// Nor for what it did to the tail.
TEST_F(WildWorker, ScribblesOverItsTailAndReturns) {
  memory().report_tail += 1000 * lane_unit;
  ASSERT_TRUE(lane.worker.report(value));
  ASSERT_EQ(lane.client.read().ticket, ticket_of(1));
  lane.client.release();
  EXPECT_EQ(lane.client.read().status, read_status::nothing);
  EXPECT_EQ(lane.client.read().status, read_status::nothing);
}

TEST_F(WildWorker, ScribblesOverBellsAndFlags) {
  memory().worker_sleep = ~std::uint64_t{0};
  memory().worker_cpu = -77;
  memory().answers_taken = 12345;
  for (auto& bell : memory().client_bell)
    bell = ~0U;
  EXPECT_EQ(lane.client.signals().worker_cpu(), -77);
  ASSERT_TRUE(lane.client.put({.ticket = ticket_of(3)}));
  if (lane.client.ring_needed()) lane.client.signals().ring();
  (void)lane.client.answer(1, 2, 3);
  const os::awaited_word bell = lane.client.signals().arm(listener::resident);
  EXPECT_EQ(os::futex_wait(*bell.word, bell.expected, bell.scope, os::now()),
            os::wait_end::timed_out);
  lane.client.signals().disarm(listener::resident);
}

// Any bytes at all, in any order of calls: bounded work, no fault, and no end for a frame that has
// none.
TEST(WildMemory, NeverConfusesTheClient) {
  std::mt19937_64 dice{12};
  for (int round = 0; round < 3000; ++round) {
    lane_pair lane;
    lane.introduce();
    std::uint64_t number = 0;
    std::size_t ends = 0;
    for (int step = 0; step < 60; ++step) {
      switch (dice() % 5) {
        case 0:
          if (lane.client.put({.ticket = ticket_of(number + 1)})) ++number;
          break;
        case 1:
          if (const auto frame = lane.worker.claim(); frame.status == claim_status::frame) {
            (void)lane.worker.report({.kind = report_kind::value, .ticket = frame.ticket});
          }
          break;
        case 2: {
          auto* const bytes = reinterpret_cast<std::byte*>(&lane.client.layout().worker);
          // Most of it within what is looked at: the words and the first reports.
          const std::size_t reach = dice() % 4 == 0 ? sizeof(worker_half) - 8 : 6 * 1024;
          const std::uint64_t garbage = dice() >> dice() % 64;
          std::memcpy(bytes + dice() % reach, &garbage, 1 + dice() % 8);
          break;
        }
        case 3:
          if (number != 0) {
            const std::uint64_t which = 1 + dice() % number;
            (void)lane.client.take_back(static_cast<slot_index>((which - 1) % lane_slots),
                                        ticket_of(which));
          }
          break;
        default:
          const lane_report report = lane.client.read();
          if (report.status == read_status::report && is_end(report.kind)) ++ends;
          lane.client.release();
      }
      if (lane.client.ring_needed()) lane.client.signals().ring();
    }
    ASSERT_LE(ends + lane.client.outstanding(), number);
  }
}

#if !defined(__SANITIZE_THREAD__)  // it is a data race, and meant to be one
TEST(WildMemory, MayChangeWhileItIsRead) {
  lane_pair lane;
  lane.introduce();
  worker_half& memory = lane.client.layout().worker;
  std::atomic<bool> over{false};
  const std::uint64_t salt = lane.client.layout().client.report_salt;
  std::thread scribbler([&] {
    std::mt19937_64 dice{5};
    auto* const words = reinterpret_cast<volatile std::uint64_t*>(memory.reports.data());
    while (!over) {
      const std::uint64_t at = dice() % 16;
      switch (dice() % 4) {
        case 0:
          words[at] = dice();
          break;
        case 1:
          words[at] = (dice() & 0xff'0000'0040) | 32;
          break;
        default:
          words[at & ~1U] = report_mark((at & ~1U) * 8, salt);
          memory.report_tail = dice() % 16 * 16;
      }
    }
  });
  const auto end = os::now() + std::chrono::milliseconds(300);
  std::uint64_t number = 0;
  while (os::now() < end) {
    report_reader reader{memory.reports, salt, memory.report_tail,
                         lane.client.layout().client.report_head};
    for (int i = 0; i < 50 && !reader.corrupt(); ++i) {
      const lane_report report = reader.read();
      if (report.status == read_status::report) {
        ASSERT_LE(report.payload.size(), inline_limit);
        ASSERT_LE(report.segments.size(), max_ranges);
        ++number;
      }
      reader.release();
    }
    lane.client.layout().client.report_head = 0;
  }
  over = true;
  scribbler.join();
  RecordProperty("reports", std::to_string(number));
}
#endif

}  // namespace
}  // namespace hardstop::wire
