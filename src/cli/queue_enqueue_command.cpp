// `hardstop enqueue`: its options and its help.
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "cli/exit_codes.hpp"
#include "cli/help_formatter.hpp"
#include "cli/quantity.hpp"
#include "cli/queue_arguments.hpp"
#include "cli/queue_commands.hpp"
#include <hardstop/queue.hpp>

namespace hardstop::cli {
namespace {

constexpr const char* about =
    "Puts a job into a queue, and prints its id once it is on the disk. QUEUE is a file, made if\n"
    "it is not there; NAME is what the service that runs it calls the job.";

constexpr const char* footer =
    "Each ARG is a JSON value if it reads as one, and a text if not: in.png 200 true are a text, "
    "a\n"
    "number and a truth value; '\"200\"' is a text. What begins with - goes behind --.\n"
    "\n"
    "Examples:\n"
    "  hardstop enqueue jobs.db resize in.png 200\n"
    "  hardstop enqueue jobs.db resize --priority 5 --delay 10s -- in.png -90\n"
    "  hardstop enqueue jobs.db report --json '{\"args\": [], \"kwargs\": {\"year\": 2026}}'\n"
    "      With arguments by name, for a service in Python.\n"
    "  hardstop enqueue jobs.db tidy --unique tidy\n"
    "      Unless it is there already and has not ended: then the id of that one.\n"
    "\n"
    "Exit status:\n"
    "  0    it is in the queue\n"
    "  125  it is not: the file cannot be written, or hardstop was used wrongly";

struct enqueue_words {
  std::string path;
  std::string name;
  std::vector<std::string> arguments;
  std::optional<std::string> json;
  enqueue_options options;
};

nlohmann::json arguments_of(const enqueue_words& words) {
  if (!words.json) return to_arguments(words.arguments);
  if (!words.arguments.empty()) {
    throw CLI::ValidationError("--json",
                               "has all the arguments: leave out " + words.arguments.front());
  }
  auto value = nlohmann::json::parse(*words.json, nullptr, false);
  if (value.is_discarded())
    throw CLI::ValidationError("--json", "'" + *words.json + "' is no JSON");
  return value;
}

int run_enqueue(const enqueue_words& words, const nlohmann::json& arguments) {
  queue jobs{words.path};
  const auto id = jobs.enqueue(words.name, arguments, words.options);
  return std::printf("%s\n", id.c_str()) < 0 || std::fflush(stdout) != 0 ? exit_own_failure
                                                                         : exit_success;
}

os::duration to_duration(const char* option, const std::string& text) {
  const auto value = parse_duration(text);
  if (!value) {
    throw CLI::ValidationError(option,
                               "'" + text + "' is not a duration such as 30s, 250ms, 1.5m or 2h");
  }
  return *value;
}

void add_options(CLI::App& command, enqueue_words& words) {
  command.add_option("QUEUE", words.path, "The queue's file")->required()->type_name("FILE");
  command.add_option("NAME", words.name, "The job's name")->required();
  command
      .add_option("--json", words.json,
                  "All arguments: a JSON array, or an object with args and\nkwargs")
      ->type_name("JSON");
  command.add_option("--priority", words.options.priority, "Higher goes first (default: 0)")
      ->type_name("N");
  command
      .add_option_function<std::string>(
          "--delay",
          [&words](const std::string& text) { words.options.delay = to_duration("--delay", text); },
          "Not before that time has passed")
      ->type_name("DURATION");
  command
      .add_option("--unique", words.options.unique,
                  "Only if no job with this key is queued or runs")
      ->type_name("KEY");
  command
      .add_option("--max-attempts", words.options.max_attempts,
                  "Attempts until it is kept as dead (default: 3)")
      ->type_name("N");
  command
      .add_option_function<std::string>(
          "--timeout",
          [&words](const std::string& text) {
            words.options.timeout = to_duration("--timeout", text);
          },
          "Of one attempt (default: what the service says)")
      ->type_name("DURATION");
}

}  // namespace

void add_enqueue_command(CLI::App& app, invocation& call) {
  const auto words = std::make_shared<enqueue_words>();
  auto* const command = app.add_subcommand("enqueue", "Put a job into a queue");
  command->formatter(make_help_formatter({.about = about, .words = "QUEUE NAME [--] [ARG]..."}));
  command->footer(footer);
  add_options(*command, *words);
  // Not an option of the parser's, which takes words in brackets for lists of its own.
  command->allow_extras();
  command->final_callback([words, command, &call] {
    words->arguments = command->remaining();
    for (const auto& each : words->arguments) {
      if (each.starts_with('-')) throw CLI::ExtrasError({each});
    }
    words->arguments.insert(words->arguments.end(), call.after_separator.begin(),
                            call.after_separator.end());
    call.chosen = [words, arguments = arguments_of(*words)] {
      return run_enqueue(*words, arguments);
    };
  });
}

}  // namespace hardstop::cli
