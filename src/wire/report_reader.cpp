#include "wire/report_reader.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "wire/layout.hpp"

namespace hardstop::wire {
namespace {

// One load that the compiler can neither repeat nor split: the memory may change at any time.
std::uint64_t load_once(const std::byte* from) {
  return __atomic_load_n(reinterpret_cast<const std::uint64_t*>(from), __ATOMIC_RELAXED);
}

template <class T>
T copy_once(const std::byte* from) {
  static_assert(sizeof(T) % sizeof(std::uint64_t) == 0);
  std::uint64_t words[sizeof(T) / sizeof(std::uint64_t)];
  for (auto& word : words) {
    word = load_once(from);
    from += sizeof word;
  }
  T value{};
  std::memcpy(&value, words, sizeof value);
  return value;
}

// What a header must be like by itself; nullptr if it is.
const char* implausible(const report_header& header) {
  if (header.kind < static_cast<std::uint8_t>(report_kind::ready) ||
      header.kind > static_cast<std::uint8_t>(last_report_kind)) {
    return "a report of an unknown kind";
  }
  if ((header.flags & ~report_known_flags) != 0) return "a report with unknown flags";
  if (header.payload_length > inline_limit || header.range_count > max_ranges ||
      !fits_inline(header.payload_length, header.range_count)) {
    return "a report longer than reports can be";
  }
  const bool captured = (header.flags & report_captured) != 0;
  if (header.total != report_size(header.payload_length, header.range_count, captured)) {
    return "a report whose length contradicts its parts";
  }
  if ((header.flags & report_large_payload) != 0 &&
      (header.range_count == 0 || header.payload_length != 0)) {
    return "a report with a large payload in no range";
  }
  if (header.ticket > largest_ticket) return "a report with an impossible ticket";
  const bool of_worker = is_of_worker(static_cast<report_kind>(header.kind));
  if (of_worker != (header.ticket == static_cast<std::uint64_t>(ticket::none))) {
    return "a report whose kind contradicts its ticket";
  }
  return nullptr;
}

}  // namespace

report_reader::report_reader(std::span<const std::byte> ring,
                             const std::atomic<std::uint64_t>& tail,
                             std::atomic<std::uint64_t>& head)
    : ring_(ring), tail_(&tail), head_(&head) {
  ranges_.reserve(max_ranges);
}

lane_report report_reader::give_up(const char* reason) {
  if (corruption_ == nullptr) corruption_ = reason;
  return {.status = read_status::corrupt, .reason = corruption_};
}

lane_report report_reader::read() {
  if (corrupt()) return give_up(corruption_);
  // Acquire: everything up to the tail was written before it.
  const std::uint64_t tail = tail_->load(std::memory_order_acquire);
  const std::uint64_t available = tail - position_;
  if (available == 0) {
    publish_head();
    return {};
  }
  if (available > ring_.size() || available % lane_unit != 0) {
    return give_up("an impossible end of the reports");
  }
  return read_at(available);
}

lane_report report_reader::read_at(std::uint64_t available) {
  std::uint64_t at = position_ % ring_.size();
  std::uint64_t contiguous = std::min<std::uint64_t>(available, ring_.size() - at);

  // The first word tells the size and whether it is a pad, which may be shorter than a header.
  const auto is_pad = [](std::uint64_t word) {
    return static_cast<std::uint8_t>(word >> 32) == report_pad;
  };
  std::uint64_t first = load_once(ring_.data() + at);
  if (is_pad(first)) {
    const auto length = static_cast<std::uint32_t>(first);
    // At the start of the ring there is nothing to pad: so there is one at most, and no loop.
    if (at == 0 || length != ring_.size() - at || length > available) {
      return give_up("a pad that does not end the ring");
    }
    position_ += length;
    available -= length;
    at = 0;
    contiguous = available;
    if (available == 0) return give_up("a pad with nothing behind it");
    first = load_once(ring_.data());
    if (is_pad(first)) return give_up("a pad that does not end the ring");
  }

  if (contiguous < sizeof(report_header)) return give_up("a report without a header");
  const std::byte* from = ring_.data() + at;
  auto header = copy_once<report_header>(from);
  // The first word as it was when it was judged.
  std::memcpy(&header, &first, sizeof first);
  if (const char* reason = implausible(header)) return give_up(reason);
  if (header.total > contiguous) return give_up("a report that runs past its end");
  from += sizeof header;

  lane_report report{.status = read_status::report,
                     .kind = static_cast<report_kind>(header.kind),
                     .ticket = static_cast<ticket>(header.ticket),
                     .forked = (header.flags & report_forked) != 0 ? forked::yes : forked::no,
                     .runtime_flags = header.runtime_flags};
  if ((header.flags & report_captured) != 0) {
    report.captured = copy_once<captured_output>(from);
    from += sizeof(captured_output);
  }
  ranges_.clear();
  for (std::uint32_t i = 0; i < header.range_count; ++i, from += sizeof(byte_range)) {
    ranges_.push_back(copy_once<byte_range>(from));
  }
  std::span<const byte_range> ranges{ranges_};
  if ((header.flags & report_large_payload) != 0) {
    report.large_payload = ranges.front();
    ranges = ranges.subspan(1);
  }
  report.segments = ranges;
  report.payload = {from, header.payload_length};
  length_ = header.total;
  return report;
}

void report_reader::release() {
  position_ += std::exchange(length_, 0);
  // A line of the client that the worker reads: not for every report.
  if (position_ - published_ >= ring_.size() / 8) publish_head();
}

void report_reader::publish_head() {
  if (published_ == position_) return;
  published_ = position_;
  room_published_ = true;
  // seq_cst: before the look at whether the worker sleeps, see lane_signals.hpp. It implies
  // release: the bytes were read before they may be written again.
  head_->store(position_, std::memory_order_seq_cst);
}

bool report_reader::take_room_published() {
  return std::exchange(room_published_, false);
}

}  // namespace hardstop::wire
