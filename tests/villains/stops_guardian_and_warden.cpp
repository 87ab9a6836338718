// A job that stops the guardian of its pool and the warden that would wake it (G2, G6). The client
// notices that it gets no answer.
#include <signal.h>
#include <unistd.h>

#include "support/processes.hpp"
#include "villains/driver.hpp"

namespace {

int stops_guardian_and_warden(villains::lair_ref ref) {
  auto& lair = ref.join();
  const pid_t guardian = ::getppid();
  const auto line = support::look_at(guardian);
  if (::fork() == 0) villains::linger();
  if (line && line->parent > 1) ::kill(line->parent, SIGSTOP);
  ::kill(guardian, SIGSTOP);
  lair.at_its_worst.set(1);
  villains::linger();
}

}  // namespace

int main(int argc, char** argv) {
  return villains::drive<&stops_guardian_and_warden>(argc, argv, {.processes = 2});
}
