// What a lane promises when both ends behave: order, revocation, room, bells.
#include <array>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "os/clock.hpp"
#include "wire/lane_pair.hpp"

namespace hardstop::wire {
namespace {

// Everything that waits is run, and its payload sent back.
int echo_all(worker_lane& worker) {
  int count = 0;
  for (;;) {
    const claimed_frame frame = worker.claim();
    if (frame.status != claim_status::frame) return count;
    EXPECT_TRUE(worker.report({.kind = report_kind::value,
                               .ticket = frame.ticket,
                               .payload = frame.payload,
                               .segments = frame.segments}));
    ++count;
  }
}

TEST(Lane, CarriesAFrameThereAndItsResultBack) {
  lane_pair lane;
  lane.introduce();
  const auto slot = lane.client.put({.ticket = ticket_of(7),
                                     .function = {.module = 1, .offset = 2},
                                     .runtime_flags = 3,
                                     .payload = as_payload("hello")});
  ASSERT_TRUE(slot);
  const claimed_frame frame = lane.worker.claim();
  ASSERT_EQ(frame.status, claim_status::frame);
  EXPECT_EQ(frame.ticket, ticket_of(7));
  EXPECT_EQ(frame.function, (function_id{.module = 1, .offset = 2}));
  EXPECT_EQ(frame.runtime_flags, 3);
  EXPECT_EQ(as_text(frame.payload), "hello");
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(frame.payload.data()) % 16, 0U);
  ASSERT_TRUE(lane.worker.report({.kind = report_kind::exception,
                                  .ticket = frame.ticket,
                                  .forked = forked::yes,
                                  .runtime_flags = 9,
                                  .captured = captured_output{.out_end = 11, .err_end = 12},
                                  .payload = as_payload("no")}));
  const lane_report report = lane.client.read();
  ASSERT_EQ(report.status, read_status::report) << report.reason;
  EXPECT_EQ(report.kind, report_kind::exception);
  EXPECT_EQ(report.ticket, ticket_of(7));
  EXPECT_EQ(report.slot, *slot);
  EXPECT_EQ(report.forked, forked::yes);
  EXPECT_EQ(report.runtime_flags, 9);
  ASSERT_TRUE(report.captured);
  EXPECT_EQ(report.captured->out_end, 11U);
  EXPECT_EQ(report.captured->err_end, 12U);
  EXPECT_EQ(as_text(report.payload), "no");
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(report.payload.data()) % 16, 0U);
  EXPECT_EQ(lane.client.outstanding(), 1U);
  lane.client.release();
  EXPECT_EQ(lane.client.outstanding(), 0U);
  EXPECT_EQ(lane.client.read().status, read_status::nothing);
}

TEST(Lane, CarriesRangesBesideThePayload) {
  lane_pair lane;
  lane.introduce();
  const std::vector<byte_range> segments{{.offset = 4096, .length = 5},
                                         {.offset = 8192, .length = 6}};
  ASSERT_TRUE(lane.client.put({.ticket = ticket_of(1),
                               .large_payload = byte_range{.offset = 0, .length = 4000},
                               .segments = segments}));
  const claimed_frame frame = lane.worker.claim();
  ASSERT_EQ(frame.status, claim_status::frame);
  EXPECT_EQ(frame.large_payload, (byte_range{.offset = 0, .length = 4000}));
  EXPECT_TRUE(frame.payload.empty());
  EXPECT_EQ(std::vector(frame.segments.begin(), frame.segments.end()), segments);
  ASSERT_TRUE(lane.worker.report({.kind = report_kind::value,
                                  .ticket = frame.ticket,
                                  .large_payload = frame.large_payload,
                                  .segments = frame.segments}));
  const lane_report report = lane.client.read();
  ASSERT_EQ(report.status, read_status::report) << report.reason;
  EXPECT_EQ(report.large_payload, (byte_range{.offset = 0, .length = 4000}));
  EXPECT_EQ(std::vector(report.segments.begin(), report.segments.end()), segments);
}

// Every length up to the limit, so that both rings wrap at every place there is.
TEST(Lane, KeepsPayloadsOfEveryLengthIntact) {
  lane_pair lane;
  lane.introduce();
  std::string text;
  std::uint64_t number = 0;
  for (std::size_t length = 0; length <= inline_limit; length = length * 9 / 8 + 1) {
    for (int repeat = 0; repeat < 20; ++repeat) {
      text.assign(length, static_cast<char>('a' + (number % 26)));
      ASSERT_TRUE(lane.client.put({.ticket = ticket_of(++number), .payload = as_payload(text)}));
      ASSERT_EQ(echo_all(lane.worker), 1);
      const lane_report report = lane.client.read();
      ASSERT_EQ(report.status, read_status::report) << report.reason;
      ASSERT_EQ(report.ticket, ticket_of(number));
      ASSERT_EQ(as_text(report.payload), text);
      lane.client.release();
    }
  }
}

