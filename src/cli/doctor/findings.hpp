// What the facts mean for hardstop, why it is not better, and what to change.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/doctor/machine.hpp"

namespace hardstop::cli {

enum class grade : std::uint8_t {
  good,     // as good as it gets
  limited,  // works, but could be better
  missing,  // nothing can start without it
};

struct finding {
  std::string name{};
  grade how = grade::good;
  std::string value{};
  std::string meaning{};  // sentences
  std::string cure{};     // sentences; empty: nothing to change
};

struct diagnosis {
  std::string refusal{};  // empty: pools can start, and commands can be run
  std::vector<finding> containment;
  std::vector<finding> kernel;
  std::vector<finding> settings;
};

[[nodiscard]] diagnosis diagnose(const machine_facts& facts);

}  // namespace hardstop::cli
