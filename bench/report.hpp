// The results as people and programs read them.
#pragma once

#include <string>
#include <vector>

#include "machine.hpp"
#include "results.hpp"

namespace bench {

std::string to_markdown(const machine& where, const std::vector<row_result>& results);

// The rows that have a target, without the ends of the spreads: for the front page.
std::string to_summary(const std::vector<row_result>& results);

// All of it: also every figure of every cell in every round.
std::string to_json(const machine& where, const std::vector<row_result>& results,
                    const measurements& all);

}  // namespace bench
