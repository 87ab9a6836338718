#include "wire/results.hpp"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>

#include "os/same_process.hpp"
#include "wire/layout.hpp"

namespace hardstop::wire {

static_assert(live_ranges <= release_ring_entries);

struct client_results::state {
  state(sparse_memory memory, lane_signals lane, std::size_t keep)
      : file(std::move(memory.file)),
        mapped(std::move(memory.mapped)),
        signals(std::move(lane)),
        keep_warm(keep) {}

  // In a forked child the mapping does not exist, and the lock may be held for ever.
  bool ours() const { return generation == os::process_generation(); }

  const os::descriptor file;
  const os::mapping mapped;
  const lane_signals signals;
  const std::size_t keep_warm;
  const std::uint64_t generation = os::process_generation();

  std::mutex lock;                              // of what follows
  std::map<std::uint64_t, std::uint64_t> live;  // offset, length
  bool gone = false;
  // Bytes released, not punched out and not seen again in results: what the worker keeps warm.
  std::uint64_t warm = 0;

  std::atomic<std::size_t> count{0};  // of live, for those who do not have the lock
};

client_results::client_results() = default;

client_results::~client_results() = default;

os::result<std::shared_ptr<client_results>> client_results::create(const lane_signals& signals,
                                                                   const arena_options& options) {
  auto memory = reserve_sparse_memory("hardstop-results", options, os::access::read_write);
  if (!memory) return memory.error();
  std::shared_ptr<client_results> results{new client_results};
  results->state_ = std::make_unique<state>(std::move(*memory), signals, options.keep_warm);
  return results;
}

const os::descriptor& client_results::memory() const {
  return state_->file;
}

std::optional<result_range> client_results::adopt(const byte_range& place) {
  const std::size_t size = state_->mapped.size();
  if (place.offset % os::page_size() != 0 || place.length == 0 || place.offset > size ||
      place.length > size - place.offset) {
    return std::nullopt;
  }
  const std::lock_guard hold{state_->lock};
  if (state_->live.size() == live_ranges) return std::nullopt;
  if (!state_->live.emplace(place.offset, place.length).second) return std::nullopt;
  state_->count.store(state_->live.size(), std::memory_order_relaxed);
  state_->warm -= std::min<std::uint64_t>(state_->warm, in_pages(place.length));
  return result_range{shared_from_this(), place};
}

bool client_results::crowded() const {
  return state_->count.load(std::memory_order_relaxed) > live_ranges / 2;
}

void client_results::release(byte_range place) noexcept {
  if (!state_->ours()) return;
  const std::size_t length = in_pages(place.length);
  bool punched = false;
  {
    const std::lock_guard hold{state_->lock};
    state_->live.erase(place.offset);
    state_->count.store(state_->live.size(), std::memory_order_relaxed);
    // The worker may be asleep for long: bounding its warm memory is up to us. It will find the
    // pages cold, and no worse.
    punched = state_->gone || state_->warm + length > state_->keep_warm;
    if (!punched) state_->warm += length;
  }
  // Milliseconds for a large one, so not under the lock. Nobody uses the range meanwhile.
  if (punched) os::punch(state_->file, place.offset, length);

  lane_layout& lane = state_->signals.lane();
  {
    const std::lock_guard hold{state_->lock};
    if (state_->gone) return;
    auto& tail = lane.client.release_tail;
    const std::uint64_t next = tail.load(std::memory_order_relaxed);
    // Never full: each range alive stands here at most once, and the worker has no more of them
    // alive than the ring has entries.
    lane.client.releases[next % release_ring_entries].store(
        static_cast<std::uint32_t>(place.offset / os::page_size()), std::memory_order_relaxed);
    // seq_cst: before the look at whether the worker waits for it. It implies release: what was
    // read of the range was read before it may be written again.
    tail.store(next + 1, std::memory_order_seq_cst);
  }
  const std::uint64_t sleep = lane.worker.worker_sleep.load(std::memory_order_seq_cst);
  if ((sleep & static_cast<std::uint64_t>(wait_for::releases)) != 0) state_->signals.ring();
}

void client_results::worker_gone() {
  const std::lock_guard hold{state_->lock};
  state_->gone = true;
  std::uint64_t begin = 0;
  for (const auto& [offset, length] : state_->live) {
    if (offset > begin) os::punch(state_->file, begin, offset - begin);
    begin = std::max(begin, offset + in_pages(length));
  }
  const std::size_t size = state_->mapped.size();
  if (size > begin) os::punch(state_->file, begin, size - begin);
}

result_range::~result_range() {
  if (results_) results_->release(place_);
}

std::span<const std::byte> result_range::bytes() const {
  if (!results_) return {};
  return results_->state_->mapped.bytes().subspan(place_.offset, place_.length);
}

}  // namespace hardstop::wire
