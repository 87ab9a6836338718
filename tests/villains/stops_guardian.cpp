// A job that stops the guardian of its pool, which can then kill nobody and confirm nothing. The
// whole pool is lost and starts anew (G5, G6).
#include <signal.h>
#include <unistd.h>

#include "villains/driver.hpp"

namespace {

int stops_guardian(villains::lair_ref ref) {
  auto& lair = ref.join();
  if (::fork() == 0) villains::linger();
  ::kill(::getppid(), SIGSTOP);
  lair.at_its_worst.set(1);
  villains::linger();
}

}  // namespace

int main(int argc, char** argv) {
  return villains::drive<&stops_guardian>(argc, argv, {.spares_neighbours = false});
}
