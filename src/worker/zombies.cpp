#include "worker/zombies.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "os/proc.hpp"

namespace hardstop::worker {
namespace {

// Counting costs some 10 us a child.
constexpr std::uint32_t sleeps_between_counts = 16;

}  // namespace

bool zombie_watch::any() {
  siginfo_t found{};
  // WNOWAIT leaves it where it is.
  return waitid(P_ALL, 0, &found, WEXITED | WNOHANG | WNOWAIT) == 0 && found.si_pid != 0;
}

std::uint32_t zombie_watch::count() {
  std::vector<pid_t> children;
  if (!os::append_children(getpid(), children)) return 0;
  return static_cast<std::uint32_t>(
      std::count_if(children.begin(), children.end(), [](pid_t child) {
        const auto facts = os::read_stat(child);
        return facts && facts->dead();
      }));
}

bool zombie_watch::too_many() {
  if (told_ || !any()) return false;
  if (skip_ != 0) {
    --skip_;
    return false;
  }
  skip_ = sleeps_between_counts;
  told_ = count() > most_;
  return told_;
}

}  // namespace hardstop::worker
