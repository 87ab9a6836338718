#include "service/queue/json_arguments.hpp"

#include <cstddef>
#include <span>
#include <string>

#include <hardstop/errors.hpp>

namespace hardstop::storage {

job_message to_message(std::string_view name, const nlohmann::json& arguments) {
  std::string text;
  try {
    text = arguments.dump();
  } catch (const nlohmann::json::exception& error) {
    throw message_refused("a job \"" + std::string{name} +
                          "\" cannot be enqueued: " + error.what());
  }
  const auto bytes = std::as_bytes(std::span{text});
  return {.name = std::string{name},
          .format = argument_format::json,
          .arguments = {bytes.begin(), bytes.end()}};
}

}  // namespace hardstop::storage
