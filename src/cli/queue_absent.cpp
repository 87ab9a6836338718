// In place of the commands for queues, where hardstop is built without services.
#include "cli/commands.hpp"

namespace hardstop::cli {

void add_queue_commands(CLI::App&, invocation&) {}

}  // namespace hardstop::cli
