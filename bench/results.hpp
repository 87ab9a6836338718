// What the rounds came to: the rows of the plan with their figures.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cell_process.hpp"
#include "plan.hpp"

namespace bench {

// Of each cell, what it said in each round.
using measurements = std::map<std::string_view, std::vector<cell_result>>;

// The middle and the ends of what the rounds gave.
struct spread {
  double median = 0;
  double least = 0;
  double greatest = 0;
};

spread spread_of(std::vector<double> values);

enum class verdict : std::uint8_t { met, missed, only_reported, not_measured };

struct row_result {
  const row* planned = nullptr;
  std::optional<spread> ours{};
  std::optional<spread> peer{};
  std::optional<spread> against{};  // ratio or difference, pair by pair
  bench::verdict verdict = verdict::not_measured;
  std::string note{};  // why something is missing
};

// Rows of which no cell was run are left out.
std::vector<row_result> evaluate(const measurements& all);

}  // namespace bench
