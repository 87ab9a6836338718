#include "guardian/worker_start.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include "os/exit.hpp"
#include "os/title.hpp"

namespace hardstop::guardian {
namespace {

[[noreturn]] void give_up(const worker_setup& setup, birth_trouble why) {
  if (setup.failure) (void)!::write(setup.failure.get(), &why, sizeof why);
  os::exit_now(127);
}

// Session and death signal, so that the guardian finds all of it and its end is ours.
void settle(const worker_setup& setup) {
  ::setsid();
  // Orphans of its tree come to it and not to the guardian, where they would look like a dead
  // neighbour's.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  // The guardian has one thread, which lives as long as it does, so this means the guardian's
  // death.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (::getppid() != setup.birth.guardian_pid)
    os::exit_now(127);  // died before we asked for the signal

  if (setup.cgroup_procs && ::write(setup.cgroup_procs.get(), "0", 1) < 0) {
    give_up(setup, {.stage = wire::birth_stage::cgroup, .error = errno});
  }
  if (!setup.oom_score.empty()) {
    const os::descriptor file{::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC)};
    if (file) (void)!::write(file.get(), setup.oom_score.data(), setup.oom_score.size());
  }
}

void set_title() {
  os::set_process_title("hardstop-worker", "hardstop: worker");
}

// The same descriptors, owned by this process.
worker_birth adopted(worker_birth inherited) {
  const auto adopt = [](os::descriptor& handle) { handle = os::descriptor{handle.release()}; };
  adopt(inherited.spec);
  adopt(inherited.lane);
  adopt(inherited.results);
  adopt(inherited.arguments);
  adopt(inherited.standard_output);
  adopt(inherited.standard_error);
  return inherited;
}

}  // namespace

void start_worker(worker_setup setup, guardian_hooks& hooks) {
  settle(setup);
  auto& birth = setup.birth;
  os::disown_inherited(std::array{birth.spec.get(), birth.lane.get(), birth.results.get(),
                                  birth.arguments.get(), birth.standard_output.get(),
                                  birth.standard_error.get()});
  set_title();
  hooks.reset_signals();
  hooks.run_worker(adopted(std::move(birth)));
  os::exit_now(127);  // not reached; a compiler may doubt it
}

void exec_worker(worker_setup setup, exec_image& image) {
  settle(setup);
  give_up(setup, {.stage = wire::birth_stage::exec, .error = image.execute()});
}

void resume_worker(const exec_role& role, guardian_hooks& hooks) {
  // Asked for before the exec, which would have cleared it only for a set-uid program; but the
  // guardian may have died since.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (::getppid() != role.parent) os::exit_now(127);
  for (const int number : role.descriptors) {
    if (number >= 0) ::fcntl(number, F_SETFD, FD_CLOEXEC);
  }
  set_title();
  hooks.reset_signals();
  hooks.run_worker({
      .worker = static_cast<wire::worker_id>(role.worker),
      .start = wire::start_method::spawn,
      .guardian_pid = role.parent,
      .spec = os::descriptor{role.descriptors[0]},
      .lane = os::descriptor{role.descriptors[1]},
      .results = os::descriptor{role.descriptors[2]},
      .arguments = os::descriptor{role.descriptors[3]},
      .standard_output = os::descriptor{role.descriptors[4]},
      .standard_error = os::descriptor{role.descriptors[5]},
  });
  os::exit_now(127);
}

}  // namespace hardstop::guardian
