// Who descends from a process, as far as a look at /proc can tell: a snapshot that moving trees
// slip through. Good enough for asking and for adding up; killing is guardian::tree_sweep's.
#pragma once

#include <sys/types.h>

#include <vector>

namespace hardstop::cli {

struct descendant {
  pid_t pid = 0;
  pid_t parent = 0;
};

[[nodiscard]] std::vector<descendant> descendants_of(pid_t ancestor);

}  // namespace hardstop::cli
