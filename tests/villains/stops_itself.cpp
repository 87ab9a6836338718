// A job that stops itself and a child with SIGSTOP, as a debugger or a terminal might.
#include <signal.h>
#include <unistd.h>

#include "villains/driver.hpp"

namespace {

int stops_itself(villains::lair_ref ref) {
  auto& lair = ref.join();
  if (::fork() == 0) {
    lair.at_its_worst.set(1);
    ::raise(SIGSTOP);
    villains::linger();
  }
  ::raise(SIGSTOP);
  villains::linger();
}

}  // namespace

int main(int argc, char** argv) {
  return villains::drive<&stops_itself>(argc, argv, {.processes = 2});
}
