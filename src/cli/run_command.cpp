// `hardstop run`: its options and its help.
#include <chrono>
#include <csignal>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "cli/commands.hpp"
#include "cli/help_formatter.hpp"
#include "cli/quantity.hpp"
#include "cli/run/front.hpp"
#include "cli/run/plan.hpp"

namespace hardstop::cli {
namespace {

constexpr const char* about =
    "Runs a command, as timeout(1) does, and stops all of it: when the time is up, and when the\n"
    "command ends, no process that it started is left, whether it left its group or session, "
    "became\n"
    "a daemon or ignores every signal.";

constexpr const char* footer =
    "DURATION is a number with ms, s (the default), m, h or d behind it. SIZE is in bytes, or "
    "with\n"
    "K, M, G or T behind it.\n"
    "\n"
    "Examples:\n"
    "  hardstop run --timeout 30s -- make test\n"
    "      After 30 s asks with SIGTERM; 5 s later kills whatever is left.\n"
    "  hardstop run --timeout 10m --grace 0 --memory 2G -- ./solve input.txt\n"
    "      Kills without asking, and whenever all its processes together use more than 2 GiB.\n"
    "  hardstop run -- ./start-services.sh\n"
    "      No limit: but when the script ends, so do the services it left in the background.\n"
    "  hardstop run --timeout 1m --foreground -- python3\n"
    "      A program that reads the terminal.\n"
    "  hardstop run --timeout 1h --json=report.json -- ./nightly.sh\n"
    "      Why it ended, its CPU time, peak memory and how many processes had to be killed.\n"
    "  ENTRYPOINT [\"hardstop\", \"run\", \"--\", \"/app\"]\n"
    "      In a container, as PID 1: passes signals on and reaps what others leave to it.\n"
    "\n"
    "Exit status, as timeout's:\n"
    "  124  the command timed out (with --preserve-status: what it exited with)\n"
    "  125  hardstop itself failed, or was used wrongly\n"
    "  126  the command was found but could not be executed\n"
    "  127  the command was not found\n"
    "  137  the command was killed with SIGKILL: its grace was over after the timeout, it used "
    "too\n"
    "       much memory, or a second signal said so; --json tells which\n"
    "  else the command's own; one that a signal ended ends hardstop by the same signal, which a\n"
    "       shell shows as 128 plus its number\n"
    "\n"
    "Signals to hardstop are passed on to the command's process group. A second SIGTERM or SIGINT\n"
    "kills everything. With --grace, so does the first SIGTERM when the grace is over. SIGTSTP\n"
    "(Ctrl-Z) stops the command and hardstop, SIGCONT continues both; deadlines do not stop. If\n"
    "hardstop itself is killed, so is everything it runs.";

struct run_options {
  run_plan plan;
  std::string report;
};

[[noreturn]] void refuse(const std::string& option, const std::string& text, const char* expected) {
  // Of "--timeout,-t" the first name.
  throw CLI::ValidationError(option.substr(0, option.find(',')),
                             "'" + text + "' is not " + expected);
}

os::duration to_duration(const std::string& option, const std::string& text) {
  const auto value = parse_duration(text);
  if (!value) refuse(option, text, "a duration such as 30s, 250ms, 1.5m or 2h");
  return *value;
}

void add_limits(CLI::App& command, run_plan& plan) {
  const auto duration = [&](const char* name, auto store, const char* explanation) {
    command
        .add_option_function<std::string>(
            name, [name, store](const std::string& text) { store(to_duration(name, text)); },
            explanation)
        ->type_name("DURATION");
  };
  duration(
      "--timeout,-t",
      [&plan](os::duration time) {
        // As timeout(1) has it, zero is no limit.
        if (time > os::duration::zero()) plan.timeout = time;
      },
      "Ask the command to stop after that time (default: no limit)");
  duration(
      "--grace,-k", [&plan](os::duration time) { plan.grace = time; },
      "Kill everything that long after asking (default: 5s; 0 kills without\n"
      "asking)");
  command
      .add_option_function<std::string>(
          "--signal,-s",
          [&plan](const std::string& text) {
            const auto signal = parse_signal(text);
            if (!signal) refuse("--signal", text, "a signal's name or number; see kill -l");
            plan.ask_with = *signal;
          },
          "Ask with this signal (default: TERM)")
      ->type_name("SIGNAL");
  command
      .add_option_function<std::string>(
          "--memory,-m",
          [&plan](const std::string& text) {
            const auto size = parse_size(text);
            if (!size || *size == 0) refuse("--memory", text, "a size such as 512M or 2G");
            plan.memory_limit = *size;
          },
          "Kill everything when all processes together use more memory: looked at every\n"
          "10 ms, or enforced by the kernel where --cgroup has a memory controller")
      ->type_name("SIZE");
}

void add_ways(CLI::App& command, run_plan& plan) {
  command.add_flag_callback(
      "--foreground,-f", [&plan] { plan.where = placing::foreground; },
      "Leave the command in the terminal's foreground: it may read it, and gets\n"
      "Ctrl-C and Ctrl-Z itself");
  command
      .add_option_function<std::string>(
          "--leftovers",
          [&plan](const std::string& text) {
            if (text != "kill" && text != "keep") refuse("--leftovers", text, "keep or kill");
            plan.rest = text == "keep" ? leftovers::keep : leftovers::kill;
          },
          "What becomes of processes that are left when the command ends by itself\n"
          "(default: kill)")
      ->type_name("keep|kill");
  command.add_flag_callback(
      "--preserve-status,-p", [&plan] { plan.on_timeout = timeout_status::preserved; },
      "Exit with the command's status even when it timed out");
  command.add_option("--cgroup", plan.cgroup, "A delegated cgroup v2 subtree to run in")
      ->type_name("PATH");
}

// "-" stands for --json alone.
constexpr const char* standard_error = "-";

void add_report(CLI::App& command, run_options& options) {
  command.add_flag("--json{-}", options.report,
                   "Report in JSON, on standard error or to FILE: why it ended, exit status and\n"
                   "signal, wall and CPU time, peak memory, processes stopped, and any that could\n"
                   "not be confirmed to have ended");
}

void finish_plan(run_options& options, const CLI::App& command, const invocation& call) {
  auto& plan = options.plan;
  if (!options.report.empty()) {
    const bool to_file = options.report != standard_error;
    plan.report = to_file ? report_target::file : report_target::standard_error;
    if (to_file) plan.report_path = options.report;
  }
  // What the parser did not know: the command, or an option that does not exist.
  plan.command = command.remaining();
  if (!plan.command.empty() && plan.command.front().starts_with('-')) {
    throw CLI::ExtrasError({plan.command.front()});
  }
  if (call.has_separator) {
    // A separator among the words of a command is one of them.
    if (!plan.command.empty()) plan.command.emplace_back("--");
    plan.command.insert(plan.command.end(), call.after_separator.begin(),
                        call.after_separator.end());
  }
  if (plan.command.empty()) throw CLI::RequiredError("A command");
}

}  // namespace

void add_run_command(CLI::App& app, invocation& call) {
  const auto options = std::make_shared<run_options>();
  auto* const command = app.add_subcommand("run", "Run a command and stop all of it, in time");
  command->formatter(make_help_formatter({.about = about, .words = "[--] COMMAND [ARG]..."}));
  command->footer(footer);
  // The first word that is no option begins the command; what follows it is the command's alone.
  command->prefix_command();
  add_limits(*command, options->plan);
  add_ways(*command, options->plan);
  add_report(*command, *options);
  command->final_callback([options, command, &call] {
    finish_plan(*options, *command, call);
    call.chosen = [options] { return run_in_front(options->plan); };
  });
}

}  // namespace hardstop::cli
