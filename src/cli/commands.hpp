// The subcommands of `hardstop`, one file each. Each declares its options and, once they were
// parsed, is what main() calls.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace hardstop::cli {

struct invocation {
  // The words after the first "--", which the parser is not shown: they may look like anything.
  std::vector<std::string> after_separator;
  bool has_separator = false;

  // Set by the subcommand that the user chose; returns the exit code.
  std::function<int()> chosen;
};

void add_run_command(CLI::App& app, invocation& call);
void add_doctor_command(CLI::App& app, invocation& call);
void add_worker_command(CLI::App& app, invocation& call);

// `enqueue`, `jobs`, `cancel`, `requeue` and `recover`. Adds none where hardstop is built without
// services.
void add_queue_commands(CLI::App& app, invocation& call);

}  // namespace hardstop::cli
