#include "cli/run/tree_walk.hpp"

#include <cstddef>

#include "os/proc.hpp"

namespace hardstop::cli {

std::vector<descendant> descendants_of(pid_t ancestor) {
  std::vector<descendant> found;
  std::vector<pid_t> children;
  pid_t parent = ancestor;
  for (std::size_t next = 0;; parent = found[next++].pid) {
    children.clear();
    // What cannot be read has ended.
    (void)os::append_children(parent, children);
    for (const pid_t child : children)
      found.push_back({.pid = child, .parent = parent});
    if (next == found.size()) return found;
  }
}

}  // namespace hardstop::cli
