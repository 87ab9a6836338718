// `hardstop cancel` and `hardstop requeue`: their options and their help.
#include <cstdio>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "cli/exit_codes.hpp"
#include "cli/help_formatter.hpp"
#include "cli/queue_commands.hpp"
#include <hardstop/queue.hpp>

namespace hardstop::cli {
namespace {

constexpr const char* about_cancel =
    "Cancels jobs of a queue. One that waits is cancelled at once; one that runs is stopped by "
    "the\n"
    "service that has it, which is told within milliseconds.";

constexpr const char* footer_cancel =
    "Examples:\n"
    "  hardstop cancel jobs.db 17 18\n"
    "  hardstop cancel jobs.db $(hardstop jobs jobs.db --name resize --json | jq -r '.jobs[].id')\n"
    "\n"
    "Exit status:\n"
    "  0    all of them are cancelled, or are being stopped\n"
    "  1    one is not there, or had ended; the others are cancelled\n"
    "  125  the queue cannot be used, or hardstop was used wrongly";

constexpr const char* about_requeue =
    "Puts jobs that are dead, refused or cancelled back into the queue, with as many attempts as\n"
    "fresh ones have.";

constexpr const char* footer_requeue =
    "Examples:\n"
    "  hardstop requeue jobs.db 17\n"
    "  hardstop requeue jobs.db --state dead\n"
    "      All of them: after the fault that killed them was mended.\n"
    "\n"
    "Exit status:\n"
    "  0    all of them are in the queue\n"
    "  1    one is not: it is not there, is not dead, refused or cancelled, or another job with "
    "its\n"
    "       unique key is queued\n"
    "  125  the queue cannot be used, or hardstop was used wrongly";

struct settling_words {
  std::string path;
  std::vector<std::string> ids;
  std::optional<queued_state> state;
};

int run_cancel(const settling_words& words) {
  auto jobs = existing_queue(words.path);
  int status = exit_success;
  for (const auto& id : words.ids) {
    if (jobs.cancel(id)) continue;
    std::fprintf(stderr, "hardstop cancel: job %s is not there, or has ended\n", id.c_str());
    status = exit_not_there;
  }
  return status;
}

// Those of a state may be many, each a transaction. What a power cut undoes can be done again.
queue queue_for(const settling_words& words) {
  return existing_queue(words.path,
                        {.durability = words.state ? durability::process : durability::power});
}

int run_requeue(const settling_words& words) {
  auto jobs = queue_for(words);
  auto ids = words.ids;
  if (words.state) {
    for (auto& each :
         jobs.jobs({.state = words.state, .at_most = std::numeric_limits<std::size_t>::max()})) {
      ids.push_back(std::move(each.id));
    }
  }
  int status = exit_success;
  for (const auto& id : ids) {
    if (jobs.requeue(id)) continue;
    std::fprintf(stderr,
                 "hardstop requeue: job %s is not there, is not dead, refused or cancelled, or "
                 "another job has its unique key\n",
                 id.c_str());
    status = exit_not_there;
  }
  return status;
}

void add_ids(CLI::App& command, settling_words& words) {
  command.add_option("QUEUE", words.path, "The queue's file")->required()->type_name("FILE");
  command.add_option("ID", words.ids, "The jobs, as hardstop enqueue and hardstop jobs name them");
}

void add_cancel(CLI::App& app, invocation& call) {
  const auto words = std::make_shared<settling_words>();
  auto* const command = app.add_subcommand("cancel", "Cancel jobs of a queue");
  command->formatter(make_help_formatter({.about = about_cancel, .words = "QUEUE ID..."}));
  command->footer(footer_cancel);
  add_ids(*command, *words);
  command->final_callback([words, &call] {
    if (call.has_separator) throw CLI::ExtrasError({"--"});
    if (words->ids.empty()) throw CLI::RequiredError("ID");
    call.chosen = [words] { return run_cancel(*words); };
  });
}

void add_requeue(CLI::App& app, invocation& call) {
  const auto words = std::make_shared<settling_words>();
  auto* const command = app.add_subcommand("requeue", "Put jobs that ended badly back");
  command->formatter(
      make_help_formatter({.about = about_requeue, .words = "QUEUE {ID...|--state STATE}"}));
  command->footer(footer_requeue);
  add_ids(*command, *words);
  command
      ->add_option_function<std::string>(
          "--state",
          [words](const std::string& name) {
            if (name != "dead" && name != "refused") {
              throw CLI::ValidationError("--state", "'" + name + "' is not dead or refused");
            }
            words->state = to_state(name);
          },
          "All that are in this state")
      ->type_name("dead|refused");
  command->final_callback([words, &call] {
    if (call.has_separator) throw CLI::ExtrasError({"--"});
    if (words->ids.empty() == !words->state)
      throw CLI::RequiredError("ID, or --state: one of them");
    call.chosen = [words] { return run_requeue(*words); };
  });
}

}  // namespace

void add_settling_commands(CLI::App& app, invocation& call) {
  add_cancel(app, call);
  add_requeue(app, call);
}

}  // namespace hardstop::cli
