// The processes that signals to a run are passed on to: the command's process group.
//
// To be used by the command's parent, before it has reaped it: nobody else can be meant by the
// group's number then.
#pragma once

#include <sys/types.h>

#include "cli/run/plan.hpp"

namespace hardstop::cli {

class command_group {
 public:
  command_group() = default;

  command_group(pid_t command, placing where) : command_{command}, where_{where} {}

  // To everybody in the group. A stopped process learns of nothing: what usually ends a program
  // wakes it, too.
  void send(int signal) const;
  // The same, and wakes them whatever the signal: nobody escapes being asked by having been
  // stopped.
  void ask(int signal) const;

  // Whether nobody of the tree is left in the group. May be called after the command was reaped.
  [[nodiscard]] bool empty() const;

 private:
  pid_t command_ = 0;
  placing where_ = placing::own_group;
};

}  // namespace hardstop::cli
