// A job whose grandchild has a session of its own, out of reach of signals to the process group.
#include <unistd.h>

#include "villains/driver.hpp"

namespace {

int leaves_its_session(villains::lair_ref ref) {
  auto& lair = ref.join();
  if (::fork() == 0) {
    ::setsid();
    if (::fork() == 0) {
      ::setsid();
      lair.pids.add();
      lair.at_its_worst.set(1);
    }
    villains::linger();
  }
  villains::linger();
}

}  // namespace

int main(int argc, char** argv) {
  return villains::drive<&leaves_its_session>(argc, argv, {.processes = 3});
}
