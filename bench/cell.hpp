// A cell: what one contestant did in one round, measured in a process of its own that begins with
// nothing but this program.
//
// Times are nanoseconds of CLOCK_MONOTONIC, as doubles; the report turns them into units.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace bench {

// Quick: few samples, to see that everything still runs.
enum class effort : std::uint8_t { quick, full };

inline int times(effort how_much, int quick, int full) {
  return how_much == effort::quick ? quick : full;
}

using figures = std::map<std::string, double>;

struct cell {
  std::string_view name;
  figures (*run)(effort);
};

// Every cell of this program (cells.cpp).
std::span<const cell> all_cells();

// Thrown by a cell that cannot be measured on this machine; the text goes into the report.
class skipped : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Thrown where what was measured turned out to be wrong: a figure for it would be a lie.
class wrong : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace bench
