// A job with orphans in its process group, some of them dead and reaped by nobody.
#include <sys/wait.h>
#include <unistd.h>

#include "villains/driver.hpp"

namespace {

int orphans(villains::lair_ref ref) {
  constexpr unsigned families = 8;
  auto& lair = ref.join();
  for (unsigned family = 0; family < families; ++family) {
    const pid_t parent = ::fork();
    if (parent != 0) {
      ::waitpid(parent, nullptr, 0);
      continue;
    }
    if (::fork() == 0) {
      lair.pids.add();
      lair.processes.add();
      villains::linger();
    }
    if (::fork() == 0) {
      lair.pids.add();
      lair.processes.add();
      ::_exit(0);
    }
    ::_exit(0);
  }
  (void)lair.processes.wait_for(2 * families);
  lair.at_its_worst.set(1);
  villains::linger();
}

}  // namespace

int main(int argc, char** argv) {
  return villains::drive<&orphans>(argc, argv, {.processes = 9});
}
