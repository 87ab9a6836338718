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
    // Acquire: the slot and its payload were written before.
    if (slot.sequence.load(std::memory_order_acquire) != claimed_ + 1) return {};
    const auto of = static_cast<ticket>(slot.ticket.load(std::memory_order_relaxed));
    claimed_at_ = 0;
    if ((slot.flags & slot_stamp) != 0) {
      claimed_at_ = os::to_nanoseconds(os::now());
      // Before the claim, by which it is published.
      lane_->worker.stamps[index].store(claimed_at_, std::memory_order_relaxed);
    }
    const std::uint64_t running = state_word(of, frame_state::running);
    const std::uint64_t revoked = state_word(of, frame_state::revoked);
    auto& state = lane_->worker.states[index];
    std::uint64_t word = words_[index];
    // Release: what was reported before is visible to whoever sees the claim.
    const auto swap = [&] {
      return state.compare_exchange_strong(word, running, std::memory_order_acq_rel,
                                           std::memory_order_relaxed);
    };
    bool claimed = swap();
    // Neither what was left there nor revoked: an earlier job scribbled over it, for which this one
    // is not to suffer. The client takes any other value for a claim, so it is one.
    if (!claimed && word != revoked) claimed = swap();
    if (!claimed && word != revoked) return {.status = claim_status::corrupt};
    words_[index] = claimed ? running : revoked;
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

bool worker_lane::report(const outgoing_report& report, ringing when) {
  const std::size_t ranges = report.segments.size() + (report.large_payload ? 1 : 0);
  const std::size_t total = report_size(report.payload.size(), ranges, report.captured.has_value());
  const std::uint64_t pad = pad_before(total);
  if (!fits(pad + total)) return false;

  std::byte* const ring = lane_->worker.reports.data();
  const std::uint64_t salt = lane_->client.report_salt;
  std::uint8_t flags = 0;
  if (report.forked == forked::yes) flags |= report_forked;
  if (report.large_payload) flags |= report_large_payload;
  if (report.captured) flags |= report_captured;
  const std::uint64_t position = reported_ + pad;
  const report_header header{.mark = report_mark(position, salt),
                             .payload_length = static_cast<std::uint16_t>(report.payload.size()),
                             .range_count = static_cast<std::uint16_t>(ranges),
                             .kind = static_cast<std::uint8_t>(report.kind),
                             .flags = flags,
                             .runtime_flags = report.runtime_flags,
                             .unused = 0,
                             .ticket = static_cast<std::uint64_t>(report.ticket),
                             .claimed_at = is_end(report.kind) ? claimed_at_ : 0};
  std::byte* const begin = ring + position % report_ring_bytes;
  const auto* const after_mark = reinterpret_cast<const std::byte*>(&header) + sizeof header.mark;
  std::byte* to =
      append(begin + sizeof header.mark, after_mark, sizeof header - sizeof header.mark);
  if (report.captured) to = append(to, &*report.captured, sizeof(captured_output));
  if (report.large_payload) to = append(to, &*report.large_payload, sizeof(byte_range));
  to = append(to, report.segments.data(), report.segments.size_bytes());
  append(to, report.payload.data(), report.payload.size());

  // Should a job have scribbled over the tail: nobody must take it for that of a report behind
  // this.
  lane_->worker.report_tail.store(reported_, std::memory_order_relaxed);
  // The last store is seq_cst: before the look at whether the client sleeps. It implies release: a
  // report that can be seen is complete, also if we are killed at the next instruction.
  if (pad == 0) {
    store_word(begin, header.mark, __ATOMIC_SEQ_CST);
  } else {
    // The pad stands where the client looks, so that its mark comes last.
    store_word(begin, header.mark, __ATOMIC_RELAXED);
    std::byte* const padded = ring + reported_ % report_ring_bytes;
    constexpr std::size_t of_kind = offsetof(report_header, kind) - sizeof header.mark;
    store_word(padded + sizeof header.mark, std::uint64_t{report_pad} << 8 * of_kind,
               __ATOMIC_RELAXED);
    store_word(padded, report_mark(reported_, salt), __ATOMIC_SEQ_CST);
  }
  reported_ = position + total;
  // Release: after all marks before it.
  lane_->worker.report_tail.store(reported_, std::memory_order_release);
  owed_ = when == ringing::owed && who_listens() == listener::resident;
  if (!owed_) ring_client();
  return true;
}

// As ring_client() would find it, were it called now: each look is made after the mark was stored.
// So whoever is seen to listen, or to be awake, finds the report, as if the mark had been stored
// this late.
bool worker_lane::owes_ring() const {
  if (!owed_ || who_listens() == listener::attendant) return false;
  return lane_->client.report_head.load(std::memory_order_relaxed) != reported_;
}

void worker_lane::ring_if_owed() {
  if (!std::exchange(owed_, false)) return;
  // Not only if owes_ring(): an attendant may have gone to sleep meanwhile.
  if (lane_->client.report_head.load(std::memory_order_relaxed) != reported_) ring_client();
}

listener worker_lane::who_listens() const {
  // seq_cst, after the store of the mark: see unattend().
  const bool attended = lane_->client.attended.load(std::memory_order_seq_cst) != 0;
  return attended ? listener::attendant : listener::resident;
}

void worker_lane::ring_client() {
  const auto who = static_cast<std::size_t>(who_listens());
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
  const int spinning = lane_->client.client_cpu.load(std::memory_order_relaxed);
  return spinning >= 0 ? spinning : lane_->client.ringer_cpu.load(std::memory_order_relaxed);
}

void worker_lane::publish_cpu(int cpu) {
  if (published_cpu_ == cpu) return;
  published_cpu_ = cpu;
  lane_->worker.worker_cpu.store(cpu, std::memory_order_relaxed);
}

}  // namespace hardstop::wire
