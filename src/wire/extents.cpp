#include "wire/extents.hpp"

#include <iterator>

namespace hardstop::wire {

free_extents::free_extents(std::uint64_t size) {
  if (size != 0) insert(0, {.length = size, .pages = temperature::cold});
}

void free_extents::insert(std::uint64_t offset, extent what) {
  extents_.emplace(offset, what);
  sorted(what.pages).emplace(what.length, offset);
  if (what.pages == temperature::warm) warm_bytes_ += what.length;
}

void free_extents::erase(by_place::iterator where) {
  const auto& [offset, what] = *where;
  sorted(what.pages).erase({what.length, offset});
  if (what.pages == temperature::warm) warm_bytes_ -= what.length;
  extents_.erase(where);
}

std::optional<free_extents::grant> free_extents::take(std::uint64_t length) {
  for (const temperature pages : {temperature::warm, temperature::cold}) {
    const auto& candidates = sorted(pages);
    const auto best = candidates.lower_bound({length, 0});
    if (best == candidates.end()) continue;
    const auto [found_length, offset] = *best;
    erase(extents_.find(offset));
    if (found_length > length) {
      insert(offset + length, {.length = found_length - length, .pages = pages});
    }
    return grant{.place = {.offset = offset, .length = length}, .pages = pages};
  }
  return std::nullopt;
}

void free_extents::give_back(const byte_range& place, temperature pages) {
  std::uint64_t begin = place.offset;
  std::uint64_t end = place.offset + place.length;
  const auto next = extents_.lower_bound(begin);
  if (next != extents_.begin()) {
    const auto previous = std::prev(next);
    if (previous->second.pages == pages && previous->first + previous->second.length == begin) {
      begin = previous->first;
      erase(previous);
    }
  }
  if (next != extents_.end() && next->second.pages == pages && next->first == end) {
    end += next->second.length;
    erase(next);
  }
  insert(begin, {.length = end - begin, .pages = pages});
}

std::vector<byte_range> free_extents::take_surplus(std::uint64_t keep) {
  std::vector<byte_range> surplus;
  while (warm_bytes_ > keep) {
    const auto [length, offset] = *std::prev(warm_.end());
    const auto where = extents_.find(offset);
    erase(where);
    const std::uint64_t excess = warm_bytes_ + length > keep ? warm_bytes_ + length - keep : 0;
    // Of the last one only as much as is too much, from its end.
    const std::uint64_t cut = excess < length ? excess : length;
    if (cut < length) insert(offset, {.length = length - cut, .pages = temperature::warm});
    surplus.push_back({.offset = offset + length - cut, .length = cut});
  }
  return surplus;
}

}  // namespace hardstop::wire
