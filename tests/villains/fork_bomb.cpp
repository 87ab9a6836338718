// A job that multiplies, every process in a session of its own and forking again for each that is
// killed. Bounded: never more than 200 are alive by its own count, each ends by itself after some
// seconds, and so does the whole after some thousands.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>

#include "villains/driver.hpp"

namespace {

constexpr int alive_at_most = 200;
constexpr std::uint32_t ever_at_most = 20'000;
constexpr unsigned seconds_to_live = 20;

// Whoever is killed is counted out by its parent; if that is gone too, never: the count is not less
// than the number of those alive.
[[noreturn]] void multiply(villains::lair& lair) {
  ::setsid();
  ::alarm(seconds_to_live);
  for (;;) {
    while (::waitpid(-1, nullptr, WNOHANG) > 0)
      --lair.alive;
    if (lair.processes.get() > ever_at_most) ::_exit(0);
    if (++lair.alive <= alive_at_most) {
      lair.processes.add();
      const pid_t child = ::fork();
      if (child == 0) multiply(lair);
      if (child < 0) --lair.alive;
    } else {
      --lair.alive;
      lair.at_its_worst.set(1);
      ::usleep(500);
    }
  }
}

int fork_bomb(villains::lair_ref ref) {
  multiply(ref.join());
}

}  // namespace

int main(int argc, char** argv) {
  return villains::drive<&fork_bomb>(argc, argv, {.processes = 100});
}