TEST(Lane, IsFullWhenItsSlotsAreTaken) {
  lane_pair lane;
  lane.introduce();
  for (std::uint64_t i = 1; i <= lane_slots; ++i) {
    ASSERT_TRUE(lane.client.put({.ticket = ticket_of(i)}));
  }
  EXPECT_FALSE(lane.client.put({.ticket = ticket_of(1000)}));
  EXPECT_EQ(lane.client.outstanding(), lane_slots);
  EXPECT_EQ(echo_all(lane.worker), static_cast<int>(lane_slots));
  EXPECT_FALSE(lane.client.put({.ticket = ticket_of(1000)})) << "nothing was read yet";
  ASSERT_EQ(lane.client.read().ticket, ticket_of(1));
  lane.client.release();
  EXPECT_TRUE(lane.client.put({.ticket = ticket_of(1000)}));
}

TEST(Lane, IsFullWhenItsPayloadBytesAreTaken) {
  lane_pair lane;
  lane.introduce();
  const std::string text(inline_limit, 'x');
  std::uint64_t number = 0;
  while (lane.client.put({.ticket = ticket_of(number + 1), .payload = as_payload(text)}))
    ++number;
  EXPECT_EQ(number, payload_ring_bytes / inline_limit);
  EXPECT_TRUE(lane.client.put({.ticket = ticket_of(100)})) << "what fits into a slot still fits";
  ASSERT_EQ(lane.worker.claim().ticket, ticket_of(1));
  ASSERT_TRUE(lane.worker.report({.kind = report_kind::value, .ticket = ticket_of(1)}));
  ASSERT_EQ(lane.client.read().ticket, ticket_of(1));
  lane.client.release();
  EXPECT_TRUE(lane.client.put({.ticket = ticket_of(101), .payload = as_payload(text)}));
}

TEST(Lane, AFrameTakenBackIsNeverClaimed) {
  lane_pair lane;
  lane.introduce();
  std::array<slot_index, 4> slots{};
  for (std::uint64_t i = 0; i < 4; ++i)
    slots[i] = *lane.client.put({.ticket = ticket_of(i + 1)});
  EXPECT_EQ(lane.client.take_back(slots[0], ticket_of(1)), take_back_answer::taken);
  EXPECT_EQ(lane.client.take_back(slots[2], ticket_of(3)), take_back_answer::taken);
  EXPECT_EQ(lane.client.take_back(slots[2], ticket_of(3)), take_back_answer::already_claimed)
      << "only once";
  EXPECT_EQ(lane.client.outstanding(), 2U);
  EXPECT_EQ(lane.worker.claim().ticket, ticket_of(2));
  EXPECT_EQ(lane.client.take_back(slots[1], ticket_of(2)), take_back_answer::already_claimed);
  ASSERT_TRUE(lane.worker.report({.kind = report_kind::value, .ticket = ticket_of(2)}));
  EXPECT_EQ(lane.worker.claim().ticket, ticket_of(4));
  EXPECT_EQ(lane.client.read().ticket, ticket_of(2));
  lane.client.release();
  EXPECT_EQ(lane.client.outstanding(), 1U);
}

// G3: a late swap cannot hit a later frame of the same slot.
TEST(Lane, ATicketOfAnEarlierFrameTakesNothingBack) {
  lane_pair lane;
  lane.introduce();
  const slot_index first = *lane.client.put({.ticket = ticket_of(1)});
  ASSERT_EQ(echo_all(lane.worker), 1);
  ASSERT_EQ(lane.client.read().ticket, ticket_of(1));
  lane.client.release();
  slot_index again = 0;
  std::uint64_t number = 1;
  do {
    again = *lane.client.put({.ticket = ticket_of(++number)});
    if (again == first) break;
    ASSERT_EQ(echo_all(lane.worker), 1);
    ASSERT_EQ(lane.client.read().ticket, ticket_of(number));
    lane.client.release();
  } while (true);
  EXPECT_EQ(lane.client.take_back(again, ticket_of(1)), take_back_answer::already_claimed);
  EXPECT_FALSE(lane.client.claimed(again, ticket_of(1)).claimed);
  EXPECT_EQ(lane.client.take_back(again, ticket_of(number)), take_back_answer::taken);
}

