// A job that forks and whose child, too, returns from the job: into our loop, where it must not be
// taken for the worker (G1). The parent waits for it, and both have an answer.
#include <sys/wait.h>
#include <unistd.h>

#include "villains/driver.hpp"

namespace {

constexpr int right = 42;
constexpr int wrong = 666;

int falls_into_loop(villains::lair_ref ref) {
  auto& lair = ref.join();
  const pid_t child = ::fork();
  if (child == 0) return wrong;
  if (::waitpid(child, nullptr, 0) != child) return wrong;
  villains::lair_ref::leave(lair);  // the worker lives on, without the mark
  return right;
}

}  // namespace

int main(int argc, char** argv) {
  return villains::drive<&falls_into_loop>(
      argc, argv,
      {.stops = {villains::stop::itself},
       .expected = villains::has_kind(hardstop::outcome_kind::value)});
}
