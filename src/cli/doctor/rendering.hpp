// A diagnosis for people and for programs.
#pragma once

#include <string>

#include "cli/doctor/findings.hpp"

namespace hardstop::cli {

// Lines of at most 100 characters.
[[nodiscard]] std::string to_text(const diagnosis& diagnosis, const machine_facts& facts);

// One line.
[[nodiscard]] std::string to_json(const diagnosis& diagnosis, const machine_facts& facts);

}  // namespace hardstop::cli
