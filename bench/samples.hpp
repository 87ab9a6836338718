// Durations and their percentiles.
#pragma once

#include <time.h>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "cell.hpp"

namespace bench {

// CLOCK_MONOTONIC, the same in every process.
inline std::int64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

class samples {
 public:
  explicit samples(std::size_t expected) { values_.reserve(expected); }

  void add(std::int64_t nanoseconds) { values_.push_back(static_cast<double>(nanoseconds)); }

  [[nodiscard]] std::size_t count() const { return values_.size(); }

  // The smallest sample that at least this share of all do not exceed: 0 is the least, 1 the
  // greatest.
  [[nodiscard]] double percentile(double share) const;

  // Adds "<prefix>p50", "p99", "p999", "min" and "max".
  void tell(figures& into, std::string_view prefix = "") const;

 private:
  std::vector<double> values_;
};

}  // namespace bench
