// Arguments of a job, as words of a command line.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace hardstop::cli {

// Each word is the JSON value that it reads as, or else a text: in.png 200 true '[1, 2]' become
// ["in.png", 200, true, [1, 2]]. A number that shall be a text has its quotes: '"200"'.
[[nodiscard]] nlohmann::json to_arguments(const std::vector<std::string>& words);

}  // namespace hardstop::cli
