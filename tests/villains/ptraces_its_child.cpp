// A job that traces its child, which is stopped by it and would not notice a SIGTERM.
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "villains/driver.hpp"

namespace {

int ptraces_its_child(villains::lair_ref ref) {
  auto& lair = ref.join();
  const pid_t child = ::fork();
  if (child == 0) {
    ::setsid();
    ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    ::raise(SIGSTOP);
    villains::linger();
  }
  ::waitpid(child, nullptr, 0);
  // From now on even its end is a stop that the tracer would have to lift.
  ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACEEXIT);
  lair.at_its_worst.set(1);
  villains::linger();
}

}  // namespace

int main(int argc, char** argv) {
  return villains::drive<&ptraces_its_child>(argc, argv, {.processes = 2});
}
