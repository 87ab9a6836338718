// A job that raises SIGKILL: nobody of ours did, and the outcome says so.
#include <signal.h>
#include <unistd.h>

#include "villains/driver.hpp"

namespace {

int kills_itself(villains::lair_ref ref) {
  (void)ref.join();
  if (::fork() == 0) villains::linger();
  ::raise(SIGKILL);
  villains::linger();
}

}  // namespace

int main(int argc, char** argv) {
  return villains::drive<&kills_itself>(
      argc, argv,
      {.stops = {villains::stop::itself}, .expected = villains::died_by_signal(SIGKILL)});
}
