// Which parts of an arena are free: the bookkeeping alone, without memory, locks or system calls.
//
// Free extents are warm (their pages are backed by memory) or cold. Warm ones are given out first,
// the smallest that fits; neighbours of one temperature are merged.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "wire/frame.hpp"

namespace hardstop::wire {

enum class temperature : std::uint8_t { cold, warm };

class free_extents {
 public:
  // All of [0, size) is free and cold.
  explicit free_extents(std::uint64_t size);

  struct grant {
    byte_range place;
    temperature pages = temperature::cold;
  };

  // Exactly `length` bytes. Nothing if no free extent is large enough.
  std::optional<grant> take(std::uint64_t length);

  // Free again. It must not overlap what is free.
  void give_back(const byte_range& place, temperature pages);

  // Takes warm extents out, the largest first, until at most `keep` bytes are warm. The caller
  // gives their memory back to the system and then the extents here, as cold.
  std::vector<byte_range> take_surplus(std::uint64_t keep);

  std::uint64_t warm_bytes() const { return warm_bytes_; }

 private:
  struct extent {
    std::uint64_t length;
    temperature pages;
  };

  using by_place = std::map<std::uint64_t, extent>;

  // (length, offset)
  using by_length = std::set<std::pair<std::uint64_t, std::uint64_t>>;

  by_length& sorted(temperature pages) { return pages == temperature::warm ? warm_ : cold_; }

  void insert(std::uint64_t offset, extent);
  void erase(by_place::iterator);

  by_place extents_;
  by_length warm_;
  by_length cold_;
  std::uint64_t warm_bytes_ = 0;
};

}  // namespace hardstop::wire
