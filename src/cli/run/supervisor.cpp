#include "cli/run/supervisor.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/exit_codes.hpp"
#include "cli/run/command_group.hpp"
#include "cli/run/containment_leaf.hpp"
#include "cli/run/course.hpp"
#include "cli/run/launch.hpp"
#include "cli/run/reaping.hpp"
#include "cli/run/signals.hpp"
#include "cli/run/standard_streams.hpp"
#include "cli/run/tree_memory.hpp"
#include "os/clock.hpp"
#include "os/proc.hpp"
#include "os/signals.hpp"
#include "os/title.hpp"

namespace hardstop::cli {
namespace {

class supervisor {
 public:
  explicit supervisor(supervisor_start start) : start_{std::move(start)}, plan_{*start_.plan} {}

  [[noreturn]] void live();

 private:
  void prepare();
  void start_command();

  void wait();
  [[nodiscard]] std::vector<int> take_signals() const;
  void act_on(int signal);
  void note_stop();
  void note_end();
  void watch_memory();
  void advance();

  [[nodiscard]] os::time_point next_wake() const;
  [[noreturn]] void fail(std::string message);
  [[noreturn]] void finish();
  void wake_front() const;

  supervisor_start start_;
  const run_plan& plan_;
  os::time_point began_ = os::now();
  signal_events signals_;
  containment_leaf leaf_;
  command_group group_;
  pid_t command_ = 0;
  os::descriptor not_executed_;
  std::optional<run_course> course_;
  std::optional<reaping> reaping_;
  std::optional<tree_memory> memory_;
  os::time_point sweep_at_ = os::time_point::max();
  run_outcome outcome_;
  bool front_watched_ = true;
  bool end_noted_ = false;
  bool stop_explained_ = false;
};

void supervisor::live() {
  prepare();
  start_command();
  while (course_->phase() != run_phase::over) {
    wait();
    // In this order: a SIGCHLD that is taken announces nobody who would not be reaped; and what
    // ended by itself is not said to have been stopped by a signal that came later.
    const auto signals = take_signals();
    reaping_->reap();
    note_end();
    for (const int signal : signals)
      act_on(signal);
    watch_memory();
    if (const int ask = course_->time_is(os::now()); ask != 0) group_.ask(ask);
    advance();
  }
  finish();
}

void supervisor::prepare() {
  os::block_all_signals();  // writing to a terminal shall not stop it, either
  ::setpgid(0, 0);
  // The front's death ends this run, whoever stopped us: SIGCONT wakes a stopped process and takes
  // back a stop that is still on its way. The kernel's wake of orphaned groups misses the latter.
  ::prctl(PR_SET_PDEATHSIG, SIGCONT, 0, 0, 0);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  os::set_process_title("hardstop-run",
                        "hardstop: supervisor for " + std::to_string(start_.front.pid()));
  auto signals = signal_events::open(start_.passed_on);
  if (!signals) fail(signals.error().message() + ".");
  signals_ = std::move(*signals);
  if (plan_.cgroup.empty()) return;
  auto leaf = containment_leaf::make(plan_);
  if (!leaf) {
    fail("the cgroup subtree " + plan_.cgroup + " cannot be used: " + leaf.error().message() +
         ". `hardstop doctor --cgroup " + plan_.cgroup + "` says more.");
  }
  leaf_ = std::move(*leaf);
  outcome_.contained_by = "cgroup";
}

void supervisor::start_command() {
  began_ = os::now();
  auto launched = launch(plan_, start_.command_mask, leaf_.processes());
  if (!launched) fail(launched.error().message() + ".");
  command_ = launched->pid;
  not_executed_ = std::move(launched->failure);
  group_ = command_group{command_, plan_.where};
  course_.emplace(run_course::rules_of(plan_), began_);
  reaping_.emplace(command_);
  if (plan_.memory_limit) {
    outcome_.memory_limited_by = leaf_.limits_memory() ? "cgroup" : "watch";
    if (!leaf_.limits_memory()) memory_.emplace(*plan_.memory_limit, began_);
  }
  leave_to_command(start_.inherited);
}

os::time_point supervisor::next_wake() const {
  auto wake = std::min(course_->next(), sweep_at_);
  if (memory_ && course_->phase() != run_phase::sweeping) wake = std::min(wake, memory_->next());
  return wake;
}

void supervisor::wait() {
  std::array events{
      pollfd{.fd = signals_.handle().get(), .events = POLLIN, .revents = 0},
      pollfd{
          .fd = front_watched_ ? start_.front.handle().get() : -1, .events = POLLIN, .revents = 0},
  };
  const auto wake = next_wake();
  const auto pause = std::chrono::nanoseconds{std::max(wake - os::now(), os::duration::zero())};
  const timespec limit{.tv_sec = pause.count() / 1'000'000'000,
                       .tv_nsec = pause.count() % 1'000'000'000};
  const bool bounded = wake != os::time_point::max();
  ::ppoll(events.data(), events.size(), bounded ? &limit : nullptr, nullptr);
  if (events[1].revents != 0) {
    front_watched_ = false;
    course_->front_lost(os::now());
  }
}

std::vector<int> supervisor::take_signals() const {
  std::vector<int> taken;
  while (const auto told = signals_.take())
    taken.push_back(static_cast<int>(told->ssi_signo));
  return taken;
}

void supervisor::act_on(int signal) {
  if (signal == SIGCHLD) {
    note_stop();
  } else {
    const int passed_on = course_->signalled(signal, os::now());
    if (passed_on != 0) group_.send(passed_on);
  }
}

// A command in a group of its own is in the terminal's background: reading it stops the command,
// and nobody would know why.
void supervisor::note_stop() {
  if (stop_explained_ || plan_.where == placing::foreground || end_noted_) return;
  siginfo_t change{};
  ::waitid(P_PID, static_cast<id_t>(command_), &change, WSTOPPED | WNOHANG | __WALL);
  if (change.si_pid != command_) return;
  if (change.si_status != SIGTTIN && change.si_status != SIGTTOU) return;
  stop_explained_ = true;
  constexpr std::string_view hint =
      "hardstop run: the command wants to use the terminal and was stopped for it. "
      "Run it with --foreground.\n";
  (void)!::write(STDERR_FILENO, hint.data(), hint.size());
}

void supervisor::note_end() {
  if (end_noted_ || !reaping_->command_status()) return;
  end_noted_ = true;
  outcome_.failure = why_not_executed(not_executed_, plan_);
  // Before the end is told: the kernel kills a whole leaf.
  if (leaf_.ran_out_of_memory()) course_->memory_exceeded(os::now());
  course_->command_ended(os::now());
}

void supervisor::watch_memory() {
  if (!memory_ || course_->phase() == run_phase::sweeping || os::now() < memory_->next()) return;
  if (memory_->exceeded()) course_->memory_exceeded(os::now());
}

void supervisor::advance() {
  if (course_->phase() == run_phase::emptying && group_.empty()) course_->group_empty(os::now());
  if (course_->phase() != run_phase::sweeping) return;
  leaf_.kill_all();
  sweep_at_ = reaping_->sweep();
  if (sweep_at_ == os::time_point::max()) course_->nothing_left();
}

void supervisor::fail(std::string message) {
  outcome_.failure = run_failure{.exit_code = exit_own_failure, .message = std::move(message)};
  finish();
}

void supervisor::finish() {
  if (course_) outcome_.cause = course_->cause();
  if (memory_) {
    outcome_.peak_memory = memory_->peak();
    outcome_.tree_was_measured = true;
  }
  if (reaping_) reaping_->add_to(outcome_);
  outcome_.wall_time = os::now() - began_;
  leaf_.remove();
  start_.report.tell(outcome_, plan_);
  const auto end = end_of(outcome_, plan_.on_timeout);
  (void)start_.end.send(std::as_bytes(std::span{&end, 1}));
  wake_front();
  ::_exit(exit_success);
}

// It may be stopped, with the job it was part of or by the command; then it shall end all the same.
void supervisor::wake_front() const {
  const auto front = os::read_stat(start_.front.pid());
  if (front && front->stopped()) (void)start_.front.send_signal(SIGCONT);
}

}  // namespace

void supervise(supervisor_start start) {
  supervisor self{std::move(start)};
  self.live();
}

}  // namespace hardstop::cli
