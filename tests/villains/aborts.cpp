// A job that aborts, as failed assertions do.
#include <signal.h>
#include <sys/resource.h>

#include <cstdlib>

#include "villains/driver.hpp"

namespace {

int aborts(villains::lair_ref ref) {
  (void)ref.join();
  const rlimit no_core{.rlim_cur = 0, .rlim_max = 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  std::abort();
}

}  // namespace

int main(int argc, char** argv) {
  return villains::drive<&aborts>(
      argc, argv,
      {.stops = {villains::stop::itself}, .expected = villains::died_by_signal(SIGABRT)});
}
