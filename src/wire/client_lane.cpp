#include "wire/client_lane.hpp"

#include <sys/random.h>

#include <cassert>
#include <cstring>
#include <utility>

#include "os/clock.hpp"
#include "os/mapping.hpp"
#include "wire/layout.hpp"
#include "wire/worker_lane.hpp"

namespace hardstop::wire {
namespace {

constexpr auto frames = static_cast<std::uint32_t>(wait_for::frames);
constexpr auto room = static_cast<std::uint32_t>(wait_for::room);

std::byte* append(std::byte* to, const void* from, std::size_t length) {
  if (length != 0) std::memcpy(to, from, length);
  return to + length;
}

// Not a secret: it only has to be unlike what payloads hold.
std::uint64_t choose_salt(lane_layout& lane) {
  std::uint64_t salt = 0;
  if (getrandom(&salt, sizeof salt, GRND_NONBLOCK) != sizeof salt) {
    salt = static_cast<std::uint64_t>(os::to_nanoseconds(os::now())) * 0x9e37'79b9'7f4a'7c15;
  }
  return lane.client.report_salt = salt | 1;
}

}  // namespace

client_lane::client_lane(os::descriptor descriptor, std::shared_ptr<const os::mapping> memory)
    : descriptor_(std::move(descriptor)),
      signals_(std::move(memory)),
      reader_(lane().worker.reports, choose_salt(lane()), lane().worker.report_tail,
              lane().client.report_head),
      slots_(std::make_unique<std::array<posted, lane_slots>>()) {
  // Before anybody else knows of the memory; everything else starts as zero.
  lane().client.client_cpu.store(-1, std::memory_order_relaxed);
  lane().worker.worker_cpu.store(-1, std::memory_order_relaxed);
}

os::result<client_lane> client_lane::create() {
  auto file = os::make_memory_file("hardstop-lane", sizeof(lane_layout), os::allocation::up_front);
  if (!file) return file.error();
  auto memory =
      os::mapping::map(*file, sizeof(lane_layout), os::access::read_write, os::on_fork::dropped);
  if (!memory) return memory.error();
  return client_lane{std::move(*file), std::make_shared<const os::mapping>(std::move(*memory))};
}

std::optional<std::uint64_t> client_lane::reserve_payload(std::size_t length) {
  std::uint64_t begin = payload_end_;
  const std::uint64_t at = begin % payload_ring_bytes;
  // Never split: what does not fit before the end begins at the start.
  if (at + length > payload_ring_bytes) begin += payload_ring_bytes - at;
  const std::uint64_t end = begin + os::round_up(length, lane_unit);
  if (end - payload_freed_ > payload_ring_bytes) return std::nullopt;
  payload_end_ = end;
  return begin;
}

std::optional<slot_index> client_lane::put(const job_frame& frame) {
  const std::size_t ranges = frame.segments.size() + (frame.large_payload ? 1 : 0);
  const std::size_t length = frame.payload.size() + ranges * sizeof(byte_range);
  assert(fits_inline(frame.payload.size(), ranges));
  assert(frame.ticket != ticket::none &&
         static_cast<std::uint64_t>(frame.ticket) <= largest_ticket);
  if (put_ - freed_ == lane_slots) return std::nullopt;

  const auto index = static_cast<slot_index>(put_ % lane_slots);
  lane_slot& slot = lane().client.slots[index];
  std::byte* to = slot.bytes.data();
  std::uint8_t flags = 0;
  if (frame.stamp == claim_stamp::on) flags |= slot_stamp;
  if (frame.large_payload) flags |= slot_large_payload;
  if (length > slot_inline_bytes) {
    const auto position = reserve_payload(length);
    if (!position) return std::nullopt;
    flags |= slot_in_ring;
    slot.ring_position = *position;
    to = lane().client.payloads.data() + *position % payload_ring_bytes;
  }
  slot.ticket.store(static_cast<std::uint64_t>(frame.ticket), std::memory_order_relaxed);
  slot.module = frame.function.module;
  slot.offset = frame.function.offset;
  slot.payload_length = static_cast<std::uint32_t>(frame.payload.size());
  slot.range_count = static_cast<std::uint16_t>(ranges);
  slot.flags = flags;
  slot.runtime_flags = frame.runtime_flags;
  if (frame.large_payload) to = append(to, &*frame.large_payload, sizeof(byte_range));
  to = append(to, frame.segments.data(), frame.segments.size_bytes());
  append(to, frame.payload.data(), frame.payload.size());

  posted& remembered = at(put_);
  remembered.ticket = frame.ticket;
  remembered.revoked = false;
  remembered.payload_end = payload_end_;
  // seq_cst: before ring_needed() looks whether the worker sleeps. It implies release: the worker
  // that sees the sequence sees the slot and the payload.
  ++put_;
  slot.sequence.store(put_, std::memory_order_seq_cst);
  ++outstanding_;
  owed_ |= frames;
  return index;
}

bool client_lane::is_waiting(slot_index index, wire::ticket of) const {
  const posted& slot = (*slots_)[index % lane_slots];
  return slot.ticket == of && !slot.revoked && of != ticket::none;
}

take_back_answer client_lane::take_back(slot_index index, wire::ticket of) {
  if (!is_waiting(index, of)) return take_back_answer::already_claimed;
  posted& slot = (*slots_)[index];
  const std::uint64_t revoked = state_word(of, frame_state::revoked);
  std::uint64_t expected = slot.word;
  // Relaxed would do for the swap itself; acquire on failure, since then the claim was seen, and
  // what the worker published before it should be seen, too.
  if (!lane().worker.states[index].compare_exchange_strong(
          expected, revoked, std::memory_order_acq_rel, std::memory_order_acquire)) {
    return take_back_answer::already_claimed;
  }
  slot.revoked = true;
  slot.word = revoked;
  --outstanding_;
  skip_revoked();
  return take_back_answer::taken;
}

void client_lane::skip_revoked() {
  while (oldest_ != put_ && at(oldest_).revoked)
    ++oldest_;
}

void client_lane::free_slots_until(std::uint64_t position) {
  if (position == freed_) return;
  payload_freed_ = at(position - 1).payload_end;
  freed_ = position;
}

claim_info client_lane::claimed(slot_index index, wire::ticket of) const {
  if (!is_waiting(index, of)) return {};
  // Acquire: with the claim everything is visible that the worker published before it. Any change
  // counts as a claim: only the worker can have made it.
  const std::uint64_t word = lane().worker.states[index].load(std::memory_order_acquire);
  if (word == (*slots_)[index].word) return {};
  claim_info info{.claimed = true, .stamp = {}};
  // Our own page, written by us alone: trusted.
  if ((lane().client.slots[index].flags & slot_stamp) != 0) {
    info.stamp = lane().worker.stamps[index].load(std::memory_order_relaxed);
  }
  return info;
}

void client_lane::ask(wire::ticket of) {
  auto& words = lane().client;
  words.asked.store(static_cast<std::uint64_t>(of), std::memory_order_relaxed);
  // Release: a listener that sees the bell's new value sees who is asked.
  words.words_bell.fetch_add(1, std::memory_order_release);
  os::futex_wake(words.words_bell, os::futex_scope::shared);
}

bool client_lane::answer(std::uint64_t id, std::uint64_t first, std::uint64_t second) {
  auto& words = lane().client;
  const std::uint64_t tail = words.answer_tail.load(std::memory_order_relaxed);
  // The worker's word: a lie makes it lose answers.
  const std::uint64_t taken = lane().worker.answers_taken.load(std::memory_order_acquire);
  if (tail - taken >= answer_ring_entries) return false;
  words.answers[tail % answer_ring_entries] = {.id = id, .first = first, .second = second};
  words.answer_tail.store(tail + 1, std::memory_order_release);
  words.words_bell.fetch_add(1, std::memory_order_release);
  os::futex_wake(words.words_bell, os::futex_scope::shared);
  return true;
}

void client_lane::request_exit() {
  lane().client.exit_requested.store(1, std::memory_order_seq_cst);
  owed_ |= frames;
}

bool client_lane::ring_needed() {
  const std::uint32_t owed = std::exchange(owed_, 0);
  if (owed == 0) return false;
  // seq_cst: after what was published. The worker's word: a lie costs it a wake-up or us a system
  // call.
  const std::uint64_t sleep = lane().worker.worker_sleep.load(std::memory_order_seq_cst);
  const std::uint64_t count = sleep >> sleep_reason_bits;
  // Once per sleep: it is on its way already.
  if ((sleep & owed) == 0 || count == rung_for_) return false;
  rung_for_ = count;
  return true;
}

// Told at once: a worker that waits for room is rare, and with its ring full it is in a hurry.
void client_lane::tell_of_room() {
  if (!reader_.take_room_published()) return;
  // seq_cst: after the head was published.
  const std::uint64_t sleep = lane().worker.worker_sleep.load(std::memory_order_seq_cst);
  if ((sleep & room) != 0) signals_.ring();
}

lane_report client_lane::read() {
  const lane_report report = reader_.read();
  tell_of_room();
  if (report.status != read_status::report) return report;
  return is_of_worker(report.kind) ? check_worker_report(report) : check_job_report(report);
}

lane_report client_lane::check_worker_report(lane_report report) {
  const bool introduction =
      report.kind == report_kind::ready || report.kind == report_kind::start_failed;
  if (introduction == worker_spoke_) {
    return reader_.give_up(introduction ? "a worker that starts twice"
                                        : "a report of a worker that has not started");
  }
  worker_spoke_ = true;
  if (report.kind == report_kind::slots_freed) {
    std::uint64_t passed = 0;
    if (report.payload.size() != sizeof passed) return reader_.give_up("a malformed slots_freed");
    std::memcpy(&passed, report.payload.data(), sizeof passed);
    // It may have passed only what was taken back or ended.
    if (passed < freed_ || passed > oldest_) {
      return reader_.give_up("a worker that skipped a frame that was not taken back");
    }
    free_slots_until(passed);
  }
  last_read_ = report.kind;
  return report;
}

lane_report client_lane::check_job_report(lane_report report) {
  // The order rule: only the oldest frame can be running, so only of it can there be news.
  if (outstanding_ == 0 || at(oldest_).ticket != report.ticket) {
    return reader_.give_up("a report of a job that does not run there");
  }
  if (!worker_spoke_) return reader_.give_up("a report of a worker that has not started");
  report.slot = static_cast<slot_index>(oldest_ % lane_slots);
  last_read_ = report.kind;
  return report;
}

void client_lane::release() {
  const auto kind = std::exchange(last_read_, std::nullopt);
  if (!kind) return;
  reader_.release();
  tell_of_room();
  if (is_end(*kind)) {
    posted& ended = at(oldest_);
    ended.word = state_word(ended.ticket, frame_state::running);
    ended.ticket = ticket::none;
    --outstanding_;
    ++oldest_;
    // Frames are claimed in order: whatever lies before this one was passed.
    free_slots_until(oldest_);
    skip_revoked();
  }
}

}  // namespace hardstop::wire
