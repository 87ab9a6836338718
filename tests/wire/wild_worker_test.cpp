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
  expect_corrupt(value, [](report_header& header) {
    header.payload_length = 1U << 30;
    header.total = (1U << 30) + 32;
  });
}

TEST_F(WildWorker, ReportsALengthBeyondItsTail) {
  expect_corrupt(value, [](report_header& header) {
    header.payload_length = 4096;
    header.total = 4096 + 32;
  });
}

TEST_F(WildWorker, ReportsALengthOfNothing) {
  expect_corrupt(value, [](report_header& header) { header.total = 0; });
}

TEST_F(WildWorker, ReportsMoreRangesThanThereCanBe) {
  expect_corrupt(value, [](report_header& header) { header.range_count = ~0U; });
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
  // It had claimed it, then wrote "queued" over its claim.
  memory().states[running] = state_word(ticket_of(1), frame_state::queued);
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

TEST_F(WildWorker, MovesItsTailBack) {
  memory().report_tail = 0;
  expect_corrupt();
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
  const std::uint64_t pad = report_ring_bytes | std::uint64_t{report_pad} << 32;
  for (std::size_t at = 0; at < report_ring_bytes; at += lane_unit) {
    std::memcpy(memory().reports.data() + at, &pad, sizeof pad);
  }
  memory().report_tail += report_ring_bytes / 2;
  expect_corrupt();
}

TEST_F(WildWorker, ScribblesOverStatesAndStamps) {
  for (auto& state : memory().states)
    state = 0x5555'5555'5555'5555;
  for (auto& stamp : memory().stamps)
    stamp = -1;
  // Whatever is not "queued" counts as claimed, and stays so.
  EXPECT_EQ(lane.client.take_back(waiting, ticket_of(2)), take_back_answer::already_claimed);
  EXPECT_TRUE(lane.client.claimed(waiting, ticket_of(2)).claimed);
  EXPECT_EQ(lane.client.claimed(running, ticket_of(1)).stamp, -1);
  EXPECT_EQ(lane.client.outstanding(), 2U);
}

// It would never end otherwise: a frame whose word was scribbled over is neither claimed nor taken
// back.
TEST_F(WildWorker, NoticesItselfThatAWaitingFrameWasScribbledOver) {
  memory().states[waiting] = 0;
  ASSERT_TRUE(lane.worker.report(value));
  EXPECT_EQ(lane.worker.claim().status, claim_status::corrupt);
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
  std::atomic<bool> over{false};
  std::thread scribbler([&] {
    std::mt19937_64 dice{5};
    auto* const words =
        reinterpret_cast<volatile std::uint64_t*>(lane.client.layout().worker.reports.data());
    while (!over) {
      words[dice() % 16] = dice() % 3 == 0 ? dice() : (dice() & 0xff'0000'0040) | 32;
      lane.client.layout().worker.report_tail =
          lane.client.layout().client.report_head + 32 + dice() % 64 / 16 * 16;
    }
  });
  const auto end = os::now() + std::chrono::milliseconds(300);
  std::uint64_t number = 0;
  while (os::now() < end) {
    report_reader reader{lane.client.layout().worker.reports,
                         lane.client.layout().worker.report_tail,
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
