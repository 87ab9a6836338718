// A job that kills its own process group, as a shell script might: no group of anybody else (G4).
#include <signal.h>
#include <unistd.h>

#include "villains/driver.hpp"

namespace {

int kills_its_group(villains::lair_ref ref) {
  (void)ref.join();
  if (::fork() == 0) villains::linger();
  ::kill(0, SIGKILL);
  villains::linger();
}

}  // namespace

int main(int argc, char** argv) {
  return villains::drive<&kills_its_group>(
      argc, argv,
      {.stops = {villains::stop::itself}, .expected = villains::died_by_signal(SIGKILL)});
}
