#include "cli/run/front.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/exit_codes.hpp"
#include "cli/run/containment_check.hpp"
#include "cli/run/reaping.hpp"
#include "cli/run/report_file.hpp"
#include "cli/run/signals.hpp"
#include "cli/run/standard_streams.hpp"
#include "cli/run/supervisor.hpp"
#include "guardian/cgroup.hpp"
#include "os/clock.hpp"
#include "os/poll.hpp"
#include "os/proc.hpp"

namespace hardstop::cli {
namespace {

// For what is left after a supervisor that was killed.
constexpr std::chrono::seconds sweep_limit{5};

class front {
 public:
  front(const run_plan& plan, std::vector<int> inherited, report_file report)
      : plan_{plan}, inherited_{std::move(inherited)}, report_{std::move(report)} {}

  int live();

 private:
  std::optional<std::string> prepare();
  std::optional<std::string> start_supervisor();
  int fail(const std::string& reason);

  void pass_on(const signalfd_siginfo& told);
  // True once the supervisor has ended.
  bool reap();
  int end();
  int end_without_supervisor();

  const run_plan& plan_;
  std::vector<int> inherited_;
  std::vector<pid_t> adopted_;  // children of whatever this process was before it was us
  report_file report_;
  sigset_t passed_on_{};
  sigset_t original_mask_{};
  signal_events signals_;
  os::pidfd supervisor_;
  os::seqpacket end_;
};

int front::live() {
  if (auto reason = prepare()) return fail(*reason);
  if (auto reason = start_supervisor()) return fail(*reason);
  leave_to_command(inherited_);
  for (;;) {
    const auto told = signals_.wait();
    if (static_cast<int>(told.ssi_signo) != SIGCHLD) {
      pass_on(told);
    } else if (reap()) {
      return end();
    }
  }
}

int front::fail(const std::string& reason) {
  run_outcome outcome;
  outcome.failure = run_failure{.exit_code = exit_own_failure, .message = reason};
  report_.tell(outcome, plan_);
  return exit_own_failure;
}

std::optional<std::string> front::prepare() {
  if (auto refusal = why_not_contained()) return refusal;
  (void)os::append_children(::getpid(), adopted_);

  passed_on_ = signals_to_pass_on();
  // Ignored, it would reap behind our back.
  ::signal(SIGCHLD, SIG_DFL);
  sigset_t blocked = passed_on_;
  sigaddset(&blocked, SIGCHLD);
  sigaddset(&blocked, SIGPIPE);
  ::sigprocmask(SIG_BLOCK, &blocked, &original_mask_);
  sigdelset(&original_mask_, SIGCHLD);
  auto signals = signal_events::open(passed_on_);
  if (!signals) return signals.error().message() + ".";
  signals_ = std::move(*signals);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  return std::nullopt;
}

std::optional<std::string> front::start_supervisor() {
  auto own = os::pidfd::open(::getpid());
  if (!own) return own.error().message() + ".";
  auto ends = os::seqpacket::make_pair();
  if (!ends) return ends.error().message() + ".";
  // One thread, every signal but those nobody passes on blocked.
  const pid_t pid = ::fork();
  if (pid < 0) return os::last_error("forking").message() + ".";
  if (pid == 0) {
    signals_ = {};
    ends->first = {};
    supervise({
        .plan = &plan_,
        .front = std::move(*own),
        .end = std::move(ends->second),
        .report = std::move(report_),
        .passed_on = passed_on_,
        .command_mask = original_mask_,
        .inherited = std::move(inherited_),
    });
  }
  end_ = std::move(ends->first);
  auto opened = os::pidfd::open(pid);
  if (!opened) {
    // It sees us go.
    return opened.error().message() + ".";
  }
  supervisor_ = std::move(*opened);
  return std::nullopt;
}

void front::pass_on(const signalfd_siginfo& told) {
  const auto signal = static_cast<int>(told.ssi_signo);
  // In the foreground group the command has had the terminal's signals (not sent by a process)
  // itself.
  const bool command_has_it = plan_.where == placing::foreground && told.ssi_code > 0;
  if (!command_has_it) (void)supervisor_.send_signal(signal);
  // The shell shall see its job stop. It goes on with SIGCONT, which is passed on in turn.
  if (signal == SIGTSTP) ::raise(SIGSTOP);
}

bool front::reap() {
  bool supervisor_ended = false;
  for (;;) {
    siginfo_t change{};
    const int error =
        ::waitid(P_ALL, 0, &change, WEXITED | WSTOPPED | WNOHANG | __WALL) < 0 ? errno : 0;
    if (error == EINTR) continue;
    if (error != 0 || change.si_pid == 0) return supervisor_ended;
    const bool ended = change.si_code != CLD_STOPPED;
    if (change.si_pid == supervisor_.pid()) {
      if (!ended) (void)supervisor_.send_signal(SIGCONT);
      supervisor_ended = supervisor_ended || ended;
    } else if (ended) {
      std::erase(adopted_, change.si_pid);  // whoever has that number next is not spared
    }
  }
}

int front::end() {
  run_end told;
  std::array<std::byte, sizeof told> buffer{};
  const auto message = end_.receive(buffer);
  if (!message || message->size != sizeof told) return end_without_supervisor();
  std::memcpy(&told, buffer.data(), sizeof told);
  if (told.signal != 0) die_by(told.signal);
  return shell_status(told);
}

int front::end_without_supervisor() {
  // Not knowing the command's number does no harm: it is a child of ours by now.
  reaping left{0};
  const auto deadline = os::now() + sweep_limit;
  for (auto next = os::now(); next != os::time_point::max() && os::now() < deadline;) {
    left.reap();
    next = left.sweep(adopted_);
    if (next == os::time_point::max()) break;
    const auto pause = std::max(std::min(next, deadline) - os::now(), os::duration::zero());
    (void)os::poll_until(signals_.handle(), POLLIN,
                         std::chrono::ceil<std::chrono::milliseconds>(pause));
    while (signals_.take()) {
    }
  }
  if (!plan_.cgroup.empty()) {
    if (const auto subtree = guardian::cgroup_subtree::open(plan_.cgroup)) subtree->remove_stale();
  }
  run_outcome outcome;
  left.add_to(outcome);
  outcome.failure = run_failure{.what = run_failure::kind::supervisor_lost,
                                .exit_code = exit_own_failure,
                                .message =
                                    "the supervisor of the command was killed, so everything "
                                    "it ran was stopped."};
  report_.tell(outcome, plan_);
  return exit_own_failure;
}

}  // namespace

int run_in_front(const run_plan& plan) {
  occupy_standard_streams();
  auto inherited = inherited_descriptors();
  auto report = report_file::open(plan);
  if (!report) {
    std::fprintf(stderr, "hardstop run: %s: %s\n", plan.report_path.c_str(),
                 report.error().message().c_str());
    return exit_own_failure;
  }
  front self{plan, std::move(inherited), std::move(*report)};
  return self.live();
}

}  // namespace hardstop::cli
