// A job that blocks and ignores every signal it may.
#include <signal.h>

#include "villains/driver.hpp"

namespace {

int ignores_signals(villains::lair_ref ref) {
  auto& lair = ref.join();
  sigset_t all;
  sigfillset(&all);
  ::sigprocmask(SIG_BLOCK, &all, nullptr);
  for (int signal = 1; signal < NSIG; ++signal)
    ::signal(signal, SIG_IGN);
  lair.at_its_worst.set(1);
  villains::linger();
}

}  // namespace

int main(int argc, char** argv) {
  return villains::drive<&ignores_signals>(
      argc, argv,
      {.stops = {villains::stop::kill, villains::stop::grace, villains::stop::timeout}});
}
