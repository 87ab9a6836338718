// On what the figures were measured. They mean little without it.
#pragma once

#include <string>

namespace bench {

struct machine {
  std::string processor;
  std::string kernel;
  std::string compiler;
  std::string memory;
  std::string huge_pages;
  std::string version;
  int cpus = 0;
  int cpus_used = 0;
  double load = 0;  // average of the last minute when the run began
};

machine this_machine();

}  // namespace bench
