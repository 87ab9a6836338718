#include "cli/run/launch.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "cli/exit_codes.hpp"

namespace hardstop::cli {
namespace {

enum class launch_stage : int { cgroup, exec };

struct launch_failure {
  launch_stage stage;
  int error;
};

[[noreturn]] void give_up(const os::descriptor& failure, launch_stage stage) {
  const launch_failure told{.stage = stage, .error = errno};
  (void)!::write(failure.get(), &told, sizeof told);
  ::_exit(exit_own_failure);
}

std::vector<char*> as_argv(const std::vector<std::string>& words) {
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (const auto& word : words)
    pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

struct command_setup {
  pid_t supervisor;
  char* const* argv;
  const sigset_t& mask;
  const os::descriptor& cgroup_processes;
  const os::descriptor& failure;
  pid_t group;  // to be in; 0: one of its own
};

// In the child. Whatever a signal could do to it is still blocked.
[[noreturn]] void become_command(const command_setup& setup) {
  // Should supervisor and front be killed at one stroke, this is all that is left to stop it.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (::getppid() != setup.supervisor) ::_exit(exit_own_failure);
  ::setpgid(0, setup.group);
  if (setup.cgroup_processes && ::write(setup.cgroup_processes.get(), "0", 1) < 0) {
    give_up(setup.failure, launch_stage::cgroup);
  }
  ::sigprocmask(SIG_SETMASK, &setup.mask, nullptr);
  ::execvp(setup.argv[0], setup.argv);
  give_up(setup.failure, launch_stage::exec);
}

std::string text_of(int error) {
  return std::generic_category().message(error);
}

}  // namespace

os::result<launched_command> launch(const run_plan& plan, const sigset_t& mask,
                                    const os::descriptor& cgroup_processes) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) < 0) return os::last_error("making a pipe");
  os::descriptor told{ends[0]};
  const os::descriptor tell{ends[1]};
  const auto argv = as_argv(plan.command);
  // Our parent's; we have left it.
  const pid_t group = plan.where == placing::foreground ? ::getpgid(::getppid()) : 0;
  const command_setup setup{.supervisor = ::getpid(),
                            .argv = argv.data(),
                            .mask = mask,
                            .cgroup_processes = cgroup_processes,
                            .failure = tell,
                            .group = group};
  // One thread, every signal blocked.
  const pid_t pid = ::fork();
  if (pid < 0) return os::last_error("forking");
  if (pid == 0) become_command(setup);
  // On both sides: whoever comes first, a signal to the group reaches it. Refused once it was
  // executed, when it has done so itself.
  ::setpgid(pid, group);
  return launched_command{.pid = pid, .failure = std::move(told)};
}

std::optional<run_failure> why_not_executed(const os::descriptor& failure, const run_plan& plan) {
  launch_failure told{};
  if (!failure || ::read(failure.get(), &told, sizeof told) != sizeof told) return std::nullopt;
  if (told.stage == launch_stage::cgroup) {
    return run_failure{.exit_code = exit_own_failure,
                       .message = "the command could not be put into a cgroup below " +
                                  plan.cgroup + ": " + text_of(told.error) +
                                  ". The subtree must be delegated to this user together with the "
                                  "cgroup hardstop is in."};
  }
  return run_failure{
      .exit_code = told.error == ENOENT ? exit_not_found : exit_not_executable,
      .message = "cannot execute '" + plan.command.front() + "': " + text_of(told.error) + '.'};
}

}  // namespace hardstop::cli
