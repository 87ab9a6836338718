#include "guardian/birth_message.hpp"

#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>

namespace hardstop::guardian {
namespace {

std::string text_of(int error) {
  return std::generic_category().message(error);
}

std::string program_of(const birth_in_progress& begun) {
  return "'" + begun.program + "'";
}

// A warden repeats its guardian's end the way shells do.
std::string how_it_ended(const os::pidfd& warden) {
  constexpr int signal_offset = 128;
  const auto end = warden.exit_info();
  if (!end) return "";  // an older kernel
  const int signal = end->signal != 0 ? end->signal : end->code - signal_offset;
  if (signal > 0) return " (signal " + std::to_string(signal) + ", " + ::strsignal(signal) + ")";
  return " (exit status " + std::to_string(end->code) + ")";
}

std::string cure_for_silence(const birth_in_progress& begun) {
  if (begun.start != start_method::fork) {
    return "The program " + program_of(begun) +
           " must call hardstop::init(argc, argv) before anything else in main.";
  }
  if (begun.threads_at_fork > 1) {
    return "The host had " + std::to_string(begun.threads_at_fork) +
           " threads when it was forked, and a lock that another of them held then stays locked in "
           "the copy for ever. Use the start method forkserver (or spawn), or make the pool before "
           "the threads.";
  }
  return "Something in the host's fork handlers (pthread_atfork) does not return or ends the "
         "process. Use the start method forkserver (or spawn).";
}

}  // namespace

const char* cure_for(os::proc_support found) {
  switch (found) {
    case os::proc_support::complete:
      return "";
    case os::proc_support::no_proc:
      return "/proc is not mounted, and without it nobody can find what a job has started. Mount "
             "it "
             "(mount -t proc proc /proc), or give the container one.";
    case os::proc_support::no_children_files:
      return "This kernel does not list children in /proc (CONFIG_PROC_CHILDREN is off), so that "
             "nobody can find what a job has started. Use a kernel built with "
             "CONFIG_PROC_CHILDREN=y, as distributions build theirs.";
  }
  return "";
}

birth_failure no_containment(os::proc_support found) {
  return {.stage = birth_stage::containment,
          .cause = {.code = ENOSYS, .operation = "looking for /proc"},
          .message = std::string{"No guardian was started. "} + cure_for(found)};
}

birth_failure cannot_prepare(const os::error& cause) {
  std::string message = "No guardian was started: " + cause.message() + ".";
  if (cause.code == EMFILE || cause.code == ENFILE) {
    message += " Raise the limit of open files (ulimit -n), or close some.";
  }
  return {.stage = birth_stage::socket, .cause = cause, .message = std::move(message)};
}

birth_failure cannot_fork(int error) {
  std::string message = "No guardian was started: forking failed: " + text_of(error) + ".";
  if (error == EAGAIN) {
    message += " The limit of processes is reached (ulimit -u, or the cgroup's pids.max).";
  } else if (error == ENOMEM) {
    message +=
        " There is not enough memory to copy this process. Use the start method forkserver or "
        "spawn, which copy nothing.";
  }
  return {.stage = birth_stage::fork,
          .cause = {.code = error, .operation = "fork"},
          .message = std::move(message)};
}

birth_failure told_by_newborn(const birth_in_progress& begun, const wire::birth_failed& told) {
  birth_failure failure{.stage = told.stage,
                        .cause = {.code = told.error, .operation = "starting a guardian"},
                        .message = {}};
  const auto reason = text_of(told.error) + ".";
  switch (told.stage) {
    case birth_stage::exec:
      failure.message =
          "No guardian was started: executing " + program_of(begun) + " failed: " + reason +
          " It must be the path of a program that calls hardstop::init first in main.";
      break;
    case birth_stage::hooks:
      failure.message = "The guardian's preparation (preloading) failed: " + reason;
      break;
    case birth_stage::cgroup:
      failure.message =
          "The cgroup subtree cannot be used: " + reason +
          " It must be a cgroup v2 directory that this user may write to: with systemd, run under "
          "a unit with Delegate=yes (systemd-run --user --scope -p Delegate=yes ...) and name a "
          "directory below its cgroup that holds no process.";
      break;
    default:
      failure.message = "The new guardian gave up: " + reason;
      break;
  }
  return failure;
}

birth_failure no_answer(const birth_in_progress& begun, std::chrono::milliseconds waited) {
  std::string message;
  const bool died = begun.warden && begun.warden.ended();
  if (!died) {
    message = "The guardian gave no sign of life within " + std::to_string(waited.count()) +
              " ms and was killed. ";
  } else {
    message = "The guardian died while it was starting" + how_it_ended(begun.warden) + ". ";
  }
  return {.stage = birth_stage::answer,
          .cause = {.code = died ? ECHILD : ETIMEDOUT, .operation = "waiting for a new guardian"},
          .message = message + cure_for_silence(begun)};
}

}  // namespace hardstop::guardian
