#include "wire/report_reader.hpp"

#include <cstddef>
#include <cstring>
#include <utility>

#include "wire/layout.hpp"

namespace hardstop::wire {
namespace {

// Each word is loaded once, by a load that the compiler can neither repeat nor split: the memory
// may change at any time. Relaxed: the mark was loaded before, with acquire.
template <class T>
T copy_once(const std::byte* from) {
  static_assert(sizeof(T) % sizeof(std::uint64_t) == 0);
  std::uint64_t words[sizeof(T) / sizeof(std::uint64_t)];
  for (auto& word : words) {
    word = load_word(from, __ATOMIC_RELAXED);
    from += sizeof word;
  }
  T value{};
  std::memcpy(&value, words, sizeof value);
  return value;
}

// A pad may be shorter than a header, but has its first two words.
bool is_pad(const std::byte* at) {
  constexpr std::size_t of_kind = offsetof(report_header, kind) - sizeof(std::uint64_t);
  const std::uint64_t word = load_word(at + sizeof(std::uint64_t), __ATOMIC_RELAXED);
  return static_cast<std::uint8_t>(word >> 8 * of_kind) == report_pad;
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

report_reader::report_reader(std::span<const std::byte> ring, std::uint64_t salt,
                             const std::atomic<std::uint64_t>& tail,
                             std::atomic<std::uint64_t>& head)
    : ring_(ring), salt_(salt), tail_(&tail), head_(&head) {
  ranges_.reserve(max_ranges);
}

lane_report report_reader::give_up(const char* reason) {
  if (corruption_ == nullptr) corruption_ = reason;
  return {.status = read_status::corrupt, .reason = corruption_};
}

bool report_reader::is_marked(std::uint64_t position) const {
  // Acquire: everything of the report was written before its mark.
  return load_word(ring_.data() + position % ring_.size(), __ATOMIC_ACQUIRE) ==
         report_mark(position, salt_);
}

report_reader::finding report_reader::look() const {
  if (is_marked(position_)) return finding::report;
  // Right after another report: the line of the tail is the worker's, and would take a transfer to
  // learn what the mark has told. Whoever looks again does so because of the tail.
  if (published_ != position_) return finding::nothing;
  // Acquire: the mark of whatever is before the tail was stored earlier. The tail may be behind us:
  // it is stored after the mark, by which we may have read and passed the report meanwhile.
  if (!is_behind(position_, tail_->load(std::memory_order_acquire))) return finding::nothing;
  // It may have come just now; else it has been scribbled over, and the worker would never say so.
  return is_marked(position_) ? finding::report : finding::lost;
}

lane_report report_reader::read() {
  if (corrupt()) return give_up(corruption_);
  finding found = look();
  const std::uint64_t at = position_ % ring_.size();
  // At the start of the ring there is nothing to pad: so there is one pad at most, and no loop.
  if (found == finding::report && at != 0 && is_pad(ring_.data() + at)) {
    position_ += ring_.size() - at;
    // A pad is marked after the report behind it.
    found = is_marked(position_) ? finding::report : finding::lost;
  }
  switch (found) {
    case finding::report:
      return read_report();
    case finding::lost:
      return give_up("a report that has vanished");
    case finding::nothing:
      publish_head();
  }
  return {};
}

lane_report report_reader::read_report() {
  const std::uint64_t at = position_ % ring_.size();
  const std::uint64_t contiguous = ring_.size() - at;
  if (contiguous < sizeof(report_header)) return give_up("a report without a header");
  const std::byte* from = ring_.data() + at;
  const auto header = copy_once<report_header>(from);
  if (const char* reason = implausible(header)) return give_up(reason);
  const bool captured = (header.flags & report_captured) != 0;
  const std::size_t total = report_size(header.payload_length, header.range_count, captured);
  if (total > contiguous) return give_up("a report that runs past the ring");
  from += sizeof header;

  lane_report report{.status = read_status::report,
                     .kind = static_cast<report_kind>(header.kind),
                     .ticket = static_cast<ticket>(header.ticket),
                     .forked = (header.flags & report_forked) != 0 ? forked::yes : forked::no,
                     .runtime_flags = header.runtime_flags};
  if (header.claimed_at != 0) report.claimed_at = header.claimed_at;
  if (captured) {
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
  length_ = total;
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
