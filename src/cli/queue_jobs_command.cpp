// `hardstop jobs`: its options and its help.
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include "cli/exit_codes.hpp"
#include "cli/help_formatter.hpp"
#include "cli/queue_commands.hpp"
#include "cli/queue_rendering.hpp"
#include <hardstop/queue.hpp>

namespace hardstop::cli {
namespace {

constexpr const char* about =
    "Shows the jobs of a queue, the oldest first, and how many there are in each state:\n"
    "  queued     waits for its time or its turn\n"
    "  leased     a service has it\n"
    "  done       finished; kept for a day, unless the service says otherwise\n"
    "  cancelled  by hardstop cancel, before or while it ran\n"
    "  dead       its attempts are used up; the reason of the last failure is below it\n"
    "  refused    it makes no sense, or no service could run it; the reason is below it";

constexpr const char* footer =
    "Examples:\n"
    "  hardstop jobs jobs.db\n"
    "  hardstop jobs jobs.db --state dead\n"
    "  hardstop jobs jobs.db --name resize --json | jq '.jobs[].arguments'\n"
    "\n"
    "Exit status:\n"
    "  0    the queue could be read\n"
    "  125  it could not, or hardstop was used wrongly";

struct jobs_words {
  std::string path;
  queued_filter filter{.at_most = 100};
  bool json = false;
};

int run_jobs(const jobs_words& words) {
  const auto jobs = existing_queue(words.path);
  queue_view view{.jobs = jobs.jobs(words.filter), .now = std::chrono::system_clock::now()};
  for (const auto state : {queued_state::queued, queued_state::leased, queued_state::done,
                           queued_state::cancelled, queued_state::dead, queued_state::refused}) {
    view.counts.emplace_back(state, jobs.count(state));
    const bool shown = !words.filter.state || *words.filter.state == state;
    if (shown && words.filter.name.empty()) view.of += view.counts.back().second;
  }
  const auto text = words.json ? to_json(view) + '\n' : to_text(view);
  return std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0 ? exit_own_failure
                                                                          : exit_success;
}

}  // namespace

void add_jobs_command(CLI::App& app, invocation& call) {
  const auto words = std::make_shared<jobs_words>();
  auto* const command = app.add_subcommand("jobs", "Show the jobs of a queue");
  command->formatter(make_help_formatter({.about = about, .words = "QUEUE"}));
  command->footer(footer);
  command->add_option("QUEUE", words->path, "The queue's file")->required()->type_name("FILE");
  command
      ->add_option_function<std::string>(
          "--state", [words](const std::string& name) { words->filter.state = to_state(name); },
          "Only those in this state")
      ->type_name("STATE");
  command->add_option("--name", words->filter.name, "Only those of this name")->type_name("NAME");
  command->add_option("--limit", words->filter.at_most, "At most so many (default: 100)")
      ->type_name("N");
  command->add_flag("--json", words->json, "In JSON, on one line");
  command->final_callback([words, &call] {
    if (call.has_separator) throw CLI::ExtrasError({"--"});
    call.chosen = [words] { return run_jobs(*words); };
  });
}

}  // namespace hardstop::cli
