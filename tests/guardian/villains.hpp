// What jobs do to get away. Each says it is ready when its whole tree stands, and then never ends
// by itself (unless that is its point). Those that multiply are bounded in number and in time.
#pragma once

#include <string>
#include <vector>

#include "guardian/hooks.hpp"

namespace hardstop::test {

using villain_body = void (*)(const guardian::worker_birth&);

[[nodiscard]] villain_body villain_named(const std::string& name);
// All that must be gone, with everything they started, when they are killed.
[[nodiscard]] std::vector<std::string> killable_villains();

}  // namespace hardstop::test
