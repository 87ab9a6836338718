// A job that starts processes, one of which does everything to stay: a daemon in a session of its
// own, whose parent is gone, and which ignores the signals that are meant to end it.
#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>

#include "acts.hpp"
#include "carriers.hpp"
#include <hardstop/pool.hpp>

using namespace std::chrono_literals;

namespace demo {

namespace {

int run_shell(const std::string& command, const std::string& mark) {
  bear(mark);
  return std::system(command.c_str());  // NOLINT(cert-env33-c): the demo's own words
}

constexpr const char* command = R"(
  (setsid sh -c "trap '' HUP INT TERM; while :; do sleep 60; done" &)
  yes "no end of it" | tr a-z A-Z | md5sum
)";

constexpr std::size_t processes_expected = 7;  // worker, sh, yes, tr, md5sum; sh, sleep

}  // namespace

act shell_pipeline(screen& out) {
  const std::string mark = new_mark("shell-pipeline");

  out.begin_act("a shell pipeline that leaves a daemon behind");
  out.line("work", "yes | tr | md5sum, beside a daemon that has detached and ignores SIGTERM");
  out.line("normally", "killing the shell, or its whole process group, leaves the daemon running");

  hardstop::process_pool pool{{.workers = 1}};
  const auto job = pool.submit<&run_shell>({.name = "pipeline"}, command, mark);
  carriers running;
  for (int tries = 0; tries < 300 && running.processes < processes_expected; ++tries) {
    std::this_thread::sleep_for(10ms);
    running = find_carriers(mark);
  }
  out.show_running(running);

  const auto cancelled = std::chrono::steady_clock::now();
  job.cancel();
  const hardstop::outcome how = job.outcome();
  const auto took = std::chrono::steady_clock::now() - cancelled;

  if (how.kind() != hardstop::outcome_kind::cancelled) throw std::runtime_error(how.describe());
  out.line("stopped", "by cancel(); its future told so " + hardstop::to_string(took) + " later");
  return out.end_act(mark, how, pool.stats());
}

}  // namespace demo
