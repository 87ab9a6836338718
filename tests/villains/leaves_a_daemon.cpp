// A job that leaves a daemon behind in the classic way: forked twice, a session of its own, nothing
// open.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "villains/driver.hpp"

namespace {

int leaves_a_daemon(villains::lair_ref ref) {
  auto& lair = ref.join();
  const pid_t between = ::fork();
  if (between == 0) {
    ::setsid();
    if (::fork() == 0) {
      (void)!::chdir("/");
      ::close_range(0, ~0U, 0);
      for (int signal = 1; signal < NSIG; ++signal)
        ::signal(signal, SIG_IGN);
      lair.pids.add();
      lair.at_its_worst.set(1);
      villains::linger();
    }
    ::_exit(0);
  }
  ::waitpid(between, nullptr, 0);
  villains::linger();
}

}  // namespace

int main(int argc, char** argv) {
  return villains::drive<&leaves_a_daemon>(argc, argv, {.processes = 2});
}
