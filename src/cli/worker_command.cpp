// `hardstop worker`: hands over to the Python package, which knows what a module's service is. By
// exec, so that whoever started this process keeps it: its signals, its status, its being PID 1.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "cli/commands.hpp"
#include "cli/exit_codes.hpp"
#include "cli/help_formatter.hpp"

namespace hardstop::cli {
namespace {

constexpr const char* about =
    "Runs a service that a Python module defines, such as app:service, with the interpreter "
    "beside\n"
    "this program, or else the python3 of PATH. What follows is that package's own command line:\n"
    "see `hardstop worker --help` where it is installed.";

std::vector<char*> pointers_to(std::vector<std::string>& words) {
  std::vector<char*> all;
  all.reserve(words.size() + 1);
  for (std::string& each : words)
    all.push_back(each.data());
  all.push_back(nullptr);
  return all;
}

// What a virtual environment has beside its programs.
std::optional<std::string> interpreter_beside_us() {
  std::error_code failed;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", failed);
  if (failed) return std::nullopt;
  for (const char* const name : {"python3", "python"}) {
    std::string path = program.parent_path() / name;
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return std::nullopt;
}

enum class finding : std::uint8_t { has_package, lacks_package, no_interpreter };

// Asks it: python's own words for a missing module name no cure.
finding look_for_package(const std::string& interpreter) {
  std::vector<std::string> words{
      interpreter, "-c",
      "import importlib.util, sys; sys.exit(importlib.util.find_spec('hardstop') is None)"};
  pid_t child = 0;
  if (::posix_spawnp(&child, interpreter.c_str(), nullptr, nullptr, pointers_to(words).data(),
                     environ) != 0) {
    return finding::no_interpreter;
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127) return finding::no_interpreter;
  return status == 0 ? finding::has_package : finding::lacks_package;
}

int complain(const std::string& what) {
  std::fprintf(stderr, "hardstop worker: %s\n", what.c_str());
  return exit_own_failure;
}

int hand_over(const std::vector<std::string>& words) {
  const std::string interpreter = interpreter_beside_us().value_or("python3");
  switch (look_for_package(interpreter)) {
    case finding::no_interpreter:
      return complain(
          "there is no python3 beside this program or on PATH: install Python, and the package "
          "hardstop for it");
    case finding::lacks_package:
      return complain(interpreter +
                      " has no package hardstop: install it there (pip install hardstop), or put "
                      "the Python that has it first on PATH");
    case finding::has_package:
      break;
  }
  std::vector<std::string> command{interpreter, "-m", "hardstop", "worker"};
  command.insert(command.end(), words.begin(), words.end());
  ::execvp(interpreter.c_str(), pointers_to(command).data());
  return complain("cannot execute " + interpreter + ": " + std::strerror(errno));
}

}  // namespace

void add_worker_command(CLI::App& app, invocation& call) {
  auto* const command = app.add_subcommand("worker", "Run a service that a Python module defines");
  command->formatter(make_help_formatter({.about = about, .words = "MODULE:SERVICE ..."}));
  command->set_help_flag();  // the package's
  command->prefix_command();
  command->final_callback([command, &call] {
    auto words = command->remaining();
    if (call.has_separator) words.emplace_back("--");
    words.insert(words.end(), call.after_separator.begin(), call.after_separator.end());
    call.chosen = [words = std::move(words)] { return hand_over(words); };
  });
}

}  // namespace hardstop::cli
