// The ring of reports as a client reads it, over any bytes, also such that change between two
// reads.
#include <algorithm>
#include <atomic>
#include <memory>
#include <span>

#include "fuzz/input.hpp"
#include "wire/failure.hpp"
#include "wire/layout.hpp"
#include "wire/report_reader.hpp"

namespace hardstop::wire {
namespace {

using fuzz::require;

constexpr std::size_t ring_bytes = 4096;
constexpr std::uint64_t salt = 1;

struct memory {
  alignas(lane_unit) std::array<std::byte, ring_bytes> ring{};
  std::atomic<std::uint64_t> tail{0};
  std::atomic<std::uint64_t> head{0};
};

void check(const lane_report& report, const memory& shared) {
  if (report.status == read_status::corrupt) return require(report.reason != nullptr);
  if (report.status != read_status::report) return;
  require(report.payload.data() >= shared.ring.data());
  require(report.payload.data() + report.payload.size() <= shared.ring.data() + ring_bytes);
  require(report.segments.size() <= max_ranges);
  require(is_of_worker(report.kind) == (report.ticket == ticket::none));
  require(!report.large_payload || report.payload.empty());
  fuzz::touch(report.payload);
  fuzz::touch(std::as_bytes(report.segments));
  (void)decode_failure(report.payload);
}

void feed(fuzz::input choices) {
  // On the heap, so that a sanitizer guards its ends.
  const auto shared = std::make_unique<memory>();
  report_reader reader{shared->ring, salt, shared->tail, shared->head};
  while (!choices.empty()) {
    switch (choices.take<std::uint8_t>() % 6) {
      case 0: {
        // A write of the worker's, wherever it hits.
        const std::size_t at = choices.take<std::uint16_t>() % ring_bytes;
        const auto bytes = choices.take_bytes(
            std::min<std::size_t>(choices.take<std::uint8_t>(), ring_bytes - at));
        std::memcpy(shared->ring.data() + at, bytes.data(), bytes.size());
        break;
      }
      case 1:
        shared->tail += std::uint64_t{choices.take<std::uint8_t>()} * lane_unit;
        break;
      case 2:
        shared->tail = choices.take<std::uint64_t>();
        break;
      case 3: {
        // A mark, as a worker would make it.
        const std::uint64_t position = shared->head + choices.take<std::uint8_t>() * lane_unit;
        store_word(shared->ring.data() + position % ring_bytes, report_mark(position, salt),
                   __ATOMIC_RELAXED);
        break;
      }
      case 4: {
        const auto before = shared->head.load();
        check(reader.read(), *shared);
        fuzz::require(shared->head - before <= ring_bytes);
        break;
      }
      default:
        reader.release();
    }
  }
}

}  // namespace
}  // namespace hardstop::wire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  hardstop::wire::feed(hardstop::fuzz::input{data, size});
  return 0;
}
