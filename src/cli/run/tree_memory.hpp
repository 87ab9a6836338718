// Watching how much memory a tree uses, where no cgroup limits it.
//
// Adds up the resident memory of all descendants of this process every 10 ms. That counts what
// processes share once for each, so before a limit is called exceeded the shares are counted fairly
// (PSS), which costs milliseconds per gigabyte and therefore is not done every time. A tree so
// large that looking takes long is looked at less often: the watch takes a tenth of one CPU at
// most.
#pragma once

#include <cstdint>

#include "os/clock.hpp"

namespace hardstop::cli {

class tree_memory {
 public:
  tree_memory(std::uint64_t limit, os::time_point begin) : limit_{limit}, next_{begin + period} {}

  // When to look again.
  [[nodiscard]] os::time_point next() const { return next_; }

  // Looks; true if the tree uses more than its limit.
  [[nodiscard]] bool exceeded();

  // The most that was seen, bytes.
  [[nodiscard]] std::uint64_t peak() const { return peak_; }

 private:
  static constexpr std::chrono::milliseconds period{10};
  static constexpr int most_expensive = 10;  // one part in so many of a CPU's time

  std::uint64_t limit_;
  os::time_point next_;
  std::uint64_t peak_ = 0;
};

}  // namespace hardstop::cli