TEST(Lane, SaysWhetherAndWhenAFrameWasClaimed) {
  lane_pair lane;
  lane.introduce();
  const slot_index stamped = *lane.client.put({.ticket = ticket_of(1), .stamp = claim_stamp::on});
  const slot_index plain = *lane.client.put({.ticket = ticket_of(2)});
  EXPECT_FALSE(lane.client.claimed(stamped, ticket_of(1)).claimed);
  const auto before = os::to_nanoseconds(os::now());
  ASSERT_EQ(lane.worker.claim().ticket, ticket_of(1));
  const auto after = os::to_nanoseconds(os::now());
  const claim_info info = lane.client.claimed(stamped, ticket_of(1));
  EXPECT_TRUE(info.claimed);
  ASSERT_TRUE(info.stamp);
  EXPECT_GE(*info.stamp, before);
  EXPECT_LE(*info.stamp, after);
  ASSERT_TRUE(lane.worker.report({.kind = report_kind::value, .ticket = ticket_of(1)}));
  ASSERT_EQ(lane.worker.claim().ticket, ticket_of(2));
  EXPECT_TRUE(lane.client.claimed(plain, ticket_of(2)).claimed);
  EXPECT_FALSE(lane.client.claimed(plain, ticket_of(2)).stamp);
}

// A lane full of frames that were taken back would stay full for ever: nothing would end.
TEST(Lane, TellsThatSlotsOfFramesTakenBackAreFreeAgain) {
  lane_pair lane;
  lane.introduce();
  for (std::uint64_t i = 1; i <= lane_slots; ++i) {
    const auto slot =
        lane.client.put({.ticket = ticket_of(i), .payload = as_payload("some bytes")});
    ASSERT_TRUE(slot);
    ASSERT_EQ(lane.client.take_back(*slot, ticket_of(i)), take_back_answer::taken);
  }
  EXPECT_FALSE(lane.client.put({.ticket = ticket_of(1000)}));
  EXPECT_EQ(lane.worker.claim().status, claim_status::nothing);
  const auto passed = lane.worker.take_skipped();
  ASSERT_TRUE(passed);
  EXPECT_FALSE(lane.worker.take_skipped()) << "told once";
  ASSERT_TRUE(lane.worker.report(
      {.kind = report_kind::slots_freed, .payload = std::as_bytes(std::span{&*passed, 1})}));
  const lane_report report = lane.client.read();
  ASSERT_EQ(report.status, read_status::report) << report.reason;
  EXPECT_EQ(report.kind, report_kind::slots_freed);
  lane.client.release();
  for (std::uint64_t i = 1; i <= lane_slots; ++i) {
    EXPECT_TRUE(lane.client.put({.ticket = ticket_of(2000 + i)}));
  }
  EXPECT_EQ(echo_all(lane.worker), static_cast<int>(lane_slots));
}

TEST(Lane, ReportsOfOneAttemptComeInOrder) {
  lane_pair lane;
  lane.introduce();
  ASSERT_TRUE(lane.client.put({.ticket = ticket_of(1)}));
  ASSERT_EQ(lane.worker.claim().ticket, ticket_of(1));
  ASSERT_TRUE(lane.worker.report(
      {.kind = report_kind::progress, .ticket = ticket_of(1), .payload = as_payload("1/2")}));
  ASSERT_TRUE(lane.worker.report({.kind = report_kind::value, .ticket = ticket_of(1)}));
  lane_report report = lane.client.read();
  EXPECT_EQ(report.kind, report_kind::progress);
  EXPECT_EQ(as_text(report.payload), "1/2");
  lane.client.release();
  EXPECT_EQ(lane.client.outstanding(), 1U) << "progress ends nothing";
  EXPECT_EQ(lane.client.read().kind, report_kind::value);
}

TEST(Lane, TheWorkerHasNoRoomWhenNobodyReads) {
  lane_pair lane;
  lane.introduce();
  ASSERT_TRUE(lane.client.put({.ticket = ticket_of(1)}));
  ASSERT_EQ(lane.worker.claim().ticket, ticket_of(1));
  const std::string text(inline_limit, 'p');
  std::size_t sent = 0;
  while (lane.worker.report(
      {.kind = report_kind::progress, .ticket = ticket_of(1), .payload = as_payload(text)})) {
    ++sent;
  }
  EXPECT_GE(sent, report_ring_bytes / inline_limit - 2);
  EXPECT_FALSE(lane.worker.has_room(inline_limit, 0));
  for (std::size_t i = 0; i < sent; ++i) {
    const lane_report report = lane.client.read();
    ASSERT_EQ(report.status, read_status::report) << report.reason;
    EXPECT_EQ(as_text(report.payload), text);
    lane.client.release();
  }
  EXPECT_EQ(lane.client.read().status, read_status::nothing);
  EXPECT_TRUE(lane.worker.has_room(inline_limit, 0));
}

