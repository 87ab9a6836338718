// A job that starts a daemon and crashes: there is nobody left whose child the daemon was.
#include <signal.h>
#include <unistd.h>

#include "villains/driver.hpp"

namespace {

int dies_after_its_daemon(villains::lair_ref ref) {
  auto& lair = ref.join();
  if (::fork() == 0) {
    ::setsid();
    if (::fork() == 0) {
      ::close_range(0, ~0U, 0);
      lair.pids.add();
      lair.at_its_worst.set(1);
      villains::linger();
    }
    ::_exit(0);
  }
  (void)lair.at_its_worst.wait_for(1);
  ::raise(SIGSEGV);
  villains::linger();
}

}  // namespace

int main(int argc, char** argv) {
  return villains::drive<&dies_after_its_daemon>(
      argc, argv,
      {.stops = {villains::stop::itself}, .expected = villains::died_by_signal(SIGSEGV)});
}
