#include "cli/queue_arguments.hpp"

#include <utility>

namespace hardstop::cli {

nlohmann::json to_arguments(const std::vector<std::string>& words) {
  auto arguments = nlohmann::json::array();
  for (const auto& word : words) {
    auto value = nlohmann::json::parse(word, nullptr, false);
    arguments.push_back(value.is_discarded() ? nlohmann::json(word) : std::move(value));
  }
  return arguments;
}

}  // namespace hardstop::cli
