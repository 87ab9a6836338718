// Runs a cell in a fresh process and hears what it measured.
#pragma once

#include <cstdint>
#include <string>

#include "cell.hpp"

namespace bench {

enum class cell_end : std::uint8_t { measured, skipped, failed };

struct cell_result {
  cell_end end = cell_end::failed;
  bench::figures figures{};
  std::string reason{};  // why there are no figures
};

// Executes this program again with the arguments that make it run that cell alone.
cell_result run_in_process(const cell& which, effort how_much);

// What such a process does. True: this is one, and `status` is what main() returns.
struct cell_run {
  bool is_cell = false;
  int status = 0;
};

cell_run run_if_cell(int argc, char** argv);

}  // namespace bench
