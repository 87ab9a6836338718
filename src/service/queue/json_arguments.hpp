// Arguments given as a value of the JSON library.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include <hardstop/message.hpp>

namespace hardstop::storage {

// Throws message_refused if the value cannot be written: a text in it is not UTF-8.
[[nodiscard]] job_message to_message(std::string_view name, const nlohmann::json& arguments);

}  // namespace hardstop::storage
