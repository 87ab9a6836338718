// The acts of the demo: each starts work that cannot be stopped from inside, and stops it.
#pragma once

#include "screen.hpp"

namespace demo {

act regular_expression(screen&);
act solver(screen&);
act shell_pipeline(screen&);
act race(screen&);

}  // namespace demo
