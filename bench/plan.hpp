// What is measured, against what, and which figure it must reach: the table of results before it
// has any.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace bench {

// Cells whose figures are set against each other: run in turns, A B A B, so that what the machine
// does meanwhile meets all of them.
struct group {
  std::vector<std::string_view> cells;
  int rounds = 5;
};

enum class unit : std::uint8_t { time, per_second, bytes, plain };

// What stands between our figure and the peer's, for each round's pair.
enum class comparison : std::uint8_t { ratio, difference };

// One figure of one cell.
struct source {
  std::string_view cell;
  std::string_view figure;
};

struct row {
  std::string_view what;
  source ours;
  source peer{};  // no cell: nothing to compare with
  std::string_view peer_name{};
  bench::unit unit = unit::time;
  comparison compared = comparison::ratio;
  // In words, and as a test of the medians: ours, and what it is against the peer. Without one the
  // row only reports.
  std::string_view target{};
  bool (*met)(double ours, double against) = nullptr;
};

std::span<const group> groups();
std::span<const row> rows();

}  // namespace bench