TEST(LaneBells, AnAwakeWorkerIsNotRung) {
  lane_pair lane;
  lane.introduce();
  EXPECT_FALSE(lane.client.ring_needed());
  ASSERT_TRUE(lane.client.put({.ticket = ticket_of(1)}));
  EXPECT_FALSE(lane.client.ring_needed());
}

TEST(LaneBells, ASleepingWorkerIsRungOncePerSleep) {
  lane_pair lane;
  lane.introduce();
  int looks = 0;
  lane.worker.sleep(wait_for::frames, [&] {
    EXPECT_FALSE(lane.client.ring_needed()) << "there is nothing to tell";
    EXPECT_TRUE(lane.client.put({.ticket = ticket_of(1)}));
    EXPECT_TRUE(lane.client.ring_needed());
    EXPECT_TRUE(lane.client.put({.ticket = ticket_of(2)}));
    EXPECT_FALSE(lane.client.ring_needed()) << "it is on its way";
    ++looks;
    return lane.worker.frame_waits();
  });
  EXPECT_EQ(looks, 1);
  lane.worker.sleep(wait_for::frames, [&] {
    EXPECT_TRUE(lane.client.put({.ticket = ticket_of(3)}));
    EXPECT_TRUE(lane.client.ring_needed()) << "another sleep";
    return true;
  });
  lane.worker.sleep(wait_for::releases, [&] {
    EXPECT_TRUE(lane.client.put({.ticket = ticket_of(4)}));
    EXPECT_FALSE(lane.client.ring_needed()) << "that is not what it waits for";
    return true;
  });
  lane.worker.sleep(wait_for::frames, [&] {
    lane.client.request_exit();
    EXPECT_TRUE(lane.client.ring_needed());
    return lane.worker.exit_requested();
  });
}

std::uint32_t bell_of(const lane_pair& lane, listener who) {
  return lane.client.layout().worker.client_bell[static_cast<std::size_t>(who)].load();
}

TEST(LaneBells, ASleepingClientIsRungOncePerSleep) {
  lane_pair lane;
  lane.introduce();
  const lane_signals signals = lane.client.signals();
  constexpr auto who = listener::resident;
  const auto report = [&] { return lane.worker.report({.kind = report_kind::recycle}); };
  ASSERT_TRUE(report());
  EXPECT_EQ(bell_of(lane, who), 0U) << "nobody sleeps";
  const os::awaited_word first = signals.arm(who);
  EXPECT_EQ(first.expected, 0U);
  EXPECT_TRUE(signals.has_news());
  ASSERT_TRUE(report());
  EXPECT_EQ(bell_of(lane, who), 1U);
  ASSERT_TRUE(report());
  EXPECT_EQ(bell_of(lane, who), 1U) << "it is on its way";
  const os::awaited_word second = signals.arm(who);
  EXPECT_EQ(second.expected, 1U);
  ASSERT_TRUE(report());
  EXPECT_EQ(bell_of(lane, who), 2U) << "a second sleeper came after the first was rung for";
  signals.disarm(who);
  signals.disarm(who);
  ASSERT_TRUE(report());
  EXPECT_EQ(bell_of(lane, who), 2U);
}

TEST(LaneBells, AnAttendantIsToldInsteadOfTheResident) {
  lane_pair lane;
  lane.introduce();
  const lane_signals signals = lane.client.signals();
  const auto report = [&] { return lane.worker.report({.kind = report_kind::recycle}); };
  signals.arm(listener::resident);
  signals.attend();
  ASSERT_TRUE(report());
  EXPECT_EQ(bell_of(lane, listener::resident), 0U);
  EXPECT_EQ(bell_of(lane, listener::attendant), 0U) << "it is awake";
  signals.arm(listener::attendant);
  ASSERT_TRUE(report());
  EXPECT_EQ(bell_of(lane, listener::resident), 0U);
  EXPECT_EQ(bell_of(lane, listener::attendant), 1U);
  signals.disarm(listener::attendant);
  signals.unattend();
  ASSERT_TRUE(report());
  EXPECT_EQ(bell_of(lane, listener::resident), 1U);
}

