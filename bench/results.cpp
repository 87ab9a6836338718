#include "results.hpp"

#include <algorithm>
#include <cstddef>

namespace bench {

namespace {

const std::vector<cell_result>* rounds_of(const measurements& all, const source& where) {
  const auto found = all.find(where.cell);
  return found == all.end() ? nullptr : &found->second;
}

// One value per round; nothing in rounds that failed.
std::vector<std::optional<double>> values_of(const std::vector<cell_result>& rounds,
                                             std::string_view figure) {
  std::vector<std::optional<double>> values;
  for (const cell_result& round : rounds) {
    const auto found = round.figures.find(std::string(figure));
    const bool there = round.end == cell_end::measured && found != round.figures.end();
    values.push_back(there ? std::optional(found->second) : std::nullopt);
  }
  return values;
}

std::optional<spread> spread_of_present(const std::vector<std::optional<double>>& values) {
  std::vector<double> present;
  for (const auto& value : values) {
    if (value) present.push_back(*value);
  }
  if (present.empty()) return std::nullopt;
  return spread_of(std::move(present));
}

std::string first_reason(const std::vector<cell_result>& rounds) {
  const auto found = std::ranges::find_if(
      rounds, [](const cell_result& round) { return round.end != cell_end::measured; });
  if (found == rounds.end()) return {};
  return (found->end == cell_end::skipped ? "skipped: " : "failed: ") + found->reason;
}

void compare(row_result& result, const std::vector<std::optional<double>>& ours,
             const std::vector<std::optional<double>>& peer) {
  std::vector<std::optional<double>> pairs;
  for (std::size_t round = 0; round < std::min(ours.size(), peer.size()); ++round) {
    const auto& [mine, theirs] = std::pair(ours[round], peer[round]);
    if (!mine || !theirs) continue;
    const bool ratio = result.planned->compared == comparison::ratio;
    if (ratio && *theirs == 0) continue;
    pairs.emplace_back(ratio ? *mine / *theirs : *mine - *theirs);
  }
  result.against = spread_of_present(pairs);
}

verdict judge(const row_result& result) {
  if (!result.ours) return verdict::not_measured;
  if (result.planned->met == nullptr) return verdict::only_reported;
  if (!result.planned->peer.cell.empty() && !result.against) return verdict::not_measured;
  const double against = result.against ? result.against->median : 0;
  return result.planned->met(result.ours->median, against) ? verdict::met : verdict::missed;
}

}  // namespace

spread spread_of(std::vector<double> values) {
  std::ranges::sort(values);
  const std::size_t middle = values.size() / 2;
  const double median =
      values.size() % 2 != 0 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  return {.median = median, .least = values.front(), .greatest = values.back()};
}

std::vector<row_result> evaluate(const measurements& all) {
  std::vector<row_result> results;
  for (const row& planned : rows()) {
    const auto* ours = rounds_of(all, planned.ours);
    if (ours == nullptr) continue;
    row_result result{.planned = &planned};
    const auto our_values = values_of(*ours, planned.ours.figure);
    result.ours = spread_of_present(our_values);
    result.note = first_reason(*ours);
    if (const auto* peer = rounds_of(all, planned.peer); peer != nullptr) {
      const auto peer_values = values_of(*peer, planned.peer.figure);
      result.peer = spread_of_present(peer_values);
      compare(result, our_values, peer_values);
      if (result.note.empty()) result.note = first_reason(*peer);
    }
    result.verdict = judge(result);
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace bench
