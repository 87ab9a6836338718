// Workers sorted by how full their lanes are, coarsely: shelf 0 holds the idle ones, shelf s >= 1
// those with 2^(s-1) to 2^s - 1 jobs. The emptiest and the fullest are found without looking at the
// others, and a worker moves only when its lane crosses a power of two.
//
// On each shelf the one that moved least recently stands in front; idle ones the other way round,
// so that the warmest is used next and the coldest may leave. A shelf may be out of date until its
// worker is put() again: whoever picks from one looks at the lane itself.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "schedule/worker.hpp"

namespace hardstop::schedule {

class shelves {
 public:
  static constexpr std::size_t count = 33;

  static std::uint8_t shelf_for(std::size_t jobs) {
    return static_cast<std::uint8_t>(std::bit_width(jobs));
  }

  worker_list& at(std::size_t shelf) { return list_[shelf]; }

  const worker_list& at(std::size_t shelf) const { return list_[shelf]; }

  // Bit s: shelf s holds somebody.
  std::uint64_t occupied() const { return occupied_; }

  // With two jobs or more.
  std::uint64_t occupied_deep() const { return occupied_ & ~std::uint64_t{3}; }

  void put(worker& who, std::uint8_t shelf) {
    who.shelf = shelf;
    if (shelf == 0) {
      list_[0].push_front(who);
    } else {
      list_[shelf].push_back(who);
    }
    occupied_ |= std::uint64_t{1} << shelf;
  }

  void remove(worker& who) {
    worker_list& from = list_[who.shelf];
    from.remove(who);
    if (from.empty()) occupied_ &= ~(std::uint64_t{1} << who.shelf);
    who.shelf = worker::no_shelf;
  }

 private:
  std::array<worker_list, count> list_;
  std::uint64_t occupied_ = 0;
};

}  // namespace hardstop::schedule
