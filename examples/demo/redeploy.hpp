// A redeploy, polite and not: a service under load is told to stop, and another one is killed;
// every job is done all the same.
#pragma once

#include <string>

#include "screen.hpp"

namespace demo {

// True: no job was lost. Starts this program again with serve_option and a folder.
bool redeploy(screen&);

inline constexpr const char* serve_option = "--serve";

// The service's process; returns its exit status.
int serve(const std::string& folder);

}  // namespace demo
