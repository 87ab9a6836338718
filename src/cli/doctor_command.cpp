// `hardstop doctor`: its options and its help.
#include <cstdio>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include "cli/commands.hpp"
#include "cli/doctor/findings.hpp"
#include "cli/doctor/machine.hpp"
#include "cli/doctor/rendering.hpp"
#include "cli/exit_codes.hpp"
#include "cli/help_formatter.hpp"

namespace hardstop::cli {
namespace {

constexpr const char* about =
    "Tells what can be promised on this machine: how completely processes are killed, whether the\n"
    "kernel limits the memory of whole trees, whether an out-of-memory kill can be told from "
    "others;\n"
    "why it is not better, and what to change.";

constexpr const char* footer =
    "Examples:\n"
    "  hardstop doctor\n"
    "  hardstop doctor --cgroup /sys/fs/cgroup/user.slice/my.service/pools\n"
    "      Whether pools, or `hardstop run`, can use that subtree.\n"
    "  hardstop doctor --json | jq .containment\n"
    "\n"
    "Exit status:\n"
    "  0    pools can start\n"
    "  1    they cannot; the first lines tell why, and the cure\n"
    "  125  hardstop was used wrongly";

struct doctor_options {
  std::string cgroup;
  bool json = false;
};

int run_doctor(const doctor_options& options) {
  const auto facts = look_at_machine(options.cgroup);
  const auto found = diagnose(facts);
  const auto text = options.json ? to_json(found, facts) + '\n' : to_text(found, facts);
  if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0) return exit_own_failure;
  return found.refusal.empty() ? exit_success : exit_cannot_start;
}

}  // namespace

void add_doctor_command(CLI::App& app, invocation& call) {
  const auto options = std::make_shared<doctor_options>();
  auto* const command =
      app.add_subcommand("doctor", "Tell what this machine allows, and what to change");
  command->formatter(make_help_formatter({.about = about, .words = {}}));
  command->footer(footer);
  command->add_option("--cgroup", options->cgroup, "A delegated cgroup v2 subtree to look at")
      ->type_name("PATH");
  command->add_flag("--json", options->json, "In JSON, on one line");
  command->final_callback([options, &call] {
    if (call.has_separator) throw CLI::ExtrasError({"--"});
    call.chosen = [options] { return run_doctor(*options); };
  });
}

}  // namespace hardstop::cli