TEST(LaneBells, AResidentIsRungForAnOwedReportUnlessItHasBeenRead) {
  lane_pair lane;
  lane.introduce();
  const lane_signals signals = lane.client.signals();
  const auto report = [&] {
    return lane.worker.report({.kind = report_kind::recycle}, ringing::owed);
  };
  signals.arm(listener::resident);
  ASSERT_TRUE(report());
  EXPECT_EQ(bell_of(lane, listener::resident), 0U);
  EXPECT_TRUE(lane.worker.owes_ring());
  lane.worker.ring_if_owed();
  EXPECT_EQ(bell_of(lane, listener::resident), 1U);
  EXPECT_FALSE(lane.worker.owes_ring());
  lane.worker.ring_if_owed();
  EXPECT_EQ(bell_of(lane, listener::resident), 1U) << "it is paid";

  const auto read_all = [&] {
    while (lane.client.read().status == read_status::report)
      lane.client.release();
  };
  read_all();
  signals.disarm(listener::resident);
  signals.arm(listener::resident);
  ASSERT_TRUE(report());
  read_all();
  EXPECT_FALSE(lane.worker.owes_ring());
  lane.worker.ring_if_owed();
  EXPECT_EQ(bell_of(lane, listener::resident), 1U) << "somebody has read it";
}

TEST(LaneBells, AnAttendantIsRungAtOnceOrWhenItHasGoneToSleepSince) {
  lane_pair lane;
  lane.introduce();
  const lane_signals signals = lane.client.signals();
  const auto report = [&] {
    return lane.worker.report({.kind = report_kind::recycle}, ringing::owed);
  };
  signals.arm(listener::resident);
  signals.attend();
  signals.arm(listener::attendant);
  ASSERT_TRUE(report());
  EXPECT_EQ(bell_of(lane, listener::attendant), 1U);
  EXPECT_FALSE(lane.worker.owes_ring());
  signals.disarm(listener::attendant);
  signals.unattend();

  ASSERT_TRUE(report());
  EXPECT_TRUE(lane.worker.owes_ring());
  signals.attend();
  signals.arm(listener::attendant);
  EXPECT_FALSE(lane.worker.owes_ring()) << "whoever attends looks for itself";
  lane.worker.ring_if_owed();
  EXPECT_EQ(bell_of(lane, listener::attendant), 2U) << "and is rung for if it sleeps";
  EXPECT_EQ(bell_of(lane, listener::resident), 0U);
}

TEST(LaneBells, NewsAreSeenUntilTheyAreRead) {
  lane_pair lane;
  const lane_signals signals = lane.client.signals();
  EXPECT_FALSE(signals.has_news());
  ASSERT_TRUE(lane.worker.report({.kind = report_kind::ready}));
  EXPECT_TRUE(signals.has_news());
  ASSERT_EQ(lane.client.read().kind, report_kind::ready);
  lane.client.release();
  EXPECT_EQ(lane.client.read().status, read_status::nothing);
  EXPECT_FALSE(signals.has_news());
}

TEST(LaneWords, TellWhoIsAskedToStop) {
  lane_pair lane;
  const client_words words = lane.worker.words();
  EXPECT_EQ(words.asked(), ticket::none);
  const os::awaited_word before = words.bell();
  lane.client.ask(ticket_of(5));
  EXPECT_EQ(words.asked(), ticket_of(5));
  EXPECT_NE(before.word->load(), before.expected);
}

TEST(LaneWords, BringAnswersInOrderAndNoMoreThanFit) {
  lane_pair lane;
  const client_words words = lane.worker.words();
  EXPECT_FALSE(words.take_answer());
  std::uint64_t given = 0;
  while (lane.client.answer(given, given + 1, given + 2))
    ++given;
  EXPECT_EQ(given, answer_ring_entries);
  for (std::uint64_t i = 0; i < given; ++i) {
    const auto answer = words.take_answer();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->id, i);
    EXPECT_EQ(answer->first, i + 1);
    EXPECT_EQ(answer->second, i + 2);
  }
  EXPECT_FALSE(words.take_answer());
  EXPECT_TRUE(lane.client.answer(99, 0, 0));
}

TEST(Lane, SignalsOutliveIt) {
  lane_signals signals;
  {
    lane_pair lane;
    signals = lane.client.signals();
  }
  signals.ring();
  EXPECT_FALSE(signals.has_news());
}

}  // namespace
}  // namespace hardstop::wire
