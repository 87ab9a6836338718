// A job that turns its worker into another program. The environment carries the mark.
#include <unistd.h>

#include <cstdlib>

#include "support/processes.hpp"
#include "villains/driver.hpp"

namespace {

int executes_something_else(villains::lair_ref ref) {
  auto& lair = ref.join();
  ::setenv(support::mark_variable, ref.mark.data(), 1);
  if (::fork() == 0) {
    ::setsid();
    ::execlp("sleep", "sleep", "1000", nullptr);
    ::_exit(127);
  }
  lair.at_its_worst.set(1);
  ::execlp("sleep", "sleep", "1000", nullptr);
  ::_exit(127);
}

}  // namespace

int main(int argc, char** argv) {
  return villains::drive<&executes_something_else>(argc, argv, {.processes = 2});
}
