#include <map>
#include <utility>

#include "wire/extents.hpp"
#include "wire/results.hpp"
#include "wire/worker_lane.hpp"

namespace hardstop::wire {

struct worker_results::state {
  explicit state(os::mapping memory) : mapped(std::move(memory)), free(mapped.size()) {}

  os::mapping mapped;
  free_extents free;
  std::map<std::uint64_t, std::uint64_t> live;  // offset, length in whole pages
};

worker_results::worker_results() = default;
worker_results::worker_results(worker_results&&) noexcept = default;
worker_results& worker_results::operator=(worker_results&&) noexcept = default;
worker_results::~worker_results() = default;

os::result<worker_results> worker_results::open(const os::descriptor& memory, page_choice pages) {
  const auto size = os::sealed_size(memory);
  if (!size) return size.error();
  // Not inherited by a job's forked children: they have no results to give.
  auto mapped = os::mapping::map(memory, *size, os::access::read_write, os::on_fork::dropped);
  if (!mapped) return mapped.error();
  if (pages == page_choice::huge) mapped->prefer_huge_pages();
  worker_results results;
  results.state_ = std::make_unique<state>(std::move(*mapped));
  return results;
}

os::result<byte_range> worker_results::allocate(std::size_t length, worker_lane& lane) {
  const os::error full{.code = ENOMEM, .operation = "finding room in the arena of large results"};
  if (length > state_->mapped.size()) return full;
  const std::size_t rounded = in_pages(length);
  collect(lane);
  while (state_->live.size() >= live_ranges) {
    // The client copies results out when they are many, so there will be one; see results.hpp.
    lane.sleep(wait_for::releases, [&lane] { return lane.release_waits(); });
    collect(lane);
  }
  const auto grant = state_->free.take(rounded);
  if (!grant) return full;
  const auto [place, pages] = *grant;
  state_->live.emplace(place.offset, rounded);
  if (pages == temperature::cold) {
    if (auto done = state_->mapped.populate(place.offset, rounded); !done) {
      give_back(place);
      return done.error();
    }
  }
  return byte_range{.offset = place.offset, .length = length};
}

void worker_results::collect(worker_lane& lane) {
  for (;;) {
    const auto page = lane.take_release();
    if (!page) return;
    give_back({.offset = *page * os::page_size(), .length = 0});
  }
}

void worker_results::give_back(const byte_range& place) {
  const auto found = state_->live.find(place.offset);
  if (found == state_->live.end()) return;
  // How warm it really is, the client knows: it punches out what is too much.
  state_->free.give_back({.offset = found->first, .length = found->second}, temperature::warm);
  state_->live.erase(found);
}

std::span<std::byte> worker_results::at(const byte_range& place) const {
  return state_->mapped.bytes().subspan(place.offset, place.length);
}

std::size_t worker_results::reserved() const {
  return state_->mapped.size();
}

}  // namespace hardstop::wire
