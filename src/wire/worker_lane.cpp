#include "wire/worker_lane.hpp"

#include <cstring>
#include <utility>

#include "os/clock.hpp"
#include "wire/layout.hpp"

namespace hardstop::wire {
namespace {

std::byte* append(std::byte* to, const void* from, std::size_t length) {
  if (length != 0) std::memcpy(to, from, length);
  return to + length;
}

}  // namespace

os::result<worker_lane> worker_lane::open(const os::descriptor& file) {
  const auto size = os::sealed_size(file);
  if (!size) return size.error();
  if (*size != sizeof(lane_layout)) {
    return os::error{.code = EINVAL, .operation = "opening a lane of another build"};
  }
  auto memory =
      os::mapping::map(file, sizeof(lane_layout), os::access::read_write, os::on_fork::dropped);
  if (!memory) return memory.error();
  if (auto done = memory->protect(offsetof(lane_layout, client), sizeof(client_half)); !done) {
    return done.error();
  }
  lane_layout& lane = lane_in(*memory);
  worker_lane opened{lane};
  opened.memory_ = std::move(*memory);
  return opened;
}

claimed_frame worker_lane::claim() {
  for (;;) {
    const auto index = claimed_ % lane_slots;
    const lane_slot& slot = lane_->client.slots[index];
    // Acquire: the slot, its payload and its state word were written before.
    if (slot.sequence.load(std::memory_order_acquire) != claimed_ + 1) return {};
    const auto of = static_cast<ticket>(slot.ticket.load(std::memory_order_relaxed));
    if ((slot.flags & slot_stamp) != 0) {
      // Before the claim, by which it is published.
      lane_->worker.stamps[index].store(os::to_nanoseconds(os::now()), std::memory_order_relaxed);
    }
    std::uint64_t expected = state_word(of, frame_state::queued);
    // Release: what was reported before is visible to whoever sees the claim.
    const bool claimed = lane_->worker.states[index].compare_exchange_strong(
        expected, state_word(of, frame_state::running), std::memory_order_acq_rel,
        std::memory_order_relaxed);
    if (!claimed && expected != state_word(of, frame_state::revoked)) {
      // A job scribbled over the word. Skipping the frame would leave the client waiting for ever.
      return {.status = claim_status::corrupt};
    }
    ++claimed_;
    if (!claimed) {
      ++skipped_;
      continue;
    }
    skipped_ = 0;
    return read_slot(slot, of);
  }
}

claimed_frame worker_lane::read_slot(const lane_slot& slot, ticket of) const {
  const std::size_t length = slot.payload_length + slot.range_count * sizeof(byte_range);
  const bool in_ring = (slot.flags & slot_in_ring) != 0;
  const bool large = (slot.flags & slot_large_payload) != 0;
  const std::uint64_t ring_at = slot.ring_position % payload_ring_bytes;
  const std::size_t room = in_ring ? payload_ring_bytes - ring_at : slot_inline_bytes;
  if ((slot.flags & ~slot_known_flags) != 0 || length > room || ring_at % lane_unit != 0 ||
      slot.payload_length > inline_limit || slot.range_count > max_ranges ||
      (large && slot.range_count == 0)) {
    return {.status = claim_status::corrupt};
  }
  const std::byte* from = in_ring ? lane_->client.payloads.data() + ring_at : slot.bytes.data();
  claimed_frame frame{.status = claim_status::frame,
                      .ticket = of,
                      .function = {.module = slot.module, .offset = slot.offset},
                      .runtime_flags = slot.runtime_flags};
  // Aligned to lane_unit, written as byte_ranges by the client.
  std::span ranges{reinterpret_cast<const byte_range*>(from), slot.range_count};
  frame.payload = {from + ranges.size_bytes(), slot.payload_length};
  if (large) {
    frame.large_payload = ranges.front();
    ranges = ranges.subspan(1);
  }
  frame.segments = ranges;
  return frame;
}

bool worker_lane::frame_waits() const {
  // seq_cst: the second look of a sleeper.
  return lane_->client.slots[claimed_ % lane_slots].sequence.load(std::memory_order_seq_cst) ==
         claimed_ + 1;
}

bool worker_lane::exit_requested() const {
  return lane_->client.exit_requested.load(std::memory_order_seq_cst) != 0;
}

std::optional<std::uint64_t> worker_lane::take_skipped() {
  if (std::exchange(skipped_, 0) == 0) return std::nullopt;
  return claimed_;
}

// Room for so many bytes in one piece: itself, or behind a pad at the start.
std::uint64_t worker_lane::pad_before(std::size_t total) const {
  const std::uint64_t rest = report_ring_bytes - reported_ % report_ring_bytes;
  return rest < total ? rest : 0;
}

bool worker_lane::fits(std::uint64_t bytes) {
  if (reported_ + bytes <= room_until_) return true;
  // seq_cst: the second look of a sleeper. It implies acquire: the client has read what is going to
  // be overwritten.
  room_until_ = lane_->client.report_head.load(std::memory_order_seq_cst) + report_ring_bytes;
  return reported_ + bytes <= room_until_;
}

bool worker_lane::has_room(std::size_t payload, std::size_t ranges) {
  const std::size_t total = report_size(payload, ranges, true);
  return fits(pad_before(total) + total);
}

bool worker_lane::report(const outgoing_report& report) {
  const std::size_t ranges = report.segments.size() + (report.large_payload ? 1 : 0);
  const std::size_t total = report_size(report.payload.size(), ranges, report.captured.has_value());
  const std::uint64_t pad = pad_before(total);
  if (!fits(pad + total)) return false;

  std::byte* const ring = lane_->worker.reports.data();
  if (pad != 0) {
    const std::uint64_t header = pad | std::uint64_t{report_pad} << 32;
    std::memcpy(ring + reported_ % report_ring_bytes, &header, sizeof header);
  }
  std::uint8_t flags = 0;
  if (report.forked == forked::yes) flags |= report_forked;
  if (report.large_payload) flags |= report_large_payload;
  if (report.captured) flags |= report_captured;
  const report_header header{.total = static_cast<std::uint32_t>(total),
                             .kind = static_cast<std::uint8_t>(report.kind),
                             .flags = flags,
                             .runtime_flags = report.runtime_flags,
                             .unused = 0,
                             .ticket = static_cast<std::uint64_t>(report.ticket),
                             .payload_length = static_cast<std::uint32_t>(report.payload.size()),
                             .range_count = static_cast<std::uint32_t>(ranges),
                             .unused_2 = 0};
  std::byte* to = ring + (reported_ + pad) % report_ring_bytes;
  to = append(to, &header, sizeof header);
  if (report.captured) to = append(to, &*report.captured, sizeof(captured_output));
  if (report.large_payload) to = append(to, &*report.large_payload, sizeof(byte_range));
  to = append(to, report.segments.data(), report.segments.size_bytes());
  append(to, report.payload.data(), report.payload.size());

  reported_ += pad + total;
  // seq_cst: before the look at whether the client sleeps. It implies release: a report that can be
  // seen is complete, also if we are killed at the next instruction.
  lane_->worker.report_tail.store(reported_, std::memory_order_seq_cst);
  ring_client();
  return true;
}

void worker_lane::ring_client() {
  // seq_cst, after the store of the tail: see unattend().
  const bool attended = lane_->client.attended.load(std::memory_order_seq_cst) != 0;
  const auto who = static_cast<std::size_t>(attended ? listener::attendant : listener::resident);
  const std::uint64_t sleep = lane_->client.client_sleep[who].load(std::memory_order_seq_cst);
  constexpr std::uint64_t sleepers = (std::uint64_t{1} << sleep_count_bits) - 1;
  const std::uint64_t begun = sleep >> sleep_count_bits;
  // Once per sleep: the bell has moved since whoever sleeps now looked at it.
  if ((sleep & sleepers) == 0 || begun == rung_for_[who]) return;
  rung_for_[who] = begun;
  auto& bell = lane_->worker.client_bell[who];
  bell.fetch_add(1, std::memory_order_release);
  os::futex_wake(bell, os::futex_scope::shared);
}

std::optional<std::uint64_t> worker_lane::take_release() {
  if (!release_waits()) return std::nullopt;
  return lane_->client.releases[taken_releases_++ % release_ring_entries].load(
      std::memory_order_relaxed);
}

bool worker_lane::release_waits() const {
  // seq_cst: the second look of a sleeper.
  return lane_->client.release_tail.load(std::memory_order_seq_cst) != taken_releases_;
}

std::uint32_t worker_lane::announce_sleep(wait_for reason) {
  // The bell before the announcement: whoever rings because of it changes the bell after this load.
  const std::uint32_t bell = lane_->client.worker_bell.load(std::memory_order_acquire);
  ++sleeps_;
  lane_->worker.worker_cpu.store(-1, std::memory_order_relaxed);
  published_cpu_ = -1;
  lane_->worker.worker_sleep.store(
      sleeps_ << sleep_reason_bits | static_cast<std::uint64_t>(reason), std::memory_order_seq_cst);
  return bell;
}

void worker_lane::wait(std::uint32_t bell) {
  os::futex_wait(lane_->client.worker_bell, bell, os::futex_scope::shared);
}

void worker_lane::end_sleep() {
  // Relaxed: a client that sees it late rings once for nothing.
  lane_->worker.worker_sleep.store(sleeps_ << sleep_reason_bits, std::memory_order_relaxed);
}

int worker_lane::client_cpu() const {
  return lane_->client.client_cpu.load(std::memory_order_relaxed);
}

void worker_lane::publish_cpu(int cpu) {
  if (published_cpu_ == cpu) return;
  published_cpu_ = cpu;
  lane_->worker.worker_cpu.store(cpu, std::memory_order_relaxed);
}

}  // namespace hardstop::wire
