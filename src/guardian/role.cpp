#include "guardian/role.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "guardian/exec_image.hpp"
#include "guardian/warden.hpp"
#include "guardian/worker_start.hpp"
#include "os/exit.hpp"
#include "os/read_file.hpp"

namespace hardstop::guardian {
namespace {

constexpr int exit_misunderstood = 127;

std::vector<std::string> own_arguments() {
  std::vector<std::string> arguments;
  const auto text = os::read_file("/proc/self/cmdline");
  if (!text) return arguments;
  for (std::size_t at = 0; at < text->size();) {
    arguments.emplace_back(text->c_str() + at);
    at += arguments.back().size() + 1;
  }
  return arguments;
}

// Both must agree; what exactly the variable says is for `serve` to read: an image that is ours but
// does not understand its role must not go on as its host's program.
process_role role_with(std::string_view last_argument) {
  if (std::getenv(role_variable) == nullptr) return process_role::client;
  if (last_argument == exec_role::guardian_marker) return process_role::guardian;
  if (last_argument == exec_role::worker_marker) return process_role::worker;
  return process_role::client;
}

[[noreturn]] void serve_as_guardian(const exec_role& role, std::vector<std::string> arguments,
                                    guardian_hooks& hooks) {
  if (!arguments.empty()) arguments.pop_back();  // the marker
  const int control = role.descriptors[0];
  const int client = role.descriptors[1];
  for (const int number : {control, client})
    ::fcntl(number, F_SETFD, FD_CLOEXEC);
  run_warden(
      {
          .control = os::seqpacket{os::descriptor{control}},
          .client = os::pidfd{os::descriptor{client}, role.parent},
          .exec_argv = std::move(arguments),
          .inherited = {role.descriptors.begin() + 2, role.descriptors.end()},
      },
      hooks);
}

}  // namespace

process_role role_of_this_process() {
  if (std::getenv(role_variable) == nullptr) return process_role::client;
  const auto arguments = own_arguments();
  return arguments.empty() ? process_role::client : role_with(arguments.back());
}

process_role role_of_this_process(int argc, const char* const* argv) {
  return argc < 1 ? process_role::client : role_with(argv[argc - 1]);
}

void serve(guardian_hooks& hooks) {
  const char* const text = std::getenv(role_variable);
  const auto role = exec_role::from_text(text == nullptr ? "" : text);
  if (!role) os::exit_now(exit_misunderstood);
  ::unsetenv(role_variable);
  if (role->part == exec_role::kind::worker) resume_worker(*role, hooks);
  serve_as_guardian(*role, own_arguments(), hooks);
}

}  // namespace hardstop::guardian
