#include "wire/arena.hpp"

#include <mutex>
#include <optional>
#include <vector>

#include "os/same_process.hpp"
#include "wire/extents.hpp"

namespace hardstop::wire {

struct argument_arena::state {
  state(os::mapping memory, os::descriptor readable, std::size_t keep)
      : mapped(std::move(memory)),
        descriptor(std::move(readable)),
        keep_warm(keep),
        free(mapped.size()) {}

  // In a forked child the mapping does not exist, and the lock may be held for ever.
  bool ours() const { return generation == os::process_generation(); }

  const os::mapping mapped;
  const os::descriptor descriptor;
  const std::size_t keep_warm;
  const std::uint64_t generation = os::process_generation();

  mutable std::mutex lock;  // of what follows; nobody copies or calls the kernel under it
  free_extents free;
  std::size_t in_use = 0;
};

argument_arena::argument_arena() = default;

argument_arena::~argument_arena() = default;

os::result<std::shared_ptr<argument_arena>> argument_arena::create(const arena_options& options) {
  auto memory = reserve_sparse_memory("hardstop-arguments", options, os::access::read_write);
  if (!memory) return memory.error();
  auto readable = os::read_only_twin(memory->file);
  if (!readable) return readable.error();
  std::shared_ptr<argument_arena> arena{new argument_arena};
  arena->state_ =
      std::make_unique<state>(std::move(memory->mapped), std::move(*readable), options.keep_warm);
  return arena;
}

const os::descriptor& argument_arena::memory() const {
  return state_->descriptor;
}

os::result<arena_range> argument_arena::allocate(std::size_t length) {
  const os::error full{.code = ENOMEM, .operation = "finding room in the arena of large arguments"};
  // Nobody can have so much, and rounding it up would overflow.
  if (length > state_->mapped.size()) return full;
  const std::size_t rounded = in_pages(length);
  std::optional<free_extents::grant> grant;
  {
    const std::lock_guard hold{state_->lock};
    grant = state_->free.take(rounded);
    if (grant) state_->in_use += rounded;
  }
  if (!grant) return full;
  arena_range range{shared_from_this(), {.offset = grant->place.offset, .length = length}};
  if (grant->pages == temperature::cold) {
    if (auto done = state_->mapped.populate(grant->place.offset, rounded); !done) {
      return done.error();
    }
  }
  return range;
}

void argument_arena::give_back(byte_range place) noexcept {
  if (!state_->ours()) return;
  const std::size_t rounded = in_pages(place.length);
  std::vector<byte_range> surplus;
  {
    const std::lock_guard hold{state_->lock};
    state_->free.give_back({.offset = place.offset, .length = rounded}, temperature::warm);
    state_->in_use -= rounded;
    surplus = state_->free.take_surplus(state_->keep_warm);
  }
  if (surplus.empty()) return;
  for (const byte_range& cold : surplus)
    state_->mapped.punch(cold.offset, cold.length);
  const std::lock_guard hold{state_->lock};
  for (const byte_range& cold : surplus)
    state_->free.give_back(cold, temperature::cold);
}

argument_arena::usage argument_arena::used() const {
  const std::lock_guard hold{state_->lock};
  return {.in_use = state_->in_use, .kept_warm = state_->free.warm_bytes()};
}

arena_range::~arena_range() {
  if (arena_) arena_->give_back(place_);
}

std::span<std::byte> arena_range::bytes() const {
  if (!arena_) return {};
  return arena_->state_->mapped.bytes().subspan(place_.offset, place_.length);
}

os::result<argument_view> argument_view::open(const os::descriptor& memory, page_choice pages) {
  const auto size = os::sealed_size(memory);
  if (!size) return size.error();
  argument_view view;
  if (*size == 0) return view;
  auto mapped = os::mapping::map(memory, *size, os::access::read_only, os::on_fork::kept);
  if (!mapped) return mapped.error();
  view.mapped_ = std::move(*mapped);
  if (pages == page_choice::huge) view.mapped_.prefer_huge_pages();
  return view;
}

std::optional<std::span<const std::byte>> argument_view::at(const byte_range& place) const {
  const std::size_t size = mapped_.size();
  if (place.offset > size || place.length > size - place.offset) return std::nullopt;
  return mapped_.bytes().subspan(place.offset, place.length);
}

}  // namespace hardstop::wire
