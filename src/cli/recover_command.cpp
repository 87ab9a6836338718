// `hardstop recover`: what a service has left undone, and giving it back.
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "cli/exit_codes.hpp"
#include "cli/help_formatter.hpp"
#include "cli/queue_commands.hpp"
#include "cli/queue_rendering.hpp"
#include <hardstop/journal.hpp>
#include <hardstop/queue.hpp>

namespace hardstop::cli {
namespace {

constexpr const char* about =
    "Shows what a service has taken and not finished, as its journal has it, and gives it back:\n"
    "  taken    it had not begun\n"
    "  started  it had begun when the service ended without a word: counts as an attempt\n"
    "  ended    its end is known, and its source could not be told\n"
    "  left     left here by a service that stopped in good order\n"
    "The next service with the same journal and the same source does this by itself; use it when "
    "there\n"
    "will be none, or for sources that take nothing back.";

constexpr const char* footer =
    "Examples:\n"
    "  hardstop recover resize.journal                    what is left, and nothing is changed\n"
    "  hardstop recover resize.journal --requeue          back into the queues they came from\n"
    "  hardstop recover feed.journal --into jobs.db       jobs of a source that takes nothing "
    "back\n"
    "\n"
    "Exit status:\n"
    "  0    nothing is left in the journal\n"
    "  1    something is\n"
    "  125  the journal or a queue cannot be used (a service has it), or hardstop was used wrongly";

struct recover_words {
  std::string path;
  std::string into;
  enqueue_options again{};
  bool requeue = false;
  bool json = false;
};

constexpr std::string_view queue_prefix = "queue ";

// The queues that what is left came from.
std::set<std::string> queues_of(const std::vector<journal_entry>& left) {
  std::set<std::string> paths;
  for (const journal_entry& each : left) {
    if (each.leased && each.source.starts_with(queue_prefix))
      paths.insert(each.source.substr(queue_prefix.size()));
  }
  return paths;
}

void tell(const journal_recovery& done, const std::string& where) {
  if (done.acked != 0)
    std::printf("%zu had finished: %s knows it now\n", done.acked, where.c_str());
  if (done.failed != 0) {
    std::printf("%zu had begun: given back to %s, as a failed attempt\n", done.failed,
                where.c_str());
  }
  if (done.returned != 0) {
    std::printf("%zu had not begun: given back to %s\n", done.returned, where.c_str());
  }
  if (done.stale != 0) {
    std::printf("%zu had been given to others by %s meanwhile\n", done.stale, where.c_str());
  }
  if (done.requeued != 0) std::printf("%zu put into %s\n", done.requeued, where.c_str());
}

double seconds_of(std::chrono::system_clock::time_point time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}

void show_json(const std::vector<journal_entry>& left) {
  auto all = nlohmann::ordered_json::array();
  for (const journal_entry& each : left) {
    all.push_back({{"run", each.run},
                   {"number", each.number},
                   {"job", each.receipt.job},
                   {"attempt", each.receipt.attempt},
                   {"name", each.message.name},
                   {"state", std::string(to_string(each.state))},
                   {"source", each.source},
                   {"taken_at", seconds_of(each.taken_at)}});
  }
  const nlohmann::ordered_json view{{"unfinished", all}};
  std::printf("%s\n", view.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace).c_str());
}

void show(const journal& from, const std::vector<journal_entry>& left) {
  const auto runs = from.runs();
  std::printf("%zu unfinished in %s\n", left.size(), from.path().c_str());
  if (!runs.empty()) {
    const journal_run& last = runs.back();
    std::printf("last run: %s, process %d, %s\n", printable(last.service).c_str(), last.pid,
                last.status ? ("exit status " + std::to_string(*last.status)).c_str()
                            : "ended without a word");
  }
  for (const journal_entry& each : left) {
    std::printf("  %-8s %-10s %s, attempt %u, from %s\n",
                std::string(to_string(each.state)).c_str(), printable(each.receipt.job).c_str(),
                printable(each.message.name).c_str(), each.receipt.attempt,
                printable(each.source).c_str());
  }
}

int run_recover(const recover_words& words) {
  journal from(words.path);
  if (words.requeue) {
    for (const std::string& path : queues_of(from.unfinished())) {
      auto into = existing_queue(path);
      tell(from.recover(into), path);
    }
  }
  if (!words.into.empty()) {
    queue into(words.into);
    tell(from.requeue(into, words.again), words.into);
  }
  const auto left = from.unfinished();
  if (words.json) {
    show_json(left);
  } else if (!left.empty() || (!words.requeue && words.into.empty())) {
    show(from, left);
  }
  return left.empty() ? exit_success : exit_not_there;
}

}  // namespace

void add_recover_command(CLI::App& app, invocation& call) {
  const auto words = std::make_shared<recover_words>();
  auto* const command = app.add_subcommand("recover", "Give back what a service has left undone");
  command->formatter(make_help_formatter({.about = about, .words = "JOURNAL"}));
  command->footer(footer);
  command->add_option("JOURNAL", words->path, "The journal's file")->required()->type_name("FILE");
  command->add_flag("--requeue", words->requeue,
                    "Give back to the queues that they came from, on this machine");
  command
      ->add_option("--into", words->into,
                   "Put jobs of sources that take nothing back into this queue")
      ->type_name("QUEUE");
  command
      ->add_option("--max-attempts", words->again.max_attempts,
                   "With --into: attempts for each, those that were killed included (default: 3)")
      ->type_name("N");
  command->add_flag("--json", words->json, "What is left, in JSON, on one line");
  command->final_callback([words, &call] {
    if (call.has_separator) throw CLI::ExtrasError({"--"});
    call.chosen = [words] { return run_recover(*words); };
  });
}

}  // namespace hardstop::cli
