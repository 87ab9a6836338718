// Giving a process of ours a name of its own, so that `pkill name-of-the-program` does not hit it.
#pragma once

#include <string_view>

namespace hardstop::os {

// Sets the calling process's name (15 characters at most) and overwrites its command line as far as
// there is room. A forked process only: a host keeps its own. Assumes a single thread.
void set_process_title(std::string_view name, std::string_view command_line);

}  // namespace hardstop::os
