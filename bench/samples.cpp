#include "samples.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>

namespace bench {

double samples::percentile(double share) const {
  if (values_.empty()) throw wrong("no samples");
  std::vector<double> sorted = values_;
  const double wanted = std::ceil(share * static_cast<double>(sorted.size()));
  const auto index = static_cast<std::ptrdiff_t>(std::max(wanted, 1.0)) - 1;
  std::nth_element(sorted.begin(), sorted.begin() + index, sorted.end());
  return sorted[static_cast<std::size_t>(index)];
}

void samples::tell(figures& into, std::string_view prefix) const {
  constexpr std::array<std::pair<const char*, double>, 5> told{
      {{"min", 0.0}, {"p50", 0.5}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1.0}}};
  for (const auto& [name, share] : told)
    into[std::string(prefix) + name] = percentile(share);
}

}  // namespace bench
