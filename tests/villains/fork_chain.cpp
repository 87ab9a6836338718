// A job that is never twice the same process: each forks the next one and exits, faster than
// anybody can look. Bounded in length and in time, should it escape.
#include <unistd.h>

#include <cstdint>

#include "villains/driver.hpp"

namespace {

constexpr std::uint32_t longest = 20'000;
constexpr unsigned seconds_to_live = 20;

[[noreturn]] void run_on(villains::lair& lair) {
  for (;;) {
    if (lair.processes.add() == 50) lair.at_its_worst.set(1);
    if (lair.processes.get() > longest) ::_exit(0);
    if (::fork() != 0) ::_exit(0);
    ::setsid();
    ::alarm(seconds_to_live);
  }
}

int fork_chain(villains::lair_ref ref) {
  auto& lair = ref.join();
  if (::fork() == 0) run_on(lair);
  villains::linger();
}

}  // namespace

int main(int argc, char** argv) {
  return villains::drive<&fork_chain>(argc, argv, {});
}
