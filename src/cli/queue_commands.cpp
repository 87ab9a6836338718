#include "cli/queue_commands.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <system_error>

#include <hardstop/errors.hpp>

namespace hardstop::cli {

void add_queue_commands(CLI::App& app, invocation& call) {
  add_enqueue_command(app, call);
  add_jobs_command(app, call);
  add_settling_commands(app, call);
  add_recover_command(app, call);
}

queue existing_queue(const std::string& path, const queue_options& options) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    throw queue_failure(
        "there is no queue " + path +
        ": `hardstop enqueue` and services make one; see whether the path is right");
  }
  return queue{path, options};
}

queued_state to_state(const std::string& name) {
  constexpr std::array every_state{queued_state::queued, queued_state::leased,
                                   queued_state::done,   queued_state::cancelled,
                                   queued_state::dead,   queued_state::refused};
  const auto* const found =
      std::find_if(every_state.begin(), every_state.end(),
                   [&](queued_state each) { return to_string(each) == name; });
  if (found != every_state.end()) return *found;
  throw CLI::ValidationError("--state", "'" + name +
                                            "' is not queued, leased, done, cancelled, dead or "
                                            "refused");
}

}  // namespace hardstop::cli
