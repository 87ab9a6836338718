// A job that stops the guardian of its pool, without which nobody is killed to the end (G2, G6). It
// is woken, and nobody else is hurt.
#include <signal.h>
#include <unistd.h>

#include "villains/driver.hpp"

namespace {

int stops_guardian(villains::lair_ref ref) {
  auto& lair = ref.join();
  const pid_t guardian = ::getppid();
  if (::fork() == 0) villains::linger();
  ::kill(guardian, SIGSTOP);
  lair.at_its_worst.set(1);
  villains::linger();
}

}  // namespace

int main(int argc, char** argv) {
  return villains::drive<&stops_guardian>(argc, argv, {.processes = 2});
}
