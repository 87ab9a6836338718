#include "engine/large.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include <hardstop/errors.hpp>

namespace hardstop::engine {

namespace {

wire::arena_range filled(wire::argument_arena& arena, std::span<const std::byte> bytes) {
  auto range = arena.allocate(bytes.size());
  if (!range) {
    throw system_failure(
        std::error_code(range.error().code, std::generic_category()),
        "no shared memory for an argument of " + std::to_string(bytes.size()) + " bytes");
  }
  std::memcpy(range->bytes().data(), bytes.data(), bytes.size());
  return std::move(*range);
}

}  // namespace

std::unique_ptr<large_arguments> large_arguments::of(const detail::encoder& from,
                                                     wire::argument_arena& arena) {
  const auto bytes = from.bytes();
  const auto segments = from.segments();
  const bool inline_payload = wire::fits_inline(bytes.size(), segments.size());
  if (inline_payload && segments.empty()) return nullptr;
  if (segments.size() >= wire::max_ranges) {
    throw encode_error("a job takes " + std::to_string(segments.size()) +
                       " large ranges, and at most " + std::to_string(wire::max_ranges - 1) +
                       " can travel: join them into fewer, larger ones");
  }
  auto large = std::make_unique<large_arguments>();
  if (!inline_payload) large->payload = filled(arena, bytes);
  for (const auto segment : segments) {
    large->segments.push_back(filled(arena, segment));
    // The range is as long as asked for; the arena may have given a longer one.
    large->places.push_back({large->segments.back().place().offset, segment.size()});
  }
  return large;
}

std::unique_ptr<large_result> large_result::adopt(const std::shared_ptr<wire::client_results>& from,
                                                  const std::optional<wire::byte_range>& payload,
                                                  std::span<const wire::byte_range> segments) {
  auto large = std::make_unique<large_result>();
  large->from_ = from;
  if (payload) {
    auto range = from->adopt(*payload);
    if (!range) return nullptr;
    large->payload_.emplace(std::move(*range));
  }
  large->segments_.reserve(segments.size());
  for (const wire::byte_range& place : segments) {
    auto range = from->adopt(place);
    if (!range) return nullptr;
    large->segments_.emplace_back(std::move(*range));
  }
  return large;
}

void large_result::make_room() {
  if (!from_->crowded()) return;
  if (payload_) payload_->copy();
  for (piece& each : segments_)
    each.copy();
}

void large_result::piece::copy() {
  const auto shared = shared_.bytes();
  own_.reset(static_cast<std::byte*>(
      ::operator new[](std::max<std::size_t>(shared.size(), 1), alignment)));
  size_ = shared.size();
  std::memcpy(own_.get(), shared.data(), size_);
  shared_ = {};
}

}  // namespace hardstop::engine
