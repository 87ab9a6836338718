// `hardstop`: stop commands and what they started, and tell what a machine allows. Each subcommand
// has a file of its own; commands.hpp names them.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "cli/commands.hpp"
#include "cli/exit_codes.hpp"
#include "cli/help_formatter.hpp"
#include <hardstop/version.hpp>

namespace hardstop::cli {
namespace {

constexpr const char* footer =
    "Examples:\n"
    "  hardstop run --timeout 30s -- make test    stop it, and all it started, after 30 seconds\n"
    "  hardstop run -- ./start-services.sh        nothing survives the script, daemons included\n"
    "  hardstop doctor                            what can be promised here, and how to get more\n"
    "\n"
    "`hardstop COMMAND --help` teaches each of them.";

// Before the first "--" are our words, and perhaps those of a command; after it a command's alone.
std::vector<std::string> split_words(int argc, char** argv, invocation& call) {
  std::vector<std::string> words{argv + std::min(argc, 1), argv + argc};
  const auto separator = std::find(words.begin(), words.end(), "--");
  if (separator != words.end()) {
    call.has_separator = true;
    call.after_separator.assign(separator + 1, words.end());
    words.erase(separator, words.end());
  }
  std::reverse(words.begin(), words.end());  // as the parser wants them
  return words;
}

int complain(const CLI::App& app, const CLI::ParseError& error) {
  const auto chosen = app.get_subcommands();
  const std::string name = chosen.empty() ? "" : " " + chosen.front()->get_name();
  std::fprintf(stderr, "hardstop%s: %s\nTry 'hardstop%s --help'.\n", name.c_str(), error.what(),
               name.c_str());
  return exit_own_failure;
}

int run(int argc, char** argv) {
  invocation call;
  CLI::App app;
  app.name("hardstop");
  app.formatter(make_help_formatter(
      {.about = "Stops processes, and everything they started.", .words = "COMMAND ..."}));
  app.set_help_flag("-h,--help", "Teach this and exit");
  app.set_version_flag("--version", "hardstop " + std::string{version()},
                       "Print the version and exit");
  app.require_subcommand(1);
  app.footer(footer);
  add_run_command(app, call);
  add_doctor_command(app, call);
  add_queue_commands(app, call);
  add_worker_command(app, call);
  try {
    app.parse(split_words(argc, argv, call));
  } catch (const CLI::Success& asked_for) {  // help, version
    return app.exit(asked_for);
  } catch (const CLI::ParseError& error) {
    return complain(app, error);
  }
  return call.chosen();
}

}  // namespace
}  // namespace hardstop::cli

int main(int argc, char** argv) {
  try {
    return hardstop::cli::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "hardstop: %s\n", error.what());
    return hardstop::cli::exit_own_failure;
  }
}
